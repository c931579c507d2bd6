"""Labels read off the new frames, where no kinematics are known and so no motion was planned."""

from dataclasses import dataclass, replace

import cv2
import numpy as np

from m2iv_robot.augment.records import AugmentTask
from m2iv_robot.learned_labels import LearnedLabels, dataset_labeller
from m2iv_robot.masks import centroid
from m2iv_robot.plan import Plan, PlannedScene, PlanReport
from m2iv_robot.types import Candidate


@dataclass(frozen=True)
class Reader:
    """Gives candidates without labels those that are read off their frames."""

    learned: LearnedLabels

    def labelled(self, candidate: Candidate, plan: Plan, scene: PlannedScene) -> Candidate:
        """The candidate with state and action.

        Raises:
            PlanError: they would not be good enough to be written.
        """
        read = self.learned.read(candidate.episode, lies_between(plan, scene))
        state, action = (labels if labels.shape[1] else None for labels in (read.state, read.action))
        return replace(candidate, episode=replace(candidate.episode, state=state, action=action))


def own_reader(task: AugmentTask, planned: PlanReport) -> Reader | None:
    """A reader that learned from the dataset, trained now unless it was before; None where there are planned labels.

    Raises:
        DatasetError: the dataset has neither state nor action to learn from.
    """
    if task.labeller is None or task.config.labels != "auto" or not planned.plans:
        return None
    if any(plan.motion is not None for plan in planned.plans):
        return None
    return Reader(dataset_labeller(task.labeller))


def lies_between(plan: Plan, scene: PlannedScene) -> bool:
    """Whether the object's new place lies between places where it was recorded."""
    moved = plan.placement.start if plan.placement.kind == "start" else plan.placement.goal
    real = np.array([place.xy_px for place in scene.real], dtype=np.float32).reshape(-1, 2)
    if len(real) < 3:
        return False
    x, y = centroid(moved).tolist()
    return cv2.pointPolygonTest(cv2.convexHull(real), (x, y), False) >= 0
