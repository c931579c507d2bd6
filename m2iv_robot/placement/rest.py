"""The whole outline of the object where it rests."""

import cv2
import numpy as np
from jaxtyping import Bool
from torch import Tensor

from m2iv_robot.errors import PlanError
from m2iv_robot.masks import area

TURN_DEG = 15  # between the ways in which one outline is laid over another
MOST_SCALE = 2.0  # of an outline's sides: nearer or farther, or a part is hidden


def resting_mask(masks: Bool[Tensor, "t h w"], span: tuple[int, int]) -> Bool[Tensor, "h w"]:
    """The object's mask in the frames [first, last) where it is least hidden: the middle one by size of the largest.

    Raises:
        PlanError: the object is not seen there.
    """
    first, last = span
    sizes = area(masks[first:last])
    if not len(sizes) or int(sizes.max()) == 0:
        raise PlanError(f"the object is not seen in frames {first} to {last - 1}; correct the masks or give a prompt")
    clear = (sizes >= 0.9 * sizes.double().quantile(0.9)).nonzero()[:, 0]
    middle = clear[sizes[clear].argsort()[len(clear) // 2]]
    return masks[first + int(middle)]


def likeness(start: Bool[Tensor, "h w"], goal: Bool[Tensor, "h w"]) -> float:
    """How well one outline covers the other once it is moved, turned and scaled: the best intersection over union.

    A thing that was carried keeps its shape; a towel that was folded does not, nor do two things that are not the same.
    """
    first, second = (mask.numpy().astype(np.uint8) for mask in (start, goal))
    areas = first.sum(dtype=np.int64), second.sum(dtype=np.int64)
    scale = np.sqrt(areas[1] / areas[0])
    if not 1 / MOST_SCALE <= scale <= MOST_SCALE:
        return 0.0
    centres = [np.argwhere(mask)[:, ::-1].mean(0) for mask in (first, second)]
    best = 0.0
    for turn in np.deg2rad(np.arange(0, 360, TURN_DEG)):
        for size in (1.0, scale):
            matrix = size * np.array([[np.cos(turn), -np.sin(turn)], [np.sin(turn), np.cos(turn)]])
            warp = np.concatenate([matrix, (centres[1] - matrix @ centres[0])[:, None]], axis=1)
            laid = cv2.warpAffine(first, warp, first.shape[::-1])
            best = max(best, float((laid & second).sum() / max(1, (laid | second).sum())))
    return best
