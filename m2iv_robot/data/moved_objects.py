"""Which region of a fixed camera's picture an object left, and which it came to."""

from dataclasses import dataclass

import cv2
import numpy as np
from jaxtyping import Bool, Float, UInt8

MIN_MATCH = 0.35  # histogram overlap from which the thing that left and the thing that came look the same
FOUND_RATIO = 1.25  # how much less a region continues its surroundings where the object is than where it is not


@dataclass(frozen=True)
class MovedObject:
    """The object's pixels before and after."""

    start: Bool[np.ndarray, "h w"]
    goal: Bool[np.ndarray, "h w"]
    changed: Bool[np.ndarray, "h w"]  # everything that differs, explained or not
    colours: Float[np.ndarray, "n 3"]  # Lab samples of the object


def rest_scenes(
    frames: UInt8[np.ndarray, "t h w 3"], covered: Bool[np.ndarray, "t h w"]
) -> tuple[UInt8[np.ndarray, "h w 3"], UInt8[np.ndarray, "h w 3"], Bool[np.ndarray, "h w"]]:
    """The scene without the robot, before and after: each pixel's first and last bare look, and whether it has any."""
    seen = (~covered).any(0)
    first, last = (~covered).argmax(0), len(covered) - 1 - (~covered)[::-1].argmax(0)
    before = np.take_along_axis(frames, first[None, ..., None], axis=0)[0]
    after = np.take_along_axis(frames, last[None, ..., None], axis=0)[0]
    return before, after, seen


def strangeness(image: UInt8[np.ndarray, "h w 3"], region: Bool[np.ndarray, "h w"]) -> float:
    """How little a region looks like its surroundings continued into it; mean Lab distance."""
    filled = cv2.inpaint(image, region.astype(np.uint8), 3, cv2.INPAINT_TELEA)
    labs = [cv2.cvtColor(each.astype(np.float32) / 255, cv2.COLOR_RGB2LAB) for each in (image, filled)]
    return float(np.linalg.norm(labs[0] - labs[1], axis=-1)[region].mean())


def overlap(first: Float[np.ndarray, "n 3"], second: Float[np.ndarray, "m 3"]) -> float:
    """Overlap of two sets of Lab colours as coarse histograms; 1 where they are the same, 0 where disjoint."""
    edges = (np.linspace(0, 100, 6), np.linspace(-80, 80, 12), np.linspace(-80, 80, 12))
    counts = [
        cv2.GaussianBlur(np.histogramdd(colours, bins=edges)[0].reshape(5, 121), (1, 3), 0)
        for colours in (first, second)
    ]
    return float(np.minimum(counts[0] / max(len(first), 1), counts[1] / max(len(second), 1)).sum())


def find_moved_object(
    before: UInt8[np.ndarray, "h w 3"], after: UInt8[np.ndarray, "h w 3"], changed: Bool[np.ndarray, "h w"], min_px: int
) -> MovedObject | None:
    """The one object whose region at the start and at the goal agree in colour and size; None where that is unclear.

    `changed` holds the pixels that differ between the two scenes.
    """
    count, parts, statistics, _ = cv2.connectedComponentsWithStats(changed.astype(np.uint8), connectivity=8)
    lab_before, lab_after = (
        cv2.cvtColor(image.astype(np.float32) / 255, cv2.COLOR_RGB2LAB) for image in (before, after)
    )
    left, came = [], []
    for part in range(1, count):
        region = parts == part
        if not min_px <= statistics[part, cv2.CC_STAT_AREA]:
            continue
        was, is_now = strangeness(before, region), strangeness(after, region)
        if was > FOUND_RATIO * is_now:
            left.append(region)
        elif is_now > FOUND_RATIO * was:
            came.append(region)
    pairs = [
        (
            overlap(lab_before[start], lab_after[goal])
            * min(start.sum(), goal.sum())
            / max(start.sum(), goal.sum()) ** 1.0,
            i,
            j,
        )
        for i, start in enumerate(left)
        for j, goal in enumerate(came)
    ]
    pairs.sort(reverse=True)
    if not pairs or pairs[0][0] < MIN_MATCH * 0.5 or (len(pairs) > 1 and pairs[1][0] > 0.8 * pairs[0][0]):
        return None
    start, goal = left[pairs[0][1]], came[pairs[0][2]]
    if overlap(lab_before[start], lab_after[goal]) < MIN_MATCH:
        return None
    colours = np.concatenate([lab_before[start], lab_after[goal]])
    return MovedObject(start, goal, changed, colours)
