"""Inverse kinematics of one chain: damped Gauss-Newton with joint limits, on pinocchio's poses and Jacobians."""

import numpy as np
import pinocchio
from jaxtyping import Float

POSITION_WEIGHT = 1e3  # 1 mm of position weighs as much as 1 rad of rotation: rotation yields where joints are few
MAX_STEPS = 60
STEP_TOLERANCE_RAD = 1e-6
LIMIT_MARGIN_RAD = 1e-9


class ChainSolver:
    """Poses of a chain's tool and the joint angles that reach one."""

    def __init__(self, model: pinocchio.Model, tool_frame: str) -> None:
        self.model = model
        self.data = model.createData()
        self.frame = model.getFrameId(tool_frame)
        self.lower = model.lowerPositionLimit
        self.upper = model.upperPositionLimit

    def pose(self, angles: Float[np.ndarray, " j"]) -> Float[np.ndarray, "4 4"]:
        """Pose of the tool frame in the base frame."""
        pinocchio.forwardKinematics(self.model, self.data, angles)
        return pinocchio.updateFramePlacement(self.model, self.data, self.frame).homogeneous.copy()

    def _residual(self, angles: Float[np.ndarray, " j"], target: Float[np.ndarray, "4 4"]) -> Float[np.ndarray, "6"]:
        """Position error weighted, then the rotation vector that is left, both in base axes."""
        pose = self.pose(angles)
        turn = pinocchio.log3(target[:3, :3] @ pose[:3, :3].T)
        return np.concatenate([POSITION_WEIGHT * (target[:3, 3] - pose[:3, 3]), turn])

    def solve(
        self, target: Float[np.ndarray, "4 4"], start: Float[np.ndarray, " j"]
    ) -> tuple[Float[np.ndarray, " j"], Float[np.ndarray, "2"]]:
        """Angles nearest to the target pose found from `start`, and the errors left (m, rad).

        Source: Levenberg-Marquardt with a projected active set; Nocedal & Wright 2006, sections 10.3 and 16.7.
        """
        angles = np.clip(start, self.lower, self.upper)
        residual = self._residual(angles, target)
        damping = 1e-3
        for _ in range(MAX_STEPS):
            jacobian = pinocchio.computeFrameJacobian(
                self.model, self.data, angles, self.frame, pinocchio.ReferenceFrame.LOCAL_WORLD_ALIGNED
            )
            jacobian = np.vstack([POSITION_WEIGHT * jacobian[:3], jacobian[3:]])
            step = self._step(angles, jacobian, residual, damping)
            moved = np.clip(angles + step, self.lower, self.upper)
            moved_residual = self._residual(moved, target)
            if moved_residual @ moved_residual < residual @ residual:
                length = np.abs(moved - angles).max()
                angles, residual, damping = moved, moved_residual, max(damping * 0.1, 1e-9)
                if length < STEP_TOLERANCE_RAD:
                    break
            else:
                if np.abs(step).max() < STEP_TOLERANCE_RAD or damping > 1e8:
                    break
                damping *= 10
        error = np.array([np.linalg.norm(residual[:3]) / POSITION_WEIGHT, np.linalg.norm(residual[3:])])
        return angles, error

    def _step(
        self,
        angles: Float[np.ndarray, " j"],
        jacobian: Float[np.ndarray, "6 j"],
        residual: Float[np.ndarray, "6"],
        damping: float,
    ) -> Float[np.ndarray, " j"]:
        """Damped step over the joints that are free to move; one at its limit that would leave it is held."""
        gradient = jacobian.T @ residual
        held = ((angles <= self.lower + LIMIT_MARGIN_RAD) & (gradient < 0)) | (
            (angles >= self.upper - LIMIT_MARGIN_RAD) & (gradient > 0)
        )
        free = np.flatnonzero(~held)
        step = np.zeros(len(angles))
        if len(free):
            normal = jacobian[:, free].T @ jacobian[:, free]
            step[free] = np.linalg.solve(normal + damping * np.eye(len(free)), gradient[free])
        return step
