"""A new place of the object -> the robot's motion: the segments around grasp and release move with the object."""

from m2iv_robot.retarget.motion import object_motion, object_offset, plan
from m2iv_robot.retarget.reach import reachable_shifts
from m2iv_robot.retarget.robot import RetargetConfig, RobotModel, describe_robot

__all__ = [
    "RetargetConfig",
    "RobotModel",
    "describe_robot",
    "object_motion",
    "object_offset",
    "plan",
    "reachable_shifts",
]
