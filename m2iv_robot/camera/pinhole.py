"""The pinhole camera: square pixels, principal point in the image's centre."""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float


@dataclass(frozen=True)
class Camera:
    """Points of the base frame (metres, z up) to pixels (x, y) and back to a horizontal plane.

    `rotation` and `translation` take base to camera axes (x right, y down, z forward, as OpenCV has them).
    """

    focal_px: float
    width: int
    height: int
    rotation: Float[np.ndarray, "3 3"]
    translation: Float[np.ndarray, " 3"]

    @property
    def centre_px(self) -> Float[np.ndarray, " 2"]:
        """Principal point."""
        return np.array([(self.width - 1) / 2, (self.height - 1) / 2])

    @property
    def position_m(self) -> Float[np.ndarray, " 3"]:
        """Where the camera is, base frame."""
        return -self.rotation.T @ self.translation

    @property
    def intrinsics(self) -> Float[np.ndarray, "3 3"]:
        """Camera matrix as OpenCV has it."""
        x, y = self.centre_px
        return np.array([[self.focal_px, 0.0, x], [0.0, self.focal_px, y], [0.0, 0.0, 1.0]])

    def depth_m(self, points_m: Float[np.ndarray, "n 3"]) -> Float[np.ndarray, " n"]:
        """Distance in front of the camera, along its axis; negative behind it."""
        return points_m @ self.rotation[2] + self.translation[2]

    def project(self, points_m: Float[np.ndarray, "n 3"]) -> Float[np.ndarray, "n 2"]:
        """Pixels of points; NaN for a point that is not in front of the camera."""
        seen = points_m @ self.rotation.T + self.translation
        depth = np.where(seen[:, 2:] > 1e-6, seen[:, 2:], np.nan)
        return self.focal_px * seen[:, :2] / depth + self.centre_px

    def unproject(self, pixels: Float[np.ndarray, "n 2"], plane_z_m: float) -> Float[np.ndarray, "n 3"]:
        """Where the pixels' rays meet the plane z = `plane_z_m`; NaN where a ray does not meet it in front."""
        rays = np.concatenate([(pixels - self.centre_px) / self.focal_px, np.ones((len(pixels), 1))], axis=1)
        rays = rays @ self.rotation
        height = plane_z_m - self.position_m[2]
        falls = np.where(np.abs(rays[:, 2]) > 1e-9, rays[:, 2], np.nan)
        distance = height / falls
        return self.position_m + np.where(distance > 0, distance, np.nan)[:, None] * rays

    def visible(self, points_m: Float[np.ndarray, "n 3"]) -> Bool[np.ndarray, " n"]:
        """Whether points fall inside the image."""
        pixels = self.project(points_m)
        inside = (pixels >= -0.5) & (pixels <= np.array([self.width, self.height]) - 0.5)
        return inside.all(1)

    def px_per_m(self, points_m: Float[np.ndarray, "n 3"]) -> Float[np.ndarray, " n"]:
        """Image scale at points: how large something there appears."""
        return self.focal_px / self.depth_m(points_m)
