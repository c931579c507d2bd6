"""Shadows, soft edges, and what else around a mask differs from the empty scene."""

import cv2
import numpy as np
import torch
from jaxtyping import Bool, Float

from m2iv_robot.background import apply_gains, exposure_gains, spread
from m2iv_robot.generation.records import SourceScene
from m2iv_robot.masks import dilate
from m2iv_robot.types import Plate

EDGE_PX = 0.8  # standard deviation of the soft edge of what is pasted
HOLE_PX = 3  # how far beyond the masks the source's own actor and object are taken out
CHANGED_LEVELS = 14.0  # of 255: a pixel that differs so much from the scene is not the scene
REACH_SHARE = 0.25  # of the width: how far from the masks shadows and missed pixels are looked for
SHADOW_LEVELS = 8.0  # added before brightnesses are divided, so that dark pixels do not shout
LIT_FRAMES = 64  # that are looked at for a plate without shadows
LIT_SHARE = 0.8  # of a pixel's views may be darker than its lit colour
LIT_LEVELS = 10  # of 255: by so much a lit pixel is brighter
LEAST_VIEWS = 8
UNSHADED_SHARE = 0.7  # of the views of a resting object may lie in a passing shadow
LEAST_SHADOW = 0.04  # darkening that counts
DARKEST_SHADOW = 0.35


def lit_plate(scene: SourceScene) -> Plate:
    """The plate without the shadows that lie in it because the actor spent most of its time where it throws them.

    A pixel that is now and then clearly brighter than in the median was in the shade: it takes its colour from there.
    """
    chosen = spread(len(scene.frames), LIT_FRAMES)
    frames = scene.frames[chosen]
    hidden = dilate((scene.masks.actor | scene.masks.object)[chosen], 2 * HOLE_PX + 1)
    frames = apply_gains(frames, exposure_gains(frames, scene.plate.image, hidden))
    grey = frames.to(torch.int16).sum(1).masked_fill(hidden, -1)
    ordered, place = grey.sort(0)
    views = (~hidden).sum(0)
    bright = (len(chosen) - views + (LIT_SHARE * (views - 1).clamp(min=0)).long()).clamp(max=len(chosen) - 1)[None]
    middle = (len(chosen) - views + (views - 1).clamp(min=0) // 2).clamp(max=len(chosen) - 1)[None]
    brighter = (ordered.gather(0, bright) - ordered.gather(0, middle))[0] > 3 * LIT_LEVELS
    lit = torch.gather(frames, 0, place.gather(0, bright)[:, None].expand(1, *frames.shape[1:]))[0]
    use = brighter & (views >= LEAST_VIEWS) & scene.plate.known
    return Plate(torch.where(use, lit, scene.plate.image), scene.plate.known)


def unshaded(pictures: Float[np.ndarray, "n h w 3"], hidden: Bool[np.ndarray, "n h w"]) -> Float[np.ndarray, "h w 3"]:
    """What a scene looks like when nothing throws a shadow on it: of each pixel's views one of the brightest.

    Pictures of the same things at one exposure, the clearest first; where all are `hidden`, it is the first one's.
    """
    grey = np.where(hidden, -1.0, pictures.mean(-1))
    views = (~hidden).sum(0)
    place = len(pictures) - views + np.round(UNSHADED_SHARE * np.maximum(views - 1, 0)).astype(int)
    chosen = np.take_along_axis(np.argsort(grey, axis=0), np.minimum(place, len(pictures) - 1)[None], 0)
    seen = np.take_along_axis(pictures, chosen[..., None], 0)[0]
    return np.where((views > 0)[..., None], seen, pictures[0])


def soft(
    mask: Bool[np.ndarray, "h w"] | Float[np.ndarray, "h w"], sigma_px: float = EDGE_PX
) -> Float[np.ndarray, "h w"]:
    """The mask, or how much of each pixel it covers, with a soft edge."""
    return cv2.GaussianBlur(mask.astype(np.float32), (0, 0), sigma_px)


def grown(mask: Bool[np.ndarray, "h w"], radius_px: int) -> Bool[np.ndarray, "h w"]:
    """The mask and all within a radius of it."""
    if not mask.any():
        return mask.copy()
    return cv2.distanceTransform((~mask).astype(np.uint8), cv2.DIST_L2, cv2.DIST_MASK_5) <= radius_px


def changed_around(
    picture: Float[np.ndarray, "h w 3"], plate: Float[np.ndarray, "h w 3"], covered: Bool[np.ndarray, "h w"]
) -> Bool[np.ndarray, "h w"]:
    """The covered pixels, and what joins them and differs from the scene: shadows, and pixels that the masks missed."""
    if not covered.any():
        return covered
    difference = np.abs(cv2.GaussianBlur(picture - plate, (0, 0), 1.5)).max(-1)
    return grown(joined_to(covered, difference > CHANGED_LEVELS, REACH_SHARE * covered.shape[1]), 1)


def joined_to(
    mask: Bool[np.ndarray, "h w"], candidates: Bool[np.ndarray, "h w"], reach_px: float
) -> Bool[np.ndarray, "h w"]:
    """The mask, slightly grown, and the candidates within reach that hang together with it."""
    near, reach = grown(mask, HOLE_PX), grown(mask, max(1, round(reach_px)))
    either = (candidates & reach) | near
    _count, labels = cv2.connectedComponents(either.astype(np.uint8), connectivity=8)
    return either & np.isin(labels, np.unique(labels[near]))


def shadow(
    picture: Float[np.ndarray, "h w 3"],
    plate: Float[np.ndarray, "h w 3"],
    masks: tuple[Bool[np.ndarray, "h w"], Bool[np.ndarray, "h w"]],
    reach_px: float,
) -> Float[np.ndarray, "h w"]:
    """The share of the scene's light that is left around the first mask; 1 where it throws no shadow.

    Where the second one stands nothing is known; a shadow goes no farther than `reach_px`.
    """
    mask, other = masks
    if not mask.any():
        return np.ones(mask.shape, np.float32)
    grey, bare = (cv2.GaussianBlur(image.mean(-1), (0, 0), 1.5) + SHADOW_LEVELS for image in (picture, plate))
    hidden = grown(mask | other, 2)
    ratio = np.where(hidden, 1.0, np.clip(grey / bare, DARKEST_SHADOW, 1.0)).astype(np.float32)
    weight = soft(~hidden, 4.0) + 1e-4  # under the masks the shadow goes on as beside them
    ratio = np.where(hidden, cv2.GaussianBlur(ratio * ~hidden, (0, 0), 4.0) / weight, ratio)
    dark = (1 - np.clip(ratio, DARKEST_SHADOW, 1)).astype(np.float32)
    return 1 - dark * soft(joined_to(mask, dark > LEAST_SHADOW, reach_px), 2 * EDGE_PX)
