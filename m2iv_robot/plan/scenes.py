"""Episodes of one camera pose made ready for planning: masks, phases, camera, support."""

import numpy as np
import torch
from jaxtyping import Bool, Float
from torch import Tensor

from m2iv_robot.background import other_things
from m2iv_robot.camera import CameraFit
from m2iv_robot.data.lerobot_io import EpisodeLabels, read_labels
from m2iv_robot.errors import M2IVError, PlanError, SegmentationError
from m2iv_robot.kinematics import Kinematics, find_phases
from m2iv_robot.masks import centroid
from m2iv_robot.placement import find_support, likeness, polygon_mask, resting_mask, stands_elsewhere
from m2iv_robot.placement.sampling import place_of
from m2iv_robot.plan.picks import picked, rest_spans, resting_places
from m2iv_robot.plan.records import PlannedScene, PlanTask, SourceEpisode
from m2iv_robot.types import EpisodePhases, Plate

STILL_SHARE = 0.1  # of an episode at either end in which the object rests, where no state tells


def read_sources(
    task: PlanTask, kinematics: Kinematics, indices: tuple[int, ...], failures: dict[int, M2IVError]
) -> list[SourceEpisode]:
    """The episodes that can be planned from; why the others cannot goes to `failures`."""
    sources = []
    for index in indices:
        try:
            sources.append(read_source(task, kinematics, index))
        except M2IVError as error:
            failures[index] = error
    return sources


def read_source(task: PlanTask, kinematics: Kinematics, index: int) -> SourceEpisode:
    """One episode with its masks.

    Raises:
        SegmentationError: it has no masks yet.
        PlanError: nothing is held in it, or its object is not seen at rest, or not as the same thing at both ends.
    """
    labels = read_labels(task.dataset, index)
    masks = task.store.load(task.dataset.name, index, task.camera)
    if masks is None:
        raise SegmentationError(
            f"{task.dataset.name} episode {index}: no masks in {task.store.root}; run m2iv annotate"
        )
    name = task.store.about(task.dataset.name, index, task.camera).get("plate", "")
    own = task.store.load_episode_plate(task.dataset.name, task.camera, name, index)
    length = masks.object.shape[0]
    if length != labels.length:
        raise SegmentationError(
            f"{task.dataset.name} episode {index}: {length} masks for {labels.length} frames; delete them and annotate"
        )
    if not kinematics.metric or labels.state is None:
        still = max(1, round(STILL_SHARE * length))
        rests = (resting_mask(masks.object, span) for span in ((0, still), (length - still, length)))
        return _carried(SourceEpisode(labels, masks, None, (), *rests, own), task)
    poses = kinematics.forward(labels.state)
    phases = held_phases(kinematics, labels, poses)
    if not phases:
        raise PlanError(f"{task.dataset.name} episode {index}: the gripper never carries anything; leave it out")
    found = resting_places(masks.object, phases, labels.fps)
    where = f"{task.dataset.name} episode {index}"
    pick = picked(found, phases, poses[:, :3, 3], task.placement.kind, task.retarget.pick, where)
    spans = rest_spans(phases, length, labels.fps)
    start, goal = (resting_mask(masks.object, spans[number]) for number in (pick, pick + 1))
    return _carried(SourceEpisode(labels, masks, poses, phases, start, goal, own, pick), task)


def _carried(source: SourceEpisode, task: PlanTask) -> SourceEpisode:
    """The same, if one thing is seen at both ends.

    Raises:
        PlanError: what is seen there does not have one shape.
    """
    alike = likeness(source.start, source.goal)
    if alike < task.placement.least_likeness:
        raise PlanError(
            f"{task.dataset.name} episode {source.labels.index}: the object has another shape where it ends "
            f"(the outlines' IoU is {alike:.2f}, placement.least_likeness asks for {task.placement.least_likeness:g}): "
            "folded, tipped over, or wrong masks; leave the episode out, correct its masks, or give a prompt"
        )
    return source


def held_phases(
    kinematics: Kinematics, labels: EpisodeLabels, poses: Float[np.ndarray, "t 4 4"]
) -> tuple[EpisodePhases, ...]:
    """When something is held."""
    command = None
    if kinematics.actions is not None and labels.action is not None:
        command = kinematics.actions.gripper_opening(labels.action)
    opening = kinematics.gripper_opening(labels.state)
    return tuple(find_phases(opening, labels.fps, command=command, tool_positions_m=poses[:, :3, 3]))


def build_scene(
    task: PlanTask, name: str, sources: list[SourceEpisode], plate: Plate, fits: list[CameraFit | None]
) -> PlannedScene:
    """What the episodes have in common.

    Raises:
        PlanError: the support cannot be told.
    """
    starts, goals = [source.start for source in sources], [source.goal for source in sources]
    moved = starts if task.placement.kind == "start" else goals
    fit = fits[0]
    plane_z_m = 0.0
    if fit is not None:
        heights = [
            float((source.poses[at, :3, :3] @ own.tool_offset_m + source.poses[at, :3, 3])[2])
            for source, own in zip(sources, fits, strict=True)
            for phase in source.phases
            for at in (phase.grasp, phase.release - 1)
        ]
        plane_z_m = float(np.median(heights))
    support = find_support(plate, starts, task.placement)
    support = find_support(
        plate, starts + [goal for goal in goals if not stands_elsewhere(support, goal, plate)], task.placement
    )
    if task.placement.polygon_px:
        support = polygon_mask(task.placement.polygon_px, *support.shape)
    camera = None if fit is None else fit.camera
    real = tuple(place_of(tuple(centroid(mask).tolist()), camera, plane_z_m) for mask in moved)
    episodes = tuple(source.labels.index for source in sources)
    return PlannedScene(name, episodes, plate, support, fit, plane_z_m, real)


def free_support(scene: PlannedScene, source: SourceEpisode) -> Bool[Tensor, "h w"]:
    """The scene's support without what stands there in this episode alone."""
    if source.plate is None:
        return scene.support
    return scene.support & ~other_things(source.plate, scene.plate)


def robot_mask(source: SourceEpisode, kind: str) -> Bool[Tensor, "h w"]:
    """The robot where the placed object must not touch it: in the first frame (`start`) or in the last (`goal`)."""
    return source.masks.actor[0 if kind == "start" else -1]


def stacked(states: list[Tensor | None]) -> list[Float[np.ndarray, "_ s"]]:
    """Recorded columns as float64 arrays."""
    return [state.to(torch.float64).numpy() for state in states if state is not None]
