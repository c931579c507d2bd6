"""How much moves in an episode, and the filter that drops the stillest ones."""

import itertools
from collections.abc import Sequence

import cv2
import numpy as np
from jaxtyping import Bool, Float, UInt8
from torch import Tensor

from m2iv_robot.types import MaskTrajectory

FLOW_WIDTH_PX = 160  # flow is measured on frames of this width


def mask_motion_score(masks: MaskTrajectory) -> float:
    """Path length of the actor's and the object's centroid, summed, as a share of the picture's diagonal.

    A frame in which one is not seen counts as no displacement of that one.
    Source: Mask2IV, "Benchmark Construction": a score "based on the displacement of the hand and the object".
    """
    diagonal = float(np.hypot(*masks.actor.shape[1:]))
    return (_path_length_px(masks.actor) + _path_length_px(masks.object)) / diagonal


def flow_motion_score(frames: UInt8[Tensor, "t 3 h w"]) -> float:
    """The same without masks: mean displacement of the moving part per frame by optical flow, summed over the episode.

    The moving part is the tenth of the pixels that move most, so a small arm in a large still scene counts; the median
    flow is taken off first, so a camera that shakes does not. In shares of the diagonal.
    Source: Farneback 2003, "Two-Frame Motion Estimation Based on Polynomial Expansion" (OpenCV).
    """
    grey = [_small_grey(frame) for frame in frames.permute(0, 2, 3, 1).numpy()]
    diagonal = float(np.hypot(*grey[0].shape))
    total = 0.0
    for before, after in itertools.pairwise(grey):
        flow = cv2.calcOpticalFlowFarneback(before, after, None, 0.5, 3, 15, 2, 5, 1.1, 0)
        speed = np.linalg.norm(flow - np.median(flow, axis=(0, 1)), axis=-1).ravel()
        count = max(speed.size // 10, 1)
        total += float(np.partition(speed, -count)[-count:].mean())
    return total / diagonal


def keep_moving(scores: Sequence[float] | Float[np.ndarray, " n"], percentile: float = 5.0) -> Bool[np.ndarray, " n"]:
    """Which episodes to keep: those whose score is not below the `percentile`-th percentile of all scores.

    Source: Mask2IV, "Benchmark Construction": "videos falling below the 5th percentile [...] are filtered out".
    """
    values = np.asarray(scores, dtype=np.float64)
    if values.size == 0:
        return np.zeros(0, bool)
    return values >= np.percentile(values, percentile)


def _path_length_px(mask: Bool[Tensor, "t h w"]) -> float:
    height, width = mask.shape[1:]
    pixels = mask.numpy().view(np.uint8)
    columns, rows = pixels.sum(1, dtype=np.uint32), pixels.sum(2, dtype=np.uint32)
    area = rows.sum(1)
    x = (columns @ np.arange(width)) / np.maximum(area, 1)
    y = (rows @ np.arange(height)) / np.maximum(area, 1)
    seen = area > 0
    steps = np.hypot(np.diff(x), np.diff(y))
    return float(steps[seen[1:] & seen[:-1]].sum())


def _small_grey(frame: UInt8[np.ndarray, "h w 3"]) -> UInt8[np.ndarray, "small_h small_w"]:
    height, width = frame.shape[:2]
    grey = cv2.cvtColor(np.ascontiguousarray(frame), cv2.COLOR_RGB2GRAY)
    if width <= FLOW_WIDTH_PX:
        return grey
    size = (FLOW_WIDTH_PX, max(round(height * FLOW_WIDTH_PX / width), 1))
    return cv2.resize(grey, size, interpolation=cv2.INTER_AREA)
