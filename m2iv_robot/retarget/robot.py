"""What retargeting must know of a robot, read off its kinematics and its recorded episodes."""

from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Bool, Float
from scipy.spatial.transform import Rotation

from m2iv_robot.errors import ConfigError
from m2iv_robot.kinematics import Kinematics
from m2iv_robot.retarget.conventions import ActionConvention, detect_convention
from m2iv_robot.retarget.timing import MotionLimits, limits_from
from m2iv_robot.retarget.warp import ArmAxes


@dataclass(frozen=True)
class RetargetConfig:
    """How far a plan may depart from its source (configs/retarget/*.yaml)."""

    pick: int = 0  # which pick-and-place of an episode with several is re-planned
    rigid_rise_m: float = 0.06  # below this height over grasp and release the tool moves with the object
    action_convention: str = "auto"  # auto, absolute, next_state or delta
    speed_margin: float = 1.25  # times the dataset's 99th percentile speed and acceleration
    max_stretch: float = 5.0  # how much slower than its source a frame may become
    max_position_error_m: float = 0.004  # of the inverse kinematics
    max_lean_deg: float = 60.0  # an arm with fewer than six joints may lean so much more or less than its source
    max_yaw_error_deg: float = 60.0  # between the fingers' closing direction and the object, against the source's
    table_clearance_m: float = 0.008  # how much lower than in the source the tool may come

    def __post_init__(self) -> None:
        if self.pick < 0:
            raise ConfigError(f"retarget.pick counts from 0, got {self.pick}")
        for name in ("rigid_rise_m", "speed_margin", "max_stretch", "max_position_error_m"):
            if getattr(self, name) <= 0:
                raise ConfigError(f"retarget.{name} must be positive, got {getattr(self, name)}")


@dataclass(frozen=True)
class RobotModel:
    """A dataset's robot: one for all of its episodes."""

    kinematics: Kinematics
    convention: ActionConvention
    limits: MotionLimits
    moving: Bool[np.ndarray, " s"]  # the columns that move the tool
    top_speed: Float[np.ndarray, " s"]  # the fastest in the recordings, units per second
    axes: ArmAxes | None  # None: the arm can hold any orientation
    fps: float
    config: RetargetConfig


def describe_robot(
    states: list[Float[np.ndarray, "_ s"]],
    actions: list[Float[np.ndarray, "_ a"]],
    fps: float,
    kinematics: Kinematics,
    config: RetargetConfig,
) -> RobotModel:
    """Read convention, lag and limits off the recorded episodes, and the arm's axes off its kinematics."""
    convention = detect_convention(states, actions, config.action_convention)
    middle = states[0][len(states[0]) // 2]
    limits = limits_from(states, fps, config.speed_margin)
    top = np.concatenate([np.abs(np.diff(state, axis=0)) * fps for state in states]).max(axis=0)
    moving = moving_columns(kinematics, middle)
    return RobotModel(kinematics, convention, limits, moving, top, arm_axes(kinematics, middle), fps, config)


def moving_columns(kinematics: Kinematics, state: Float[np.ndarray, " s"], step: float = 0.5) -> Bool[np.ndarray, " s"]:
    """Which columns change the tool's pose when moved by `step` units."""
    probes = np.concatenate([state[None], state + step * np.eye(len(state))])
    poses = kinematics.forward(torch.as_tensor(probes))
    return np.abs(poses[1:] - poses[0]).max(axis=(1, 2)) > 1e-9


def arm_axes(kinematics: Kinematics, state: Float[np.ndarray, " s"], step: float = 0.5) -> ArmAxes | None:
    """The base and roll axes of an arm with fewer than six joints, found by moving each column by `step` units."""
    pose = kinematics.forward(torch.as_tensor(state[None]))[0]
    probes = kinematics.forward(torch.as_tensor(state + step * np.eye(len(state))))
    screws = []
    for probe in probes:
        change = probe @ np.linalg.inv(pose)
        vector = Rotation.from_matrix(change[:3, :3]).as_rotvec()
        if np.abs(change - np.eye(4)).max() > 1e-9:
            screws.append((vector, change))
    angles = [np.linalg.norm(vector) for vector, _ in screws]
    if len(screws) >= 6 or min(angles, default=0.0) < 1e-6:
        return None
    vector, change = screws[0]
    if abs(vector[2]) < 0.99 * angles[0]:
        return None
    pivot = np.linalg.solve(np.eye(2) - change[:2, :2], change[:2, 3])
    roll = pose[:3, :3].T @ (screws[-1][0] / angles[-1])
    return ArmAxes(tuple(map(float, pivot)), tuple(map(float, roll)))
