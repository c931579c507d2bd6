"""All links of an arm, its gripper's included: where they are, and their surface."""

import functools
from pathlib import Path

import numpy as np
import pinocchio
from jaxtyping import Float

from m2iv_robot.errors import KinematicsError
from m2iv_robot.kinematics.inverse import ChainSolver
from m2iv_robot.kinematics.robot import RobotConfig
from m2iv_robot.kinematics.surface import Surface, load_surface, sample_surface
from m2iv_robot.kinematics.urdf import followers, load_chain, read_urdf


class ArmBody:
    """The links of the URDF that a robot's configuration names."""

    def __init__(self, config: RobotConfig) -> None:
        """`config` names URDF, joints, and the joint that the gripper column turns, if any.

        Raises:
            KinematicsError: they do not go together.
        """
        self.config = config
        self.chain = load_chain(config, config.gripper_joint)
        driven = followers(read_urdf(config.urdf), config.gripper_joint) if config.gripper_joint else {}
        self.arm = [self._place(name) for name in config.joint_names]
        self.gripper = [(self._place(name), *how) for name, how in driven.items()]

    def _place(self, joint: str) -> int:
        return self.chain.joints[self.chain.getJointId(joint)].idx_q

    def poses(self, angles: Float[np.ndarray, "t j"], opening: Float[np.ndarray, " t"]) -> Float[np.ndarray, "t l 4 4"]:
        """Pose of the base (which does not move), then of what each joint turns, the gripper's last.

        `angles` (rad) are the URDF's, in the order of `joint_names`; `opening` is 0 closed .. 1 open.
        """
        closed, opened = np.radians(self.config.gripper_joint_deg)
        values = np.zeros((len(angles), self.chain.nq))
        values[:, self.arm] = angles
        for place, multiplier, offset in self.gripper:
            values[:, place] = multiplier * (closed + opening * (opened - closed)) + offset
        data, found = self.chain.createData(), np.empty((len(values), self.chain.njoints, 4, 4))
        for row, target in zip(values, found, strict=True):
            pinocchio.forwardKinematics(self.chain, data, row)
            target[:] = [pose.homogeneous for pose in data.oMi]
        return found

    @functools.cached_property
    def surface(self) -> Surface | None:
        """Points of the surface on the links of `poses`; None where neither a file nor meshes are known."""
        if self.config.surface:
            return load_surface(self.config.surface)
        path = Path(self.config.urdf)
        return sample_surface(path, self.chain) if path.is_file() else None


class UsualPosture:
    """The angles that an arm probably has, of all that bring its tool to a pose: its recordings know the tool alone."""

    def __init__(self, config: RobotConfig) -> None:
        """`config` names the URDF, and in `posture_deg` the angles from which recordings start.

        Raises:
            KinematicsError: they do not go together.
        """
        self.chain = load_chain(config)
        self.solver = ChainSolver(self.chain, config.tool_frame)
        self.order = [self.chain.joints[self.chain.getJointId(name)].idx_q for name in config.joint_names]
        if len(config.posture_deg) != self.chain.nq:
            raise KinematicsError(
                f"robot.posture_deg has {len(config.posture_deg)} angles, the arm {self.chain.nq} joints"
            )
        self.usual = np.empty(self.chain.nq)
        self.usual[self.order] = np.radians(config.posture_deg)

    def angles(self, tool_poses: Float[np.ndarray, "t 4 4"]) -> Float[np.ndarray, "t j"]:
        """Joint angles (rad, the chain's order) of a recording's poses, in the order of time.

        The first posture is the one nearest to the usual one, each other the one nearest to that before it: so a
        redundant arm's elbow is where controllers that move joints by velocities take it.
        """
        found, seed = np.empty((len(tool_poses), self.chain.nq)), self.usual
        for row, target in zip(found, tool_poses, strict=True):
            seed, _ = self.solver.solve(target, seed)
            row[:] = seed
        return found
