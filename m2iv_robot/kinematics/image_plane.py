"""Stand-in for a dataset without known kinematics: everything stays in the image plane."""

import numpy as np
from jaxtyping import Bool, Float
from torch import Tensor

from m2iv_robot.errors import KinematicsError
from m2iv_robot.kinematics.columns import checked_states, find_columns, opening_of, plain_name
from m2iv_robot.kinematics.robot import RobotConfig
from m2iv_robot.kinematics.solution import InverseResult, Kinematics, StateLimits


class ImagePlaneOnly:
    """No poses: placements move in pixels, and states and actions cannot be planned."""

    metric = False
    actions: Kinematics | None = None

    def __init__(self, config: RobotConfig, names: tuple[str, ...], reason: str = "robot.kind is none") -> None:
        self.config = config
        self.names = names
        present = [plain_name(name) for name in names]
        self.gripper = present.index(plain_name(config.gripper_column)) if config.gripper_column in present else None
        self.cost = (
            f"image plane only ({reason}): no camera fit, reach and joint limits are not checked, and state and action "
            "of new episodes cannot be planned, only estimated by learned labels or left out"
        )
        unbounded = np.full(len(names), np.inf)
        self.limits = StateLimits(-unbounded, unbounded, unbounded)

    def forward(self, states: Float[Tensor, "t s"]) -> Float[np.ndarray, "t 4 4"]:
        """Always raises: there is nothing to compute a pose from."""
        raise KinematicsError(f"no tool pose: {self.cost}. Choose a robot: robot=so101, or robot.urdf=PATH with joints")

    def inverse(self, poses: Float[np.ndarray, "t 4 4"], seed_states: Float[Tensor, "t s"]) -> InverseResult:
        """Always raises: there is nothing to compute a state from."""
        raise KinematicsError(f"no states for poses: {self.cost}. Choose a robot: robot=so101, or robot.urdf=PATH")

    def gripper_opening(self, states: Float[Tensor, "t s"]) -> Float[np.ndarray, " t"]:
        """0 closed .. 1 open, where the state has a gripper column."""
        if self.gripper is None:
            find_columns([self.config.gripper_column], self.names, self.config.name)
        return opening_of(checked_states(states, self.names), self.gripper, self.config)

    def within_reach(self, points_m: Float[np.ndarray, "n 3"]) -> Bool[np.ndarray, " n"]:
        """True everywhere: reach is unknown."""
        return np.ones(len(points_m), dtype=bool)
