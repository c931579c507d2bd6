"""Objects turned with the arm: only then an arm of five joints takes hold elsewhere as it was recorded to."""

import logging
from functools import partial

import numpy as np

from m2iv_robot.arm import has_surface
from m2iv_robot.camera import CameraFit, block_behind, half_height
from m2iv_robot.kinematics import JointKinematics, Kinematics
from m2iv_robot.placement import Turning
from m2iv_robot.plan.records import PlannedScene, PlanTask, SourceEpisode
from m2iv_robot.retarget import RobotModel, object_motion

logger = logging.getLogger(__name__)

LEAST_AGREEMENT = 0.6  # IoU of outlines at one end and blocks from the other, below it the object is not taken for one
EPISODES = 8  # that are looked at


def common_half_height(
    task: PlanTask, robot: RobotModel | None, scene: PlannedScene, sources: list[SourceEpisode]
) -> float | None:
    """Half the height (m) of the objects; None where they are not to be turned, or do not look like upright blocks.

    They are turned where the arm is shown posed, has fewer than six joints, and its recorded grasps follow the objects.
    """
    if task.placement.turn == "never" or robot is None or not arm_is_posed(robot.kinematics, scene.camera):
        return None
    if robot.axes is None or robot.manners[task.placement.kind].follows_arm:
        return None
    seen = []
    for source in sources[:EPISODES]:
        phase = source.phase
        turn = source.poses[phase.release - 1, :3, :3] @ source.poses[phase.grasp, :3, :3].T
        seen.append((source.start, source.goal, float(np.arctan2(turn[1, 0], turn[0, 0]))))
    half, agreement = half_height(seen, scene.camera.camera, scene.plane_z_m)
    logger.info("%s: objects are blocks %.1f cm high, outlines agree by %.2f", scene.name, 200 * half, agreement)
    return half if agreement >= LEAST_AGREEMENT else None


def arm_is_posed(kinematics: Kinematics | None, fit: CameraFit | None) -> bool:
    """Whether pictures of the arm can be taken in any posture: its links, their surface and their place are known."""
    if fit is None or not fit.whole_arm or kinematics is None:
        return False
    return has_surface(kinematics) or (isinstance(kinematics, JointKinematics) and kinematics.surface is not None)


def turning_of(
    task: PlanTask, robot: RobotModel | None, scene: PlannedScene, source: SourceEpisode, fit: CameraFit | None
) -> Turning | None:
    """How an episode's object is turned at another place; None where it lies there as it lay."""
    if scene.half_height_m is None or robot is None or fit is None:
        return None
    kind = task.placement.kind
    outline = source.start if kind == "start" else source.goal
    block = block_behind(outline, fit.camera, scene.plane_z_m, scene.half_height_m)
    if block is None:
        return None
    motion = partial(object_motion, source.labels, source.phase, kind, robot, fit)
    return Turning(block, motion)
