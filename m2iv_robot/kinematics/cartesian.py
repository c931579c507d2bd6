"""Kinematics of a dataset whose state is the tool's pose itself."""

import functools

import numpy as np
import torch
from jaxtyping import Bool, Float
from scipy.spatial.transform import Rotation
from torch import Tensor

from m2iv_robot.errors import KinematicsError
from m2iv_robot.kinematics.body import ArmBody, UsualPosture
from m2iv_robot.kinematics.columns import checked_states, find_columns, inside_workspace, open_limits, opening_of
from m2iv_robot.kinematics.robot import RobotConfig
from m2iv_robot.kinematics.solution import InverseResult, Kinematics, StateLimits
from m2iv_robot.kinematics.surface import Surface


class CartesianKinematics:
    """Position and rotation columns read as a pose; no joints, so no joint limits."""

    metric = True
    cost = ""
    actions: Kinematics | None = None

    def __init__(self, config: RobotConfig, names: tuple[str, ...]) -> None:
        self.config = config
        self.names = names
        self.position = find_columns(config.position_columns, names, config.name)
        self.rotation = find_columns(config.rotation_columns, names, config.name)
        self.gripper = find_columns([config.gripper_column], names, config.name)[0]
        self.limits = self._limits()

    def _limits(self) -> StateLimits:
        limits = open_limits(self.names, self.gripper, self.config)
        reach = np.asarray(self.config.finger_offset_m)
        margin = float(np.linalg.norm(reach))  # the columns are the tool frame, the workspace is the fingertips
        limits.lower[self.position] = np.asarray(self.config.workspace_min_m) - margin
        limits.upper[self.position] = np.asarray(self.config.workspace_max_m) + margin
        limits.speed[self.position] = self.config.tool_speed_m_s
        return limits

    def forward(self, states: Float[Tensor, "t s"]) -> Float[np.ndarray, "t 4 4"]:
        """Pose of the tool frame of every state."""
        values = checked_states(states, self.names)
        poses = np.tile(np.eye(4), (len(values), 1, 1))
        poses[:, :3, 3] = values[:, self.position]
        poses[:, :3, :3] = self._read_rotation(values[:, self.rotation]).as_matrix()
        return poses

    @property
    def surface(self) -> Surface | None:
        """Points of the arm's surface on the links of `link_poses`; None without a file or a usual posture."""
        return self._body[0].surface if self.config.surface and self.config.posture_deg else None

    def link_poses(self, states: Float[Tensor, "t s"]) -> Float[np.ndarray, "t l 4 4"]:
        """Pose of the base, then of what each joint turns, the gripper's last; states in the order of time.

        Joints are not recorded: they are those that bring the tool there from the arm's usual posture, so that where a
        redundant arm has its elbow is a guess (in 10 recorded episodes off by 0.4 to 4 degrees in the mean).

        Raises:
            KinematicsError: the config names no URDF.
        """
        if not self.config.posture_deg:
            raise KinematicsError(f"robot {self.config.name}: without robot.posture_deg its links are not known")
        body, posture = self._body
        angles = posture.angles(self.forward(states))[:, posture.order]
        return body.poses(angles, self.gripper_opening(states))

    @functools.cached_property
    def _body(self) -> tuple[ArmBody, UsualPosture]:
        return ArmBody(self.config), UsualPosture(self.config)

    def _read_rotation(self, columns: Float[np.ndarray, "t r"]) -> Rotation:
        if self.config.rotation == "rpy":
            return Rotation.from_euler("xyz", columns)  # lower case: about fixed axes
        if self.config.rotation == "rotation_vector":
            return Rotation.from_rotvec(columns)
        if self.config.rotation == "quaternion_xyzw":
            return Rotation.from_quat(columns)
        return Rotation.from_matrix(np.tile(np.eye(3), (len(columns), 1, 1)))

    def inverse(self, poses: Float[np.ndarray, "t 4 4"], seed_states: Float[Tensor, "t s"]) -> InverseResult:
        """States of the poses; an angle keeps the turn it has in the seed, so that no jump of 2 pi appears."""
        values = checked_states(seed_states, self.names)
        seed_rotation = values[:, self.rotation]
        wanted = Rotation.from_matrix(poses[:, :3, :3])
        values[:, self.position] = poses[:, :3, 3]
        values[:, self.rotation] = self._write_rotation(wanted, seed_rotation)
        reached = self._read_rotation(values[:, self.rotation])
        return InverseResult(
            states=torch.as_tensor(values, dtype=seed_states.dtype),
            position_error_m=np.zeros(len(values)),
            rotation_error_rad=(reached.inv() * wanted).magnitude(),
        )

    def _write_rotation(self, wanted: Rotation, seed: Float[np.ndarray, "t r"]) -> Float[np.ndarray, "t r"]:
        if self.config.rotation == "rpy":
            angles = wanted.as_euler("xyz")
            return angles + 2 * np.pi * np.round((seed - angles) / (2 * np.pi))
        if self.config.rotation == "rotation_vector":
            return nearest_rotation_vector(wanted.as_rotvec(), seed)
        if self.config.rotation == "quaternion_xyzw":
            quaternion = wanted.as_quat()
            sign = np.where((quaternion * seed).sum(1, keepdims=True) < 0, -1.0, 1.0)
            return quaternion * sign
        return seed

    def gripper_opening(self, states: Float[Tensor, "t s"]) -> Float[np.ndarray, " t"]:
        """0 closed .. 1 open."""
        return opening_of(checked_states(states, self.names), self.gripper, self.config)

    def within_reach(self, points_m: Float[np.ndarray, "n 3"]) -> Bool[np.ndarray, " n"]:
        """Whether the fingertips can be there."""
        return inside_workspace(points_m, self.config)


def nearest_rotation_vector(
    vector: Float[np.ndarray, "t 3"], seed: Float[np.ndarray, "t 3"]
) -> Float[np.ndarray, "t 3"]:
    """The same rotations, each written with the angle and side of the axis that lie closest to the seed."""
    angle = np.linalg.norm(vector, axis=1, keepdims=True)
    axis = np.where(angle > 1e-9, vector / np.maximum(angle, 1e-9), 0.0)
    options = np.stack([vector + 2 * np.pi * turn * axis for turn in (-1, 0, 1)])
    best = np.linalg.norm(options - seed, axis=2).argmin(0)
    return options[best, np.arange(len(vector))]
