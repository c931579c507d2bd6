"""Plans for a dataset: episode after episode takes its turn, each new place as far from all others as it can be."""

import logging
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field, replace

import numpy as np
import torch

from m2iv_robot.camera import CameraFit
from m2iv_robot.data.lerobot_io import feature_names
from m2iv_robot.errors import M2IVError, PlanError, SegmentationError
from m2iv_robot.kinematics import Kinematics, build_kinematics
from m2iv_robot.masks import centroid
from m2iv_robot.placement import Place, Scene, on_the_plane, place_at, sample_placements, stands_elsewhere
from m2iv_robot.placement.sampling import place_of
from m2iv_robot.plan.cameras import camera_fits
from m2iv_robot.plan.records import Plan, PlannedScene, PlanReport, PlanTask, RefusedPlan
from m2iv_robot.plan.scenes import (
    SourceEpisode,
    build_scene,
    free_support,
    read_sources,
    robot_mask,
    stacked,
)
from m2iv_robot.plan.turning import common_half_height, turning_of
from m2iv_robot.retarget import RobotModel, describe_robot, plan
from m2iv_robot.types import Motion, Placement

logger = logging.getLogger(__name__)

Progress = Callable[[str, int, int], None]  # what is being done, how many are done, how many there are
IMAGE_PLANE_COST = "placements have no metres and no motion: state and action of what is generated stay unknown"


def plan_dataset(task: PlanTask, progress: Progress | None = None) -> PlanReport:
    """Placements and motions for all episodes; one that cannot be planned from is listed, and the others go on.

    Raises:
        DatasetError: no such camera.
        KinematicsError: the state does not fit the robot.
    """
    progress = progress or _silent
    task.dataset.check_camera(task.camera)
    total = min(task.dataset.episode_count, task.config.episodes or task.dataset.episode_count)
    failures: dict[int, M2IVError] = {}
    kinematics = kinematics_of(task)
    notes = [] if kinematics.metric else [f"image plane only ({kinematics.cost}): {IMAGE_PLANE_COST}"]
    groups = pose_groups(task, total, failures)
    if task.config.only >= 0:
        groups = {name: members for name, members in groups.items() if task.config.only in members}
    desks = []
    for name, members in groups.items():
        try:
            desk = _desk(task, kinematics, (name, members), failures)
        except M2IVError as error:
            failures |= dict.fromkeys((index for index in members if index not in failures), error)
            continue
        if desk is not None:
            desks.append(desk)
    _share_out(desks, task.config.count, progress)
    plans = [plan for desk in desks for plan in desk.plans]
    refusals = [refusal for desk in desks for refusal in desk.refusals]
    scenes = [desk.scene for desk in desks]
    return PlanReport(tuple(plans), tuple(refusals), tuple(sorted(failures.items())), tuple(scenes), tuple(notes))


def _silent(stage: str, done: int, total: int) -> None:
    """Progress that nobody watches."""


def kinematics_of(task: PlanTask) -> Kinematics:
    """The dataset's robot."""
    features = task.dataset.features
    state_names = feature_names(features, task.dataset.state_key)
    action_names = feature_names(features, task.dataset.action_key)
    return build_kinematics(task.robot, state_names, action_names, task.dataset.robot_type)


def pose_groups(task: PlanTask, total: int, failures: dict[int, M2IVError]) -> dict[str, tuple[int, ...]]:
    """Episodes by the camera pose under which they were annotated."""
    groups: dict[str, list[int]] = {}
    for index in range(total):
        name = task.store.about(task.dataset.name, index, task.camera).get("plate")
        if name is None:
            failures[index] = SegmentationError(
                f"{task.dataset.name} episode {index}: no masks in {task.store.root}; run m2iv annotate first"
            )
            continue
        groups.setdefault(name, []).append(index)
    return {name: tuple(members) for name, members in groups.items()}


def _desk(
    task: PlanTask, kinematics: Kinematics, group: tuple[str, tuple[int, ...]], failures: dict[int, M2IVError]
) -> "_Desk | None":
    """Where plans for the episodes of one camera pose are made; None where none can be planned from."""
    name, members = group
    plate = task.store.load_plate(task.dataset.name, task.camera, name)
    if plate is None:
        raise PlanError(f"{task.dataset.name}: no plate {name} in {task.store.root}; run m2iv annotate again")
    sources = read_sources(task, kinematics, members, failures)
    if not sources:
        return None
    fits = camera_fits(task, kinematics, sources)
    robot = None
    if kinematics.metric:
        states, actions = ([getattr(s.labels, key) for s in sources] for key in ("state", "action"))
        robot = describe_robot(stacked(states), stacked(actions), task.dataset.fps, kinematics, task.retarget)
    scene = within_reach(build_scene(task, name, sources, plate, fits), kinematics)
    scene = replace(scene, half_height_m=common_half_height(task, robot, scene, sources))
    usable = _usable(task, scene, sources, failures)
    if task.config.only >= 0:
        usable = [source for source in usable if source.labels.index == task.config.only]
    pairs = usable_pairs(usable, sources, fits)
    return _Desk(scene, deque(_Planner(task, scene, source, fit, robot, sources) for source, fit in pairs))


def within_reach(scene: PlannedScene, kinematics: Kinematics) -> PlannedScene:
    """The same scene with only that support which the arm reaches: what is beyond may be a wall of the same colour."""
    if scene.camera is None:
        return scene
    size = tuple(scene.support.shape)
    reached = on_the_plane(scene.camera.camera, scene.plane_z_m, size, kinematics.within_reach)
    return replace(scene, support=scene.support & reached)


