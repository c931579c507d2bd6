"""Where the details of one image are in another: corners on a grid, followed by pyramidal Lucas-Kanade."""

from dataclasses import dataclass

import cv2
import numpy as np
from jaxtyping import Bool, Float, UInt8
from torch import Tensor

CELL_PX = 16.0  # one corner in each cell, for an image 320 wide: textured places do not outvote plain ones
CORNER_WINDOW_PX = 5
LEAST_CORNER = 2e-4  # smaller eigenvalue of the gradient matrix, OpenCV's scale for 8-bit images
LOOP_PX = 1.0  # a track must come back to where it began
TRACK_WINDOW_PX = 15
ALIKE_SHARE = 0.5  # of a neighbourhood's contrast: a match differs by less


@dataclass(frozen=True)
class Tracks:
    """Corners of one image and how far each has moved in another."""

    moved_px: Float[np.ndarray, "n 2"]
    found: Bool[np.ndarray, " n"]

    def share_within(self, limit_px: float) -> float:
        """Share of all corners that are found again within `limit_px` of where they were."""
        near = self.found & (np.linalg.norm(self.moved_px, axis=1) < limit_px)
        return float(near.mean())

    @property
    def median_px(self) -> float:
        """Median displacement of the corners found again; NaN when none was."""
        lengths = np.linalg.norm(self.moved_px, axis=1)[self.found]
        return float(np.median(lengths)) if len(lengths) else float("nan")


def grey(image: UInt8[Tensor, "3 h w"]) -> UInt8[np.ndarray, "h w"]:
    """Luminance of an RGB image."""
    return cv2.cvtColor(np.ascontiguousarray(image.cpu().numpy().transpose(1, 2, 0)), cv2.COLOR_RGB2GRAY)


def corners(image: UInt8[np.ndarray, "h w"]) -> Float[np.ndarray, "n 2"]:
    """The strongest corner of every grid cell that has one, as pixels."""
    height, width = image.shape
    strength = cv2.cornerMinEigenVal(image, CORNER_WINDOW_PX)
    cell = max(6, round(CELL_PX * width / 320))
    found = []
    for top in range(0, height - cell + 1, cell):
        for left in range(0, width - cell + 1, cell):
            block = strength[top : top + cell, left : left + cell]
            best = int(block.argmax())
            if block.flat[best] > LEAST_CORNER:
                found.append((left + best % cell, top + best // cell))
    return np.array(found, dtype=np.float32).reshape(-1, 2)


def track(
    source: UInt8[np.ndarray, "h w"], target: UInt8[np.ndarray, "h w"], points: Float[np.ndarray, "n 2"]
) -> Tracks:
    """Follow corners of `source` into `target` and back again.

    First nearby, where what passes at some distance does not disturb; then far, for the corners not found nearby.

    Source: Bouguet 2001, "Pyramidal implementation of the Lucas Kanade feature tracker".
    """
    near, far = (follow(source, target, points, levels) for levels in (0, 3))
    moved = np.where(near.found[:, None], near.moved_px, far.moved_px)
    return Tracks(moved_px=moved, found=near.found | far.found)


def follow(
    source: UInt8[np.ndarray, "h w"],
    target: UInt8[np.ndarray, "h w"],
    points: Float[np.ndarray, "n 2"],
    levels: int,
) -> Tracks:
    """Track with a pyramid of `levels` halvings; what ends elsewhere on its way back is not found."""
    begin = points.astype(np.float32)[:, None]
    window = (TRACK_WINDOW_PX, TRACK_WINDOW_PX)
    there, forward, difference = cv2.calcOpticalFlowPyrLK(source, target, begin, None, winSize=window, maxLevel=levels)
    back, backward, _ = cv2.calcOpticalFlowPyrLK(target, source, there, None, winSize=window, maxLevel=levels)
    loop = np.linalg.norm((back - begin)[:, 0], axis=1)
    difference = np.where(forward > 0, difference, np.inf).ravel()  # undefined where the track was lost
    alike = difference < ALIKE_SHARE * contrast(source, points)
    found = (forward.ravel() > 0) & (backward.ravel() > 0) & (loop < LOOP_PX) & alike
    return Tracks(moved_px=(there - begin)[:, 0].astype(float), found=found)


def contrast(image: UInt8[np.ndarray, "h w"], points: Float[np.ndarray, "n 2"]) -> Float[np.ndarray, " n"]:
    """Mean difference of neighbourhoods from their own mean: what a chance match would be off by."""
    values = image.astype(np.float32)
    spread = cv2.blur(np.abs(values - cv2.blur(values, (TRACK_WINDOW_PX, TRACK_WINDOW_PX))), (TRACK_WINDOW_PX,) * 2)
    x, y = np.round(points).astype(int).T
    return spread[y, x].astype(float)
