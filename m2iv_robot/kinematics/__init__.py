"""Robot states to tool poses and back, in the dataset's own units, and when the gripper holds something."""

from m2iv_robot.kinematics.arm_balls import ArmBalls, arm_balls
from m2iv_robot.kinematics.build import build_kinematics, choose_robot
from m2iv_robot.kinematics.cartesian import CartesianKinematics
from m2iv_robot.kinematics.image_plane import ImagePlaneOnly
from m2iv_robot.kinematics.joints import JointKinematics
from m2iv_robot.kinematics.phases import PhaseConfig, find_phases
from m2iv_robot.kinematics.robot import RobotConfig
from m2iv_robot.kinematics.solution import InverseResult, Kinematics, StateLimits
from m2iv_robot.kinematics.surface import Surface, load_surface, sample_surface

__all__ = [
    "ArmBalls",
    "CartesianKinematics",
    "ImagePlaneOnly",
    "InverseResult",
    "JointKinematics",
    "Kinematics",
    "PhaseConfig",
    "RobotConfig",
    "StateLimits",
    "Surface",
    "arm_balls",
    "build_kinematics",
    "choose_robot",
    "find_phases",
    "load_surface",
    "sample_surface",
]
