"""Choosing the robot for a dataset and building its kinematics."""

import logging

from m2iv_robot.config import preset
from m2iv_robot.errors import KinematicsError
from m2iv_robot.kinematics.cartesian import CartesianKinematics
from m2iv_robot.kinematics.columns import plain_name
from m2iv_robot.kinematics.image_plane import ImagePlaneOnly
from m2iv_robot.kinematics.joints import JointKinematics
from m2iv_robot.kinematics.robot import RobotConfig
from m2iv_robot.kinematics.solution import Kinematics

logger = logging.getLogger(__name__)

BY_ROBOT_TYPE = {
    "so100": "so100",
    "so100_follower": "so100",
    "so101": "so101",
    "so101_follower": "so101",
    "so_follower": "so101",
    "so101_sim": "so101",
    "franka": "franka_cartesian",
    "panda": "franka_cartesian",
    "droid": "franka_cartesian",
    "ur5e": "ur5e_robotiq",
    "ur5e_robotiq": "ur5e_robotiq",
}
SO_JOINTS = ("shoulder_pan", "shoulder_lift", "elbow_flex", "wrist_flex", "wrist_roll")
UR_JOINTS = (
    "shoulder_pan_joint",
    "shoulder_lift_joint",
    "elbow_joint",
    "wrist_1_joint",
    "wrist_2_joint",
    "wrist_3_joint",
)
POSE_COLUMNS = ("x", "y", "z", "roll", "pitch", "yaw")


def choose_robot(config: RobotConfig, robot_type: str | None, state_names: tuple[str, ...]) -> RobotConfig:
    """The robot that a config of kind `auto` stands for; any other config is returned as it is.

    A known robot_type decides where the state has that robot's columns; else the columns' names decide.

    Raises:
        KinematicsError: the dataset has two arms.
    """
    if config.kind != "auto":
        return config
    names = [plain_name(name) for name in state_names]
    kind = (robot_type or "").lower()
    if kind.startswith("bi_") or (kind.startswith("bi") and "so10" in kind) or _two_arms(names):
        raise KinematicsError(
            f"robot_type {robot_type!r} has two arms and only one can be planned; choose its columns: "
            "robot=so101 robot.joint_columns=[left_shoulder_pan.pos,...] robot.gripper_column=left_gripper.pos"
        )
    chosen = BY_ROBOT_TYPE.get(kind, "")
    if chosen.startswith("so10") and not all(joint in names for joint in SO_JOINTS):
        chosen = ""
    if chosen.startswith("ur5e") and not all(joint in names for joint in UR_JOINTS):
        chosen = ""
    if chosen == "franka_cartesian" and not all(column in names for column in POSE_COLUMNS):
        chosen = ""
    chosen = chosen or _by_names(names, robot_type)
    return preset(RobotConfig, "robot", chosen)


def _two_arms(names: list[str]) -> bool:
    return any(name.startswith("left_") for name in names) and any(name.startswith("right_") for name in names)


def _by_names(names: list[str], robot_type: str | None) -> str:
    if all(joint in names for joint in SO_JOINTS):
        return "so101"
    if all(column in names for column in POSE_COLUMNS):
        logger.warning(
            "robot_type %r is not known; its state is read as a pose in metres and radians with gripper 0 open .. "
            "1 closed. If that is wrong set robot.gripper_open and robot.gripper_closed.",
            robot_type,
        )
        return "franka_cartesian"
    return "none"


def build_kinematics(
    config: RobotConfig,
    state_names: tuple[str, ...],
    action_names: tuple[str, ...] = (),
    robot_type: str | None = None,
) -> Kinematics:
    """Kinematics of a dataset's state, with `.actions` for its action where that has the robot's columns too.

    Raises:
        KinematicsError: the state does not fit the robot, or the URDF does not.
    """
    chosen = choose_robot(config, robot_type, state_names)
    if chosen.kind == "none":
        reason = "robot.kind is none"
        if config.kind == "auto":
            columns = ", ".join(state_names) or "none"
            reason = f"robot_type {robot_type!r} with state columns {columns} is not a robot that ships"
        return ImagePlaneOnly(chosen, state_names, reason)
    kind = JointKinematics if chosen.kind == "joints" else CartesianKinematics
    kinematics = kind(chosen, state_names)
    if action_names and has_columns(chosen, action_names):
        kinematics.actions = kind(chosen, action_names)
    return kinematics


def has_columns(config: RobotConfig, names: tuple[str, ...]) -> bool:
    """Whether all of the robot's columns are among `names`."""
    if config.kind == "joints":
        wanted = [*(config.joint_columns or config.joint_names), config.gripper_column]
    else:
        wanted = [*config.position_columns, *config.rotation_columns, config.gripper_column]
    return {plain_name(name) for name in wanted} <= {plain_name(name) for name in names}
