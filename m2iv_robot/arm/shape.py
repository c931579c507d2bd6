"""An arm's surface in the picture: which of its points each pixel shows."""

import cv2
import numpy as np
from jaxtyping import Float, Int

from m2iv_robot.camera import Camera
from m2iv_robot.kinematics import Surface

NEAREST_M = 0.02  # points nearer to the camera's plane are not shown


def placed(surface: Surface, pose: Float[np.ndarray, "l 4 4"]) -> Float[np.ndarray, "n 3"]:
    """The surface's points in the base frame."""
    turns, shifts = pose[surface.link, :3, :3], pose[surface.link, :3, 3]
    return np.einsum("nij,nj->ni", turns, surface.points_m) + shifts


def splat(
    points_m: Float[np.ndarray, "n 3"], camera: Camera, spacing_m: float, tight: bool = False
) -> Int[np.ndarray, "h w"]:
    """Which point each pixel shows, the nearest one; -1 where none. Points are squares as large as their spacing.

    So the outline lies a spacing too far out, unless it is made `tight` (a closing instead of a dilation).
    """
    depth = camera.depth_m(points_m)
    pixels = np.nan_to_num(camera.project(points_m), nan=-1e6)
    order = np.argsort(-depth)
    order = order[depth[order] > NEAREST_M]
    shown = np.full((camera.height, camera.width), -1)
    if not len(order):
        return shown
    reach = max(1, round(spacing_m * camera.focal_px / float(np.median(depth[order]))))
    offset = np.arange(-reach, reach + 1)
    x = np.round(pixels[order, 0])[:, None, None] + offset
    y = np.round(pixels[order, 1])[:, None, None] + offset[:, None]
    x, y = np.broadcast_arrays(x, y)
    inside = (x >= 0) & (x < camera.width) & (y >= 0) & (y < camera.height)
    which = np.broadcast_to(order[:, None, None], x.shape)[inside]
    shown[y[inside].astype(int), x[inside].astype(int)] = which  # of several the last stays: the nearest
    if tight:
        inner = cv2.erode((shown >= 0).astype(np.uint8), np.ones((2 * reach + 1,) * 2, np.uint8), borderValue=1)
        shown[inner == 0] = -1
    return shown
