"""Kinematics of a dataset whose state is joint angles, through a URDF."""

import copy
import functools
import importlib.resources
import xml.etree.ElementTree as ElementTree
from pathlib import Path

import numpy as np
import pinocchio
import torch
from jaxtyping import Bool, Float
from torch import Tensor

from m2iv_robot.errors import KinematicsError
from m2iv_robot.kinematics.columns import checked_states, find_columns, inside_workspace, open_limits, opening_of
from m2iv_robot.kinematics.inverse import ChainSolver
from m2iv_robot.kinematics.robot import RobotConfig
from m2iv_robot.kinematics.solution import InverseResult, Kinematics, StateLimits
from m2iv_robot.kinematics.surface import Surface, load_surface, sample_surface

GOOD_POSITION_M = 1e-4


def read_urdf(path: str) -> str:
    """Text of a URDF, from a path or from the files that ship in configs/robot.

    Continuous joints become revolute ones of one turn either way: a recorded angle is a number, not a direction.

    Raises:
        KinematicsError: the file is not there or is not XML.
    """
    shipped = importlib.resources.files("configs") / "robot" / path
    found = Path(path) if Path(path).is_file() else shipped
    if not found.is_file():
        raise KinematicsError(f"URDF {path!r} is neither a file nor shipped; give a path: robot.urdf=/path/arm.urdf")
    try:
        root = ElementTree.fromstring(found.read_text())
    except ElementTree.ParseError as error:
        raise KinematicsError(f"URDF {found} is not readable XML: {error}") from error
    for joint in root.iter("joint"):
        if joint.get("type") == "continuous":
            joint.set("type", "revolute")
            limit = joint.find("limit")
            limit = limit if limit is not None else ElementTree.SubElement(joint, "limit", effort="0", velocity="0")
            limit.set("lower", str(-2 * np.pi))
            limit.set("upper", str(2 * np.pi))
    return ElementTree.tostring(root, encoding="unicode")


def load_chain(config: RobotConfig, also: str = "") -> pinocchio.Model:
    """The arm's joints alone (and the one named by `also`), every other joint of the URDF held at zero.

    Raises:
        KinematicsError: a joint or the tool frame of the config is not in the URDF, or a joint does not turn.
    """
    text = read_urdf(config.urdf)
    try:
        model = pinocchio.buildModelFromXML(text)
    except ValueError as error:
        raise KinematicsError(f"URDF {config.urdf}: {error}") from error
    joints = list(model.names)[1:]
    missing = [name for name in config.joint_names if name not in joints]
    if missing:
        raise KinematicsError(
            f"URDF {config.urdf} does not match the state: {len(missing)} of {len(config.joint_names)} joints "
            f"are not in it: {', '.join(missing)}; it has {len(joints)}: {', '.join(joints)}. Set robot.joint_names."
        )
    if not model.existFrame(config.tool_frame):
        links = [frame.name for frame in model.frames if frame.type == pinocchio.FrameType.BODY]
        raise KinematicsError(f"URDF {config.urdf} has no link {config.tool_frame!r}; it has {', '.join(links)}")
    if also and also not in joints:
        raise KinematicsError(
            f"URDF {config.urdf} has no joint {also!r}: robot.gripper_joint is one of {', '.join(joints)}"
        )
    fixed = [model.getJointId(name) for name in joints if name not in (*config.joint_names, also)]
    return pinocchio.buildReducedModel(model, fixed, pinocchio.neutral(model))


class JointKinematics:
    """Joint columns <-> pose of the tool frame."""

    metric = True
    cost = ""
    actions: Kinematics | None = None

    def __init__(self, config: RobotConfig, names: tuple[str, ...]) -> None:
        self.config = config
        self.names = names
        self.model = load_chain(config)
        self.body = load_chain(config, config.gripper_joint)
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
        body, joint = self.body, self.config.gripper_joint
        closed, opened = np.radians(self.config.gripper_joint_deg)
        places = [body.joints[body.getJointId(name)].idx_q for name in self.config.joint_names]
        angles = np.zeros((len(values), body.nq))
        angles[:, places] = values[:, self.columns] * self.scale + self.offset
        if joint:
            opening = opening_of(values, self.gripper, self.config)
            angles[:, body.joints[body.getJointId(joint)].idx_q] = closed + opening * (opened - closed)
        data, found = body.createData(), np.empty((len(values), body.njoints, 4, 4))
        for row, target in zip(angles, found, strict=True):
            pinocchio.forwardKinematics(body, data, row)
            target[:] = [pose.homogeneous for pose in data.oMi]
        return found

    @functools.cached_property
    def surface(self) -> Surface | None:
        """Points of the arm's surface on the links of `link_poses`; None where neither a file nor meshes are known."""
        if self.config.surface:
            return load_surface(self.config.surface)
        path = Path(self.config.urdf)
        return sample_surface(path, self.body) if path.is_file() else None

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
