"""The gripper's tip in the actor's mask: the place farthest along the arm from where the arm comes from."""

import cv2
import numpy as np
from jaxtyping import Bool, Float, Int
from torch import Tensor

STANDING_SHARE = 0.95  # of the frames: pixels of the arm's base
LEAST_ROOT_PX = 20  # for an image 320 wide
TIP_PX = 3.0  # depth of the tip's region along the arm, for an image 320 wide
BORDER_PX = 3


def arm_tips(actor: Bool[Tensor, "t h w"]) -> Float[np.ndarray, "t 2"]:
    """Pixel of the tip per frame; NaN where the arm is not seen or its tip leaves the image.

    The arm comes from its standing base, or, where that is out of view, from the image's border.
    """
    masks = actor.cpu().numpy()
    root = base_end(masks)
    return np.array([tip_of(mask, mask & root) for mask in masks]).reshape(-1, 2)


def base_end(masks: Bool[np.ndarray, "t h w"]) -> Bool[np.ndarray, "h w"]:
    """The part of the standing pixels that is farthest from the moving ones; the border where nothing stands."""
    standing = masks.mean(0) > STANDING_SHARE
    count, labels, facts, _ = cv2.connectedComponentsWithStats(standing.astype(np.uint8), connectivity=8)
    if count < 2 or facts[1:, cv2.CC_STAT_AREA].max() < LEAST_ROOT_PX * (masks.shape[2] / 320) ** 2:
        return border(masks.shape[1:])
    standing = labels == 1 + facts[1:, cv2.CC_STAT_AREA].argmax()
    moving = (masks.any(0) & ~standing).astype(np.uint8)
    steps = steps_from(standing, cv2.dilate(moving, np.ones((3, 3), np.uint8)) > 0)
    return steps >= steps.max() - TIP_PX * masks.shape[2] / 320


def border(shape: tuple[int, ...]) -> Bool[np.ndarray, "h w"]:
    """The outermost pixels of an image."""
    frame = np.ones(shape, dtype=bool)
    frame[1:-1, 1:-1] = False
    return frame


def tip_of(mask: Bool[np.ndarray, "h w"], root: Bool[np.ndarray, "h w"]) -> Float[np.ndarray, "2"]:
    """Centre of the pixels farthest from `root` on the way through the mask."""
    steps = steps_from(mask, root)
    reached = steps >= 0
    if not reached.any() or steps.max() < 2:
        return np.full(2, np.nan)
    depth = max(1.0, TIP_PX * mask.shape[1] / 320)
    y, x = np.nonzero(steps > steps.max() - depth)
    height, width = mask.shape
    inside = min(x.min(), y.min(), width - 1 - x.max(), height - 1 - y.max()) >= BORDER_PX
    return np.array([x.mean(), y.mean()]) if inside else np.full(2, np.nan)


def steps_from(mask: Bool[np.ndarray, "h w"], root: Bool[np.ndarray, "h w"]) -> Int[np.ndarray, "h w"]:
    """Length in steps of the shortest way inside the mask from `root`; -1 where there is none.

    Steps go to four and to eight neighbours in turn, which makes the fronts octagons.
    """
    steps = np.full(mask.shape, -1)
    allowed, front = mask.astype(np.uint8), (mask & root).astype(np.uint8)
    steps[front > 0] = 0
    kernels = [cv2.getStructuringElement(shape, (3, 3)) for shape in (cv2.MORPH_CROSS, cv2.MORPH_RECT)]
    for step in range(1, mask.size):
        grown = cv2.dilate(front, kernels[step % 2]) & allowed
        new = (grown > 0) & (steps < 0)
        if not new.any():
            break
        steps[new] = step
        front = grown
    return steps
