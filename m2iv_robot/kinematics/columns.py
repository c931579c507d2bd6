"""Finding a robot's columns in a dataset's state by name, and the checks every state passes first."""

import numpy as np
from jaxtyping import Bool, Float
from torch import Tensor

from m2iv_robot.errors import KinematicsError
from m2iv_robot.kinematics.robot import RobotConfig
from m2iv_robot.kinematics.solution import StateLimits

SUFFIXES = (".pos", "_pos", ".position", "_position")
PREFIXES = ("main_", "observation.state.", "action.", "follower_", "leader_")


def plain_name(column: str) -> str:
    """A column's name without what recorders put around it: `main_shoulder_pan.pos` is `shoulder_pan`."""
    name = column.strip().lower()
    for suffix in SUFFIXES:
        name = name.removesuffix(suffix)
    for prefix in PREFIXES:
        name = name.removeprefix(prefix)
    return name


def find_columns(wanted: list[str], names: tuple[str, ...], robot: str) -> list[int]:
    """Position of each wanted column; a name that is there as it is wins over one that matches when stripped.

    Raises:
        KinematicsError: columns are missing; names them and what the state has.
    """
    stripped = [plain_name(name) for name in names]
    missing = [name for name in wanted if name not in names and plain_name(name) not in stripped]
    if missing:
        raise KinematicsError(
            f"robot {robot!r} needs {len(wanted)} state columns but {len(missing)} are not there: "
            f"{', '.join(missing)}; the state has {len(names)}: {', '.join(names) or 'none'}. "
            "Set robot.joint_columns (or position_columns, rotation_columns, gripper_column) to the dataset's names."
        )
    return [names.index(name) if name in names else stripped.index(plain_name(name)) for name in wanted]


def checked_states(states: Float[Tensor, "t s"], names: tuple[str, ...]) -> Float[np.ndarray, "t s"]:
    """The states as float64 on the CPU.

    Raises:
        KinematicsError: the width does not fit the names, or a value is not finite.
    """
    values = np.array(states.detach().cpu(), dtype=np.float64)  # a copy: callers write into it
    if values.shape[1] != len(names):
        raise KinematicsError(f"a state has {values.shape[1]} columns, but {len(names)} names: {', '.join(names)}")
    bad = np.argwhere(~np.isfinite(values))
    if len(bad):
        frame, column = bad[0]
        raise KinematicsError(
            f"frame {frame}: {names[column]} is {values[frame, column]} ({len(bad)} such values in all); "
            "repair the recording or leave the episode out"
        )
    return values


def opening_of(values: Float[np.ndarray, "t s"], column: int, config: RobotConfig) -> Float[np.ndarray, " t"]:
    """Gripper column as 0 closed .. 1 open."""
    opening = (values[:, column] - config.gripper_closed) / (config.gripper_open - config.gripper_closed)
    return np.clip(opening, 0.0, 1.0)


def open_limits(names: tuple[str, ...], gripper: int, config: RobotConfig) -> StateLimits:
    """Limits that bind the gripper column only."""
    lower, upper = np.full(len(names), -np.inf), np.full(len(names), np.inf)
    lower[gripper] = min(config.gripper_open, config.gripper_closed)
    upper[gripper] = max(config.gripper_open, config.gripper_closed)
    return StateLimits(lower, upper, np.full(len(names), np.inf))


def inside_workspace(points_m: Float[np.ndarray, "n 3"], config: RobotConfig) -> Bool[np.ndarray, " n"]:
    """Inside the workspace box and the ring around the base's vertical axis."""
    inside = (points_m >= config.workspace_min_m) & (points_m <= config.workspace_max_m)
    radius = np.linalg.norm(points_m[:, :2], axis=1)
    return inside.all(1) & (radius >= config.reach_min_m) & (radius <= config.reach_max_m)
