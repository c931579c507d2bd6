"""The robust least-squares problem of a camera fit: unknowns, residuals and their derivatives."""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float
from scipy.optimize import OptimizeResult, least_squares
from scipy.spatial.transform import Rotation

from m2iv_robot.camera.config import CameraConfig
from m2iv_robot.camera.pinhole import Camera
from m2iv_robot.camera.records import OBJECT, Correspondences
from m2iv_robot.camera.silhouette import Silhouettes

POSE = 7  # log focal, rotation vector, translation
BEHIND_PX = 1e3
ROLL_SPREAD = 0.1  # of cameras on stands, as the sine of the angle
ARM_STEP = 2e-3  # rad, m or log focal: about a tenth of a pixel


@dataclass(frozen=True)
class FitProblem:
    """Everything the residual needs, and where each unknown sits in the parameter vector."""

    data: Correspondences
    size: tuple[int, int]  # width, height
    offset_prior_m: Float[np.ndarray, " 3"]
    config: CameraConfig
    groups: tuple[int, ...]  # whose offsets may differ; empty: one offset for all
    arm: Silhouettes | None = None  # what is seen of the whole arm

    def camera(self, unknowns: Float[np.ndarray, " p"]) -> Camera:
        """The camera that a parameter vector stands for."""
        rotation = Rotation.from_rotvec(unknowns[1:4]).as_matrix()
        return Camera(float(np.exp(unknowns[0])), *self.size, rotation, unknowns[4:7].copy())

    def offsets(self, unknowns: Float[np.ndarray, " p"]) -> Float[np.ndarray, "k 3"]:
        """Rows: object (common), tip, then the difference of every group."""
        return unknowns[POSE:].reshape(-1, 3)

    def points_m(self, unknowns: Float[np.ndarray, " p"]) -> Float[np.ndarray, "n 3"]:
        """Where the tracked points are, base frame."""
        rows = self.offsets(unknowns)
        offset = rows[self.data.kind]
        if self.groups:
            place = np.searchsorted(self.groups, self.data.group)
            offset = offset + np.where(self.data.kind[:, None] == OBJECT, rows[2:][place], 0.0)
        return np.einsum("nij,nj->ni", self.data.poses[:, :3, :3], offset) + self.data.poses[:, :3, 3]

    def residual_px(self, unknowns: Float[np.ndarray, " p"]) -> Float[np.ndarray, "n 2"]:
        """Observed - projected; large and constant for a point behind the camera."""
        pixels = self.camera(unknowns).project(self.points_m(unknowns))
        return np.nan_to_num(self.data.pixels - pixels, nan=BEHIND_PX)

    def residuals(self, unknowns: Float[np.ndarray, " p"]) -> Float[np.ndarray, " r"]:
        """Pixel residuals, then what is known beforehand, all in units of their spread."""
        pixels = self.residual_px(unknowns) / self.data.sigma_px[:, None]
        rows = self.offsets(unknowns)
        usual = np.log(self.config.focal_usual * self.size[0])
        return np.concatenate(
            [
                pixels.ravel(),
                [(unknowns[0] - usual) / self.config.focal_spread],
                ((rows[:2] - self.offset_prior_m) / self.config.offset_sigma_m).ravel(),
                (rows[2:] / self.config.grasp_spread_m).ravel(),
                self.arm_residuals(unknowns),
            ]
        )

    def arm_residuals(self, unknowns: Float[np.ndarray, " p"]) -> Float[np.ndarray, " s"]:
        """What does not fit of the whole arm's outline, and how far the camera is from upright."""
        if self.arm is None:
            return np.zeros(0)
        camera = self.camera(unknowns)
        return np.append(self.arm.residuals(camera), camera.rotation[0, 2] / ROLL_SPREAD)

    def _arm_slopes(self, unknowns: Float[np.ndarray, " p"]) -> Float[np.ndarray, "s p"]:
        """Derivatives of `arm_residuals` by differences: its distances are sampled from pixels."""
        here = self.arm_residuals(unknowns)
        slopes = np.zeros((len(here), len(unknowns)))
        for index in range(POSE if len(here) else 0):
            moved = unknowns.copy()
            moved[index] += ARM_STEP
            slopes[:, index] = (self.arm_residuals(moved) - here) / ARM_STEP
        return slopes

    def jacobian(self, unknowns: Float[np.ndarray, " p"]) -> Float[np.ndarray, "r p"]:
        """Derivatives of `residuals`."""
        camera, points = self.camera(unknowns), self.points_m(unknowns)
        seen = points @ camera.rotation.T + camera.translation
        count, rows = len(points), self.offsets(unknowns)
        slopes = np.zeros((count, 2, len(unknowns)))  # of the projected pixels
        front = seen[:, 2] > 1e-6
        depth = np.where(front, seen[:, 2], 1.0)
        slopes[:, :, 0] = camera.focal_px * seen[:, :2] / depth[:, None]
        by_seen = np.zeros((count, 2, 3))
        by_seen[:, 0, 0] = by_seen[:, 1, 1] = camera.focal_px / depth
        by_seen[:, :, 2] = -camera.focal_px * seen[:, :2] / depth[:, None] ** 2
        turned = -cross_matrices(points @ camera.rotation.T) @ left_jacobian(unknowns[1:4])
        slopes[:, :, 1:4] = by_seen @ turned
        slopes[:, :, 4:7] = by_seen
        by_offset = by_seen @ (camera.rotation @ self.data.poses[:, :3, :3])
        columns = slopes[:, :, POSE:].reshape(count, 2, len(rows), 3)
        columns[np.arange(count), :, self.data.kind] = by_offset
        if self.groups:
            held = np.flatnonzero(self.data.kind == OBJECT)
            columns[held, :, 2 + np.searchsorted(self.groups, self.data.group[held])] = by_offset[held]
        slopes[:, :, POSE:] = columns.reshape(count, 2, 3 * len(rows))
        slopes[~front] = 0.0
        slopes /= -self.data.sigma_px[:, None, None]
        known = self._prior_slopes(len(unknowns))
        return np.concatenate([slopes.reshape(2 * count, len(unknowns)), known, self._arm_slopes(unknowns)])

    def _prior_slopes(self, count: int) -> Float[np.ndarray, "q p"]:
        """Derivatives of what is known beforehand: one unknown each."""
        spreads = np.full(count - POSE, self.config.grasp_spread_m)
        spreads[:6] = self.config.offset_sigma_m
        slopes = np.zeros((1 + len(spreads), count))
        slopes[0, 0] = 1 / self.config.focal_spread
        slopes[np.arange(1, 1 + len(spreads)), np.arange(POSE, count)] = 1 / spreads
        return slopes

    def robust(self, squares: Float[np.ndarray, " r"]) -> Float[np.ndarray, "3 r"]:
        """Cauchy loss with its derivatives for the pixels (both coordinates of one share its weight), none beyond.

        Source: scipy.optimize.least_squares, argument `loss`.
        """
        count = 2 * len(self.data)
        both = np.repeat(squares[:count].reshape(-1, 2).mean(1), 2) / 4
        loss = np.stack([squares, np.ones_like(squares), np.zeros_like(squares)])
        loss[0, :count] = 4 * np.log1p(both)
        loss[1, :count] = 1 / (1 + both)
        return loss

    def solve(self, start: Float[np.ndarray, " p"], max_evaluations: int = 200) -> OptimizeResult:
        """Nearest minimum of the robust error."""
        return least_squares(
            self.residuals, start, self.jacobian, loss=self.robust, x_scale="jac", max_nfev=max_evaluations
        )


def cross_matrices(vectors: Float[np.ndarray, "n 3"]) -> Float[np.ndarray, "n 3 3"]:
    """Matrices M with M @ x = vector x x."""
    matrices = np.zeros((len(vectors), 3, 3))
    for row, column, axis in ((1, 0, 2), (2, 1, 0), (0, 2, 1)):
        matrices[:, row, column] = vectors[:, axis]
        matrices[:, column, row] = -vectors[:, axis]
    return matrices


def left_jacobian(turn: Float[np.ndarray, " 3"]) -> Float[np.ndarray, "3 3"]:
    """How a small change of a rotation vector turns what is already rotated.

    Source: Barfoot 2017, "State Estimation for Robotics", equation 7.77.
    """
    angle = float(np.linalg.norm(turn))
    cross = cross_matrices(turn[None])[0]
    if angle < 1e-6:
        return np.eye(3) + cross / 2
    return np.eye(3) + (1 - np.cos(angle)) / angle**2 * cross + (angle - np.sin(angle)) / angle**3 * cross @ cross
