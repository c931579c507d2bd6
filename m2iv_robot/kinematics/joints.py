"""Kinematics of a dataset whose state is joint angles, through a URDF."""

import copy

import numpy as np
import pinocchio
import torch
from jaxtyping import Bool, Float
from torch import Tensor

from m2iv_robot.kinematics.body import ArmBody
from m2iv_robot.kinematics.columns import checked_states, find_columns, inside_workspace, open_limits, opening_of
from m2iv_robot.kinematics.inverse import ChainSolver
from m2iv_robot.kinematics.robot import RobotConfig
from m2iv_robot.kinematics.solution import InverseResult, Kinematics, StateLimits
from m2iv_robot.kinematics.surface import Surface
from m2iv_robot.kinematics.urdf import load_chain

GOOD_POSITION_M = 1e-4


class JointKinematics:
    """Joint columns <-> pose of the tool frame."""

    metric = True
    cost = ""
    actions: Kinematics | None = None

    def __init__(self, config: RobotConfig, names: tuple[str, ...]) -> None:
        self.config = config
        self.names = names
        self.model = load_chain(config)
        self.body = ArmBody(config)
        self.columns = find_columns(config.joint_columns or config.joint_names, names, config.name)
        self.gripper = find_columns([config.gripper_column], names, config.name)[0]
        # the model orders joints by itself: order[i] is the model's place of the config's joint i
        self.order = [self.model.joints[self.model.getJointId(name)].idx_q for name in config.joint_names]
        self.solver = ChainSolver(self.model, config.tool_frame)
        self.scale, self.offset = self._units()
        self.limits = self._limits()

    def _units(self) -> tuple[Float[np.ndarray, " j"], Float[np.ndarray, " j"]]:
        """URDF angle (rad) = scale * recorded + offset."""
        count = len(self.config.joint_names)
        units = spread(self.config.joint_units, count)
        signs = np.asarray(spread(self.config.joint_signs, count))
        offset = np.radians(spread(self.config.joint_offsets_deg, count))
        lower, upper = self.model.lowerPositionLimit[self.order], self.model.upperPositionLimit[self.order]
        ranges = np.array([unit == "range100" for unit in units])
        degrees = np.array([unit == "degree" for unit in units])
        scale = np.where(ranges, (upper - lower) / 200, np.where(degrees, np.pi / 180, 1.0))
        return signs * scale, offset + np.where(ranges, (lower + upper) / 2, 0.0)

    def _limits(self) -> StateLimits:
        limits = open_limits(self.names, self.gripper, self.config)
        bounds = np.stack([self.model.lowerPositionLimit, self.model.upperPositionLimit])[:, self.order]
        recorded = (bounds - self.offset) / self.scale
        limits.lower[self.columns] = recorded.min(0)
        limits.upper[self.columns] = recorded.max(0)
        speed = np.radians(spread(self.config.joint_speed_deg_s, len(self.order)))
        limits.speed[self.columns] = speed / np.abs(self.scale)
        return limits

    def narrowed(self, lower: Float[np.ndarray, " s"], upper: Float[np.ndarray, " s"]) -> "JointKinematics":
        """The same arm with its joints kept inside [lower, upper] (by state column, in the dataset's units)."""
        other = copy.copy(self)
        other.solver = copy.copy(self.solver)
        other.limits = StateLimits(
            np.maximum(self.limits.lower, lower), np.minimum(self.limits.upper, upper), self.limits.speed
        )
        bounds = np.stack([other.limits.lower, other.limits.upper])[:, self.columns] * self.scale + self.offset
        other.solver.lower, other.solver.upper = self.solver.lower.copy(), self.solver.upper.copy()
        other.solver.lower[self.order], other.solver.upper[self.order] = bounds.min(0), bounds.max(0)
        return other

    def _angles(self, values: Float[np.ndarray, "t s"]) -> Float[np.ndarray, "t j"]:
        """Joint angles in the model's order."""
        angles = np.empty((len(values), len(self.order)))
        angles[:, self.order] = values[:, self.columns] * self.scale + self.offset
        return angles

    def forward(self, states: Float[Tensor, "t s"]) -> Float[np.ndarray, "t 4 4"]:
        """Pose of the tool frame of every state."""
        angles = self._angles(checked_states(states, self.names))
        return np.stack([self.solver.pose(row) for row in angles]) if len(angles) else np.empty((0, 4, 4))

    def joint_poses(self, states: Float[Tensor, "t s"]) -> Float[np.ndarray, "t j 4 4"]:
        """Pose of every joint, from the base on, of every state."""
        data, found = self.model.createData(), []
        for row in self._angles(checked_states(states, self.names)):
            pinocchio.forwardKinematics(self.model, data, row)
            found.append(np.stack([pose.homogeneous for pose in list(data.oMi)[1:]]))
        return np.stack(found)

    def link_poses(self, states: Float[Tensor, "t s"]) -> Float[np.ndarray, "t l 4 4"]:
        """Pose of the base (which does not move), then of what each joint turns, the gripper's last."""
        values = checked_states(states, self.names)
        angles = values[:, self.columns] * self.scale + self.offset
        return self.body.poses(angles, opening_of(values, self.gripper, self.config))

    @property
    def surface(self) -> Surface | None:
        """Points of the arm's surface on the links of `link_poses`; None where neither a file nor meshes are known."""
        return self.body.surface

    def inverse(self, poses: Float[np.ndarray, "t 4 4"], seed_states: Float[Tensor, "t s"]) -> InverseResult:
        """States that bring the tool to `poses`: position first, rotation as near as the joints permit.

        Each frame starts from its seed plus the correction that the frame before needed, which keeps neighbours
        alike; where that does not reach the position, from the seed alone and from the frame before.
        """
        values = checked_states(seed_states, self.names)
        seeds = self._angles(values)
        angles, errors = seeds.copy(), np.zeros((len(seeds), 2))
        for frame, pose in enumerate(poses):
            correction = angles[frame - 1] - seeds[frame - 1] if frame else 0.0
            starts = [seeds[frame] + correction, seeds[frame]] + ([angles[frame - 1]] if frame else [])
            angles[frame], errors[frame] = self._best(pose, starts)
        values[:, self.columns] = (angles[:, self.order] - self.offset) / self.scale
        return InverseResult(torch.as_tensor(values, dtype=seed_states.dtype), errors[:, 0], errors[:, 1])

    def _best(
        self, pose: Float[np.ndarray, "4 4"], starts: list[Float[np.ndarray, " j"]]
    ) -> tuple[Float[np.ndarray, " j"], Float[np.ndarray, "2"]]:
        best, best_error = starts[0], np.array([np.inf, np.inf])
        for start in starts:
            angles, error = self.solver.solve(pose, start)
            if error[0] < best_error[0]:
                best, best_error = angles, error
            if best_error[0] < GOOD_POSITION_M:
                break
        return best, best_error

    def gripper_opening(self, states: Float[Tensor, "t s"]) -> Float[np.ndarray, " t"]:
        """0 closed .. 1 open."""
        return opening_of(checked_states(states, self.names), self.gripper, self.config)

    def within_reach(self, points_m: Float[np.ndarray, "n 3"]) -> Bool[np.ndarray, " n"]:
        """Whether the fingertips can be there, by workspace box and ring; the joints are checked by `inverse`."""
        return inside_workspace(points_m, self.config)


def spread(entries: list, count: int) -> list:
    """One entry for every joint."""
    return list(entries) * count if len(entries) == 1 else list(entries)
