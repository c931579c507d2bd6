"""What every kind of kinematics offers, and the records it returns."""

from dataclasses import dataclass
from typing import Protocol, runtime_checkable

import numpy as np
from jaxtyping import Bool, Float
from torch import Tensor

from m2iv_robot.kinematics.robot import RobotConfig


@dataclass(frozen=True)
class StateLimits:
    """Bounds of every state column in the dataset's units; infinite where nothing is known."""

    lower: Float[np.ndarray, " s"]
    upper: Float[np.ndarray, " s"]
    speed: Float[np.ndarray, " s"]  # largest change per second


@dataclass(frozen=True)
class InverseResult:
    """States for a sequence of poses, and how far off each one is: the caller refuses what is too far."""

    states: Float[Tensor, "t s"]
    position_error_m: Float[np.ndarray, " t"]
    rotation_error_rad: Float[np.ndarray, " t"]


@runtime_checkable
class Kinematics(Protocol):
    """Tool poses (base frame, z up, metres) of states in the dataset's own units."""

    config: RobotConfig
    names: tuple[str, ...]  # of the state columns
    metric: bool  # False: image plane only, forward and inverse raise
    cost: str  # what the run loses, "" where nothing
    limits: StateLimits
    actions: "Kinematics | None"  # the same for the action's columns; None where they are not the robot's

    def forward(self, states: Float[Tensor, "t s"]) -> Float[np.ndarray, "t 4 4"]:
        """Pose of the tool frame of every state."""
        ...

    def inverse(self, poses: Float[np.ndarray, "t 4 4"], seed_states: Float[Tensor, "t s"]) -> InverseResult:
        """States that bring the tool to `poses`; columns that do not move the tool are the seed's."""
        ...

    def gripper_opening(self, states: Float[Tensor, "t s"]) -> Float[np.ndarray, " t"]:
        """0 closed .. 1 open."""
        ...

    def within_reach(self, points_m: Float[np.ndarray, "n 3"]) -> Bool[np.ndarray, " n"]:
        """Whether the fingertips can be there, by workspace box and distance from the base's vertical axis."""
        ...
