"""The camera of one pose, fitted on all of its episodes.

On the whole arm's outline where its joints are known; else on the held object and the arm's balls, and then on the
arm's surface, where its shape is known.
"""

from dataclasses import replace

from m2iv_robot.arm import has_surface
from m2iv_robot.background import spread
from m2iv_robot.camera import (
    CameraConfig,
    CameraFit,
    Silhouettes,
    correspondences,
    fit_camera,
    join,
    join_silhouettes,
    rough_camera,
    silhouettes,
    usual_settings,
    with_focal,
)
from m2iv_robot.data.lerobot_io import recorded_camera
from m2iv_robot.errors import CameraError
from m2iv_robot.kinematics import Kinematics, arm_balls
from m2iv_robot.plan.arm_camera import arm_camera_fits, surface_fits
from m2iv_robot.plan.records import PlanTask, SourceEpisode

ARM_FRAMES = 12  # in all whose outline is compared


def camera_fits(task: PlanTask, kinematics: Kinematics, sources: list[SourceEpisode]) -> list[CameraFit | None]:
    """The camera of one pose, fitted on all of its episodes, once per episode: each has its own grasp's offset.

    Raises:
        CameraError: the episodes do not determine it.
    """
    if not kinematics.metric or any(source.poses is None for source in sources):
        return [None] * len(sources)
    if task.known_camera is not None:
        return [task.known_camera] * len(sources)
    settings = settings_of(task, kinematics)
    by_outline = arm_camera_fits(kinematics, sources, settings)
    if by_outline is not None:
        return by_outline
    parts = [
        correspondences(source.masks, source.poses, list(source.phases), source.labels.fps, settings)
        for source in sources
    ]
    arm = arms_of(kinematics, sources)
    if arm is None and not any(len(part) for part in parts):
        raise CameraError("in no episode the object is seen to move with the gripper; check the masks")
    height, width = sources[0].start.shape
    data, offset = join(parts), tuple(kinematics.config.finger_offset_m)
    if has_surface(kinematics):
        rough = rough_camera(data, (width, height), settings, offset, arm)
        by_surface = None if rough is None else surface_fits(rough, kinematics, sources)
        if by_surface is not None:
            return by_surface
    fit = fit_camera(data, (width, height), settings, offset, arm)
    fits, first = [], 0
    for part in parts:
        own = fit.group_offset_m.get(first, fit.tool_offset_m) if len(part) else fit.tool_offset_m
        fits.append(replace(fit, tool_offset_m=own))
        first += int(part.group.max()) + 1 if len(part) else 0
    return fits


def settings_of(task: PlanTask, kinematics: Kinematics) -> CameraConfig:
    """The fit's settings, with the focal length that was recorded or that this robot's cameras usually have."""
    calibration = recorded_camera(task.dataset, task.camera)
    if calibration is not None:
        return with_focal(task.camera_fit, calibration.focal_share)
    return usual_settings(task.camera_fit, kinematics.config.name, task.camera)


def arms_of(kinematics: Kinematics, sources: list[SourceEpisode]) -> Silhouettes | None:
    """What is seen of the arm in some frames of every episode; None where its shape is not known."""
    balls = arm_balls(kinematics.config)
    if balls is None:
        return None
    parts = []
    for source in sources:
        chosen = list(spread(len(source.poses), max(4, ARM_FRAMES // len(sources))))
        poses = source.poses[chosen]
        parts.append(silhouettes(source.masks.actor[chosen], poses, balls.balls(poses), balls.radii_m))
    return join_silhouettes(parts)
