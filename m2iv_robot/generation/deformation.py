"""A picture bent so that some of its points come to lie elsewhere, and all between them as rigidly as can be."""

import cv2
import numpy as np
from jaxtyping import Float

GRID_STEP_PX = 4  # the field is smooth: it is computed this coarsely and interpolated
SOFTEST_SHARE = 0.03  # of the handles' own extent: handles nearer than this count alike
MOST_SCALE = 1.2  # by which a part of the picture grows or shrinks


def bend_points(
    points: Float[np.ndarray, "n 2"], handles: Float[np.ndarray, "k 2"], goals: Float[np.ndarray, "k 2"]
) -> Float[np.ndarray, "n 2"]:
    """Where `points` go when each of the `handles` goes to its goal: a similarity of its own for each point.

    Source: Schaefer et al. 2006, "Image Deformation Using Moving Least Squares", section 2.2.
    """
    softest = SOFTEST_SHARE * np.linalg.norm(np.ptp(handles, axis=0)) + 2.0
    weight = 1.0 / (((points[:, None] - handles[None]) ** 2).sum(-1) + softest**2)  # n k
    weight /= weight.sum(1, keepdims=True)
    centre, goal_centre = weight @ handles, weight @ goals
    before = handles[None] - centre[:, None]  # n k 2
    after = goals[None] - goal_centre[:, None]
    spread = (weight * (before**2).sum(-1)).sum(1) + 1e-9
    along = (weight * (before * after).sum(-1)).sum(1) / spread
    across = (weight * (before[..., 0] * after[..., 1] - before[..., 1] * after[..., 0])).sum(1) / spread
    length = np.hypot(along, across)
    limited = np.clip(length, 1 / MOST_SCALE, MOST_SCALE) / np.maximum(length, 1e-9)
    along, across = along * limited, across * limited
    away = points - centre
    turned = np.stack([along * away[:, 0] - across * away[:, 1], across * away[:, 0] + along * away[:, 1]], 1)
    return turned + goal_centre


def bend_field(
    handles: Float[np.ndarray, "k 2"], goals: Float[np.ndarray, "k 2"], height: int, width: int
) -> Float[np.ndarray, "{height} {width} 2"]:
    """For every pixel of the bent picture, where in the original it comes from."""
    rows, columns = (-(-size // GRID_STEP_PX) + 1 for size in (height, width))
    y, x = np.meshgrid(np.arange(rows) * GRID_STEP_PX, np.arange(columns) * GRID_STEP_PX, indexing="ij")
    points = np.stack([x.ravel(), y.ravel()], 1).astype(np.float64)
    offset = (bend_points(points, goals, handles) - points).reshape(rows, columns, 2).astype(np.float32)
    pixel_y, pixel_x = np.meshgrid(
        np.arange(height, dtype=np.float32), np.arange(width, dtype=np.float32), indexing="ij"
    )
    smooth = cv2.remap(offset, pixel_x / GRID_STEP_PX, pixel_y / GRID_STEP_PX, cv2.INTER_LINEAR)
    return smooth + np.stack([pixel_x, pixel_y], -1)


def scale_field(
    centre: tuple[float, float], shift_px: tuple[float, float], scale: float, height: int, width: int
) -> Float[np.ndarray, "{height} {width} 2"]:
    """For every pixel of a picture moved by `shift_px` and scaled about `centre`, where it comes from."""
    y, x = np.meshgrid(np.arange(height, dtype=np.float32), np.arange(width, dtype=np.float32), indexing="ij")
    middle, moved = np.asarray(centre, np.float32), np.asarray(shift_px, np.float32)
    return (np.stack([x, y], -1) - middle - moved) / np.float32(scale) + middle


def pull[Picture: np.ndarray](picture: Picture, field: Float[np.ndarray, "h w 2"]) -> Picture:
    """The picture seen through a field; beyond its border it goes on with its outermost pixels."""
    return cv2.remap(picture, field[..., 0], field[..., 1], cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
