"""What retargeting must know of a robot, read off its kinematics and its recorded episodes."""

from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Bool, Float, Int
from scipy.spatial.transform import Rotation

from m2iv_robot.errors import ConfigError
from m2iv_robot.kinematics import JointKinematics, Kinematics
from m2iv_robot.retarget.conventions import ActionConvention, detect_convention
from m2iv_robot.retarget.manner import Manner, recorded_manners
from m2iv_robot.retarget.timing import MotionLimits, limits_from
from m2iv_robot.retarget.warp import ArmAxes

CLEAR_OF_FOLD = 0.04  # of the elbow's range


@dataclass(frozen=True)
class RetargetConfig:
    """How far a plan may depart from its source (configs/retarget/*.yaml)."""

    pick: int = -1  # which pick-and-place of an episode with several is planned anew; -1: that carries the object
    rigid_rise_m: float = 0.06  # below this height over grasp and release the tool moves with the object
    action_convention: str = "auto"  # auto, absolute, next_state or delta
    speed_margin: float = 1.25  # times the dataset's 99th percentile speed and acceleration
    max_stretch: float = 5.0  # how much slower than its source a frame may become
    max_position_error_m: float = 0.004  # of the inverse kinematics
    max_lean_deg: float = 60.0  # an arm with fewer than six joints may lean so much more or less than its source
    max_yaw_error_deg: float = 60.0  # between the fingers' closing direction and the object, against the source's
    table_clearance_m: float = 0.008  # how much lower than in the source the tool may come

    def __post_init__(self) -> None:
        if self.pick < -1:
            raise ConfigError(f"retarget.pick counts from 0, or is -1 for the one that counts; got {self.pick}")
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
    manners: dict[str, Manner]  # how recorded episodes grasp ("start") and let go ("goal")
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
    moving, axes = moving_columns(kinematics, middle), arm_axes(kinematics, middle)
    kinematics = unfolded(kinematics, middle, axes, moving)
    manners = recorded_manners(states, fps, kinematics, axes)
    return RobotModel(kinematics, convention, limits, moving, top, axes, manners, fps, config)


def moving_columns(kinematics: Kinematics, state: Float[np.ndarray, " s"], step: float = 0.5) -> Bool[np.ndarray, " s"]:
    """Which columns change the tool's pose when moved by `step` units."""
    probes = np.concatenate([state[None], state + step * np.eye(len(state))])
    poses = kinematics.forward(torch.as_tensor(probes))
    return np.abs(poses[1:] - poses[0]).max(axis=(1, 2)) > 1e-9


def unfolded(
    kinematics: Kinematics, state: Float[np.ndarray, " s"], axes: ArmAxes | None, moving: Bool[np.ndarray, " s"]
) -> Kinematics:
    """The arm kept on the side of its stretched pose that it is recorded on, so that its elbow never folds over.

    For an arm of base, three joints in one upright plane, and roll: the middle joint stays clear of where the three
    can no longer move the tool in all ways of that plane.
    """
    columns = np.flatnonzero(moving)
    if axes is None or len(columns) != 5 or not isinstance(kinematics, JointKinematics):
        return kinematics
    elbow, limits = columns[2], kinematics.limits
    angles = np.linspace(limits.lower[elbow], limits.upper[elbow], 181)
    states = np.tile(state, (len(angles), 1))
    states[:, elbow] = angles
    freedom = np.array([_planar_freedom(kinematics, row, axes, columns[1:4]) for row in states])
    here = int(np.abs(angles - state[elbow]).argmin())
    same = np.sign(freedom) == np.sign(freedom[here])
    clear = CLEAR_OF_FOLD * (angles[-1] - angles[0])
    lower, upper = limits.lower.copy(), limits.upper.copy()
    if not same[:here].all():
        lower[elbow] = min(angles[np.flatnonzero(~same[:here])[-1]] + clear, state[elbow])
    if not same[here:].all():
        upper[elbow] = max(angles[here + np.flatnonzero(~same[here:])[0]] - clear, state[elbow])
    return kinematics.narrowed(lower, upper)


def _planar_freedom(
    kinematics: Kinematics, state: Float[np.ndarray, " s"], axes: ArmAxes, columns: Int[np.ndarray, " 3"]
) -> float:
    """Determinant of what three joints do to the tool's distance, height and pitch; 0 where the arm is stretched."""
    step = 0.1
    probes = np.tile(state, (7, 1))
    for number, column in enumerate(columns):
        probes[1 + 2 * number, column] += step
        probes[2 + 2 * number, column] -= step
    poses = kinematics.forward(torch.as_tensor(probes))
    outward = poses[0, :2, 3] - np.asarray(axes.pivot_xy)
    outward = np.append(outward / np.linalg.norm(outward), 0.0)
    across = np.array([-outward[1], outward[0], 0.0])
    rows = []
    for number in range(3):
        plus, minus = poses[1 + 2 * number], poses[2 + 2 * number]
        moved = plus[:3, 3] - minus[:3, 3]
        turned = Rotation.from_matrix(plus[:3, :3] @ minus[:3, :3].T).as_rotvec()
        rows.append([moved @ outward, moved[2], turned @ across])
    return float(np.linalg.det(np.array(rows)))


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
