"""Rigid motions of the support plane, blended in and out: what a new place of the object does to tool poses."""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float
from scipy.spatial.transform import Rotation


def minimum_jerk(share: Float[np.ndarray, " n"]) -> Float[np.ndarray, " n"]:
    """The rest-to-rest profile of least jerk: 0 up to 0, 1 from 1 on, flat at both ends.

    Source: Flash & Hogan 1985, "The coordination of arm movements", equation 4.
    """
    u = np.clip(share, 0.0, 1.0)
    return u**3 * (10.0 - 15.0 * u + 6.0 * u**2)


@dataclass(frozen=True)
class ArmAxes:
    """What an arm with fewer than six joints turns about: its base joint and its last joint."""

    pivot_xy: tuple[float, float]  # metres, base frame: where the vertical base axis stands
    roll_axis: tuple[float, float, float]  # unit vector, tool frame


@dataclass(frozen=True)
class Warp:
    """A turn about a vertical axis and a slide on the plane; the tool leans and rolls about the object besides."""

    pivot_xy: Float[np.ndarray, " 2"]
    turn_rad: float
    slide_xy: Float[np.ndarray, " 2"]  # metres, applied before the turn
    lean: Float[np.ndarray, " 3"]  # rotation vector, base frame, applied before the turn
    roll: Float[np.ndarray, " 3"]  # rotation vector, tool frame
    centre: Float[np.ndarray, " 3"]  # metres, tool frame: the object's centre, which leaning and rolling do not move

    def motion(self) -> Float[np.ndarray, "4 4"]:
        """What all of it does to points, as a rigid motion of the base frame."""
        matrix = np.eye(4)
        matrix[:3, :3] = rotations(np.array([0.0, 0.0, self.turn_rad]), np.ones(1))[0]
        matrix[:2, 3] = self.pivot_xy + matrix[:2, :2] @ (self.slide_xy - self.pivot_xy)
        return matrix

    def points(self, points_m: Float[np.ndarray, "n 3"], share: Float[np.ndarray, " n"]) -> Float[np.ndarray, "n 3"]:
        """Move points of the plane (and above it) by `share` of the warp; leaning and rolling do not concern them."""
        angle = share * self.turn_rad
        arm = points_m[:, :2] + share[:, None] * self.slide_xy - self.pivot_xy
        x = np.cos(angle) * arm[:, 0] - np.sin(angle) * arm[:, 1]
        y = np.sin(angle) * arm[:, 0] + np.cos(angle) * arm[:, 1]
        return np.stack([x + self.pivot_xy[0], y + self.pivot_xy[1], points_m[:, 2]], axis=1)

    def poses(self, poses: Float[np.ndarray, "n 4 4"], share: Float[np.ndarray, " n"]) -> Float[np.ndarray, "n 4 4"]:
        """Move tool poses (base frame) by `share` of the warp; the tool keeps its height above the plane."""
        turn = rotations(np.array([0.0, 0.0, self.turn_rad]), share)
        warped = np.tile(np.eye(4), (len(poses), 1, 1))
        warped[:, :3, :3] = turn @ rotations(self.lean, share) @ poses[:, :3, :3] @ rotations(self.roll, share)
        centre = poses[:, :3, 3] + poses[:, :3, :3] @ self.centre
        warped[:, :3, 3] = self.points(centre, share) - warped[:, :3, :3] @ self.centre
        warped[:, 2, 3] = poses[:, 2, 3]
        return warped


def rotations(vector: Float[np.ndarray, " 3"], share: Float[np.ndarray, " n"]) -> Float[np.ndarray, "n 3 3"]:
    """Shares of one rotation."""
    return Rotation.from_rotvec(share[:, None] * vector).as_matrix()


def place_warp(
    object_m: Float[np.ndarray, " 3"],
    shift_m: tuple[float, float],
    grasp_pose: Float[np.ndarray, "4 4"],
    axes: ArmAxes | None,
    lean_and_roll_rad: tuple[float, float] = (0.0, 0.0),
) -> Warp:
    """The warp that carries the object at `object_m` by `shift_m` and the tool with it.

    An arm of six joints or more (`axes` None) keeps the tool's orientation. One of five cannot once the tool is tilted:
    it turns with its base, and leans outward and rolls by what is asked.
    """
    slide = np.asarray(shift_m, dtype=np.float64)
    centre = grasp_pose[:3, :3].T @ (object_m - grasp_pose[:3, 3])
    if axes is None:
        return Warp(np.zeros(2), 0.0, slide, np.zeros(3), np.zeros(3), centre)
    pivot = np.asarray(axes.pivot_xy)
    old, new = object_m[:2] - pivot, object_m[:2] + slide - pivot
    turn = float(np.arctan2(old[0] * new[1] - old[1] * new[0], old @ new))
    outward = old / np.linalg.norm(old)
    slide_before_turn = outward * (np.linalg.norm(new) - np.linalg.norm(old))
    lean = lean_and_roll_rad[0] * np.array([outward[1], -outward[0], 0.0])
    return Warp(pivot, turn, slide_before_turn, lean, lean_and_roll_rad[1] * np.asarray(axes.roll_axis), centre)