def usable_pairs(
    usable: list[SourceEpisode], sources: list[SourceEpisode], fits: list[CameraFit | None]
) -> list[tuple[SourceEpisode, CameraFit | None]]:
    """The usable sources with their fits."""
    return [(source, fit) for source, fit in zip(sources, fits, strict=True) if any(source is one for one in usable)]


def _usable(
    task: PlanTask, scene: PlannedScene, sources: list[SourceEpisode], failures: dict[int, M2IVError]
) -> list[SourceEpisode]:
    """Without the episodes whose task text would no longer be true."""
    if task.placement.kind == "start" or task.placement.task:
        return sources
    usable = []
    for source in sources:
        if stands_elsewhere(scene.support, source.goal, scene.plate_of(source)):
            failures[source.labels.index] = PlanError(
                f"{task.dataset.name} episode {source.labels.index}: the object ends in or on another object, so with "
                f"another goal {source.labels.task!r} is not true; give the new instruction: placement.task='...'"
            )
        else:
            usable.append(source)
    return usable


class _Planner:
    """Proposes placements for one episode, one at a time, and plans their motions."""

    def __init__(
        self,
        task: PlanTask,
        scene: PlannedScene,
        source: SourceEpisode,
        fit: CameraFit | None,
        robot: RobotModel | None,
        recorded: list[SourceEpisode],
    ) -> None:
        """`recorded`: all episodes of the camera pose."""
        self.index = source.labels.index
        self.task, self.source, self.fit, self.robot = task, source, fit, robot
        self.recorded, self.shown_by = recorded, scene.camera
        self.generator = torch.Generator().manual_seed(task.config.seed * 1_000_003 + self.index)
        self.scene = Scene(
            start=source.start,
            goal=source.goal,
            robot=robot_mask(source, task.placement.kind),
            support=free_support(scene, source),
            camera=None if fit is None else fit.camera,
            plane_z_m=scene.plane_z_m,
            reach=None if robot is None else robot.kinematics.within_reach,
            real=scene.real,
            turning=turning_of(task, robot, scene, source, fit),
        )
        self.motion: Motion | None = None
        self.refused: list[Place] = []  # not to be proposed again

    def next_plan(self, taken: list[Place]) -> tuple[Plan | None, list[RefusedPlan]]:
        """One more plan away from `taken`, if there is room, and what was refused on the way."""
        if self.task.placement.at_px:
            return self._asked_for(tuple(self.task.placement.at_px))
        scene = replace(self.scene, taken=(*taken, *self.refused))
        found, refused = sample_placements(scene, self.task.placement, 1, self.generator, self._check)
        self.refused += [entry.place for entry in refused]
        refusals = [RefusedPlan(self.index, entry.place.xy_px, entry.shift_m, entry.reason) for entry in refused]
        return (Plan(self.index, found[0], self.motion) if found else None), refusals

    def _asked_for(self, xy_px: tuple[float, float]) -> tuple[Plan | None, list[RefusedPlan]]:
        """The one plan with the object at a place that somebody chose, once."""
        if self.refused:
            return None, []
        self.refused.append(place_of(xy_px, self.scene.camera, self.scene.plane_z_m))
        try:
            placement = place_at(self.scene, self.task.placement, xy_px)
            self._check(placement)
        except PlanError as error:
            return None, [RefusedPlan(self.index, xy_px, None, str(error))]
        return Plan(self.index, placement, self.motion), []

    def _check(self, placement: Placement) -> None:
        if self.robot is not None:
            source = self.source
            self.motion = plan(source.labels, placement, self.robot, source.phases, self.fit, source.pick)
        if self.task.drawable is not None:
            made = Plan(self.index, placement, self.motion)
            kinematics = None if self.robot is None else self.robot.kinematics
            self.task.drawable(made, self.recorded, self.shown_by, kinematics)


@dataclass
class _Desk:
    """The planners of one camera pose, who take turns, and what they made."""

    scene: PlannedScene
    waiting: deque[_Planner]
    plans: list[Plan] = field(default_factory=list)
    refusals: list[RefusedPlan] = field(default_factory=list)
    taken: list[Place] = field(default_factory=list)

    def plan(self, count: int, made: Callable[[], None]) -> None:
        """Up to `count` more plans, from one episode after the other while there is room."""
        wanted = len(self.plans) + count
        while self.waiting and len(self.plans) < wanted:
            planner = self.waiting.popleft()
            try:
                found, refused = planner.next_plan(self.taken)
            except PlanError as error:
                logger.info("episode %d: %s", planner.index, error)
                continue
            self.refusals += refused
            if found is None:
                continue
            self.waiting.append(planner)
            self.plans.append(found)
            self.taken.append(_new_place(found, planner))
            made()


def _share_out(desks: list[_Desk], count: int, progress: Progress) -> None:
    """`count` plans from all desks, as many from each episode; what one has no room for, others make."""
    while (left := count - sum(len(desk.plans) for desk in desks)) > 0:
        open_desks = [desk for desk in desks if desk.waiting]
        if not open_desks:
            return
        for place, desk in enumerate(open_desks):
            planners = sum(len(other.waiting) for other in open_desks[place:])
            share = -(-left * len(desk.waiting) // max(1, planners))
            before = len(desk.plans)
            desk.plan(share, lambda: progress("plans", sum(len(each.plans) for each in desks), count))
            left -= len(desk.plans) - before


def _new_place(made: Plan, planner: _Planner) -> Place:
    moved = made.placement.start if made.placement.kind == "start" else made.placement.goal
    camera = planner.scene.camera
    return place_of(tuple(np.asarray(centroid(moved), dtype=float).tolist()), camera, planner.scene.plane_z_m)
