"""An exemplar: real frames of the same camera warped onto wanted masks; a network need not invent what it can copy.

Actor and object are looked up apart. Of all allowed frames and a few ways to lay one mask over another (as it is,
moved, turned and stretched about the place where the arm enters the picture) the best overlap wins; what the warped
pixels do not reach takes the nearest one's colour.
"""

from dataclasses import dataclass

import cv2
import numpy as np
import torch
from jaxtyping import Bool, Float, Int, UInt8
from torch import Tensor

from m2iv_robot.background import soft_edge, spread
from m2iv_robot.types import MaskTrajectory, Plate

SEARCH_WIDTH_PX = 96  # masks are compared at this width
SOURCE_FRAMES = 48  # that are searched at most
REACH_SHARE = 0.08  # of the width: how far a pixel's colour is carried into what no warped pixel reaches
MOST_STRETCH = 1.6  # of a warp, and its inverse the least


@dataclass(frozen=True)
class Exemplar:
    """Colours for wanted masks; `known` is where there are any, inside the masks."""

    image: UInt8[Tensor, "t 3 h w"]
    known: Bool[Tensor, "t h w"]
    actor_frame: Int[Tensor, " t"]  # the real frame that the actor came from; -1: none
    object_frame: Int[Tensor, " t"]


@dataclass(frozen=True)
class Choice:
    """A real frame and the affine map (2 x 3, source pixel -> wanted pixel) that lays its mask over a wanted one."""

    frame: int
    warp: Float[np.ndarray, "2 3"]
    overlap: float


def build_exemplar(
    frames: UInt8[Tensor, "n 3 h w"],
    masks: MaskTrajectory,
    wanted: MaskTrajectory,
    allowed: Bool[Tensor, "t n"] | None = None,
) -> Exemplar:
    """Actor and object of the best-fitting real frames, warped onto the wanted masks.

    `allowed[i, j]`: real frame j may serve wanted frame i (None: all may); a test must leave out the frames around i.
    """
    length, height, width = wanted.actor.shape
    image = np.zeros((length, height, width, 3), np.uint8)
    known = np.zeros((length, height, width), bool)
    usable = np.ones((length, frames.shape[0]), bool) if allowed is None else allowed.numpy()
    if frames.shape[0] > SOURCE_FRAMES:
        thinned = np.zeros(frames.shape[0], bool)
        thinned[spread(frames.shape[0], SOURCE_FRAMES)] = True
        usable = usable & thinned
    pictures = frames.permute(0, 2, 3, 1).contiguous().numpy()
    used = {}
    for part in ("object", "actor"):
        real, goal = getattr(masks, part).numpy(), getattr(wanted, part).numpy()
        choices = choose(real, goal, usable, anchored=part == "actor")
        used[part] = torch.tensor([-1 if choice is None else choice.frame for choice in choices])
        for index, choice in enumerate(choices):
            if choice is not None:
                colours, reached = lay_over(pictures[choice.frame], real[choice.frame], goal[index], choice.warp)
                image[index][reached] = colours[reached]
                known[index] |= reached
    return Exemplar(
        torch.from_numpy(image).permute(0, 3, 1, 2).contiguous(), torch.from_numpy(known), used["actor"], used["object"]
    )


def cut_and_paste(plate: Plate, exemplar: Exemplar, edge_px: float = 0.7) -> UInt8[Tensor, "t 3 h w"]:
    """The exemplar's actor and object on the clean plate: what can be had without a network."""
    alpha = soft_edge(exemplar.known, edge_px)[:, None]
    filled = torch.stack([_spread_colours(*pair) for pair in zip(exemplar.image, exemplar.known, strict=True)])
    blended = alpha * filled.float() + (1 - alpha) * plate.image.float()
    return blended.round().clamp(0, 255).to(torch.uint8)


def choose(
    real: Bool[np.ndarray, "n h w"],
    wanted: Bool[np.ndarray, "t h w"],
    usable: Bool[np.ndarray, "t n"],
    anchored: bool,
) -> list[Choice | None]:
    """The best real frame and warp for each wanted mask; None where the mask is empty or nothing is usable."""
    scale = min(1.0, SEARCH_WIDTH_PX / wanted.shape[2])
    size = (round(wanted.shape[2] * scale), round(wanted.shape[1] * scale))
    small_real = [_shrunk(mask, size) for mask in real]
    small_wanted = [_shrunk(mask, size) for mask in wanted]
    marks = [landmarks(mask) if mask.any() else None for mask in small_real]
    choices: list[Choice | None] = []
    for index, goal in enumerate(small_wanted):
        best, target = None, landmarks(goal) if goal.any() else None
        for frame in np.flatnonzero(usable[index]) if target is not None else ():
            if marks[frame] is None:
                continue
            for warp in warps(marks[frame], target, anchored):
                overlap = _overlap(cv2.warpAffine(small_real[frame], warp, size), goal)
                if best is None or overlap > best.overlap:
                    best = Choice(int(frame), warp, overlap)
        choices.append(None if best is None else _full_size(best, scale))
    return choices


@dataclass(frozen=True)
class Landmarks:
    """Places of a mask (x, y) that a warp can bring together."""

    centre: Float[np.ndarray, " 2"]
    low: Float[np.ndarray, " 2"]  # corners of its box
    high: Float[np.ndarray, " 2"]
    area: float
    root: Float[np.ndarray, " 2"] | None  # where it enters the picture
    tip: Float[np.ndarray, " 2"] | None  # farthest from there


def landmarks(mask: UInt8[np.ndarray, "h w"]) -> Landmarks:
    """Landmarks of a mask that is not empty."""
    y, x = np.nonzero(mask)
    points = np.stack([x, y], 1).astype(np.float64)
    height, width = mask.shape
    border = (x == 0) | (y == 0) | (x == width - 1) | (y == height - 1)
    root = tip = None
    if border.sum() >= 3:
        root = points[border].mean(0)
        distance = np.linalg.norm(points - root, axis=1)
        tip = points[distance >= np.quantile(distance, 0.97)].mean(0)
    return Landmarks(points.mean(0), points.min(0), points.max(0), float(len(points)), root, tip)


def warps(source: Landmarks, target: Landmarks, anchored: bool) -> list[Float[np.ndarray, "2 3"]]:
    """Ways to lay a mask over another: as it is, moved, moved and scaled, turned about its root."""
    found = [_similarity(np.eye(2), np.zeros(2)), _similarity(np.eye(2), target.centre - source.centre)]
    if anchored and source.root is not None and target.root is not None:
        found.append(_similarity(np.eye(2), target.tip - source.tip))
        before, after = complex(*(source.tip - source.root)), complex(*(target.tip - target.root))
        turn = after / before if abs(before) > 1 else 1.0
        if 1 / MOST_STRETCH < abs(turn) < MOST_STRETCH:
            matrix = np.array([[turn.real, -turn.imag], [turn.imag, turn.real]])
            found.append(_similarity(matrix, target.root - matrix @ source.root))
    if not anchored:
        scale = np.sqrt(target.area / source.area)
        if 1 / MOST_STRETCH < scale < MOST_STRETCH:
            found.append(_similarity(scale * np.eye(2), target.centre - scale * source.centre))
        for first in (source.low, source.high):  # partly hidden: one corner of the boxes agrees
            for second in (source.low, source.high):
                corner = np.array([first[0], second[1]])
                goal = np.array(
                    [
                        (target.low if first is source.low else target.high)[0],
                        (target.low if second is source.low else target.high)[1],
                    ]
                )
                found.append(_similarity(np.eye(2), goal - corner))
    return found


def bend(
    mask: Bool[np.ndarray, "h w"], tip: Float[np.ndarray, " 2"], wanted_tip: Float[np.ndarray, " 2"]
) -> Bool[np.ndarray, "h w"]:
    """An actor's mask turned and stretched about the place where it enters the picture: `tip` comes to `wanted_tip`.

    It is moved as a whole where it does not enter the picture or would be stretched too far.
    """
    tip, wanted_tip = np.asarray(tip, np.float64), np.asarray(wanted_tip, np.float64)
    warp = _similarity(np.eye(2), wanted_tip - tip)
    root = landmarks(mask.astype(np.uint8)).root if mask.any() else None
    if root is not None:
        before, after = complex(*(tip - root)), complex(*(wanted_tip - root))
        turn = after / before if abs(before) > 1 else 1.0
        if 1 / MOST_STRETCH < abs(turn) < MOST_STRETCH:
            matrix = np.array([[turn.real, -turn.imag], [turn.imag, turn.real]])
            warp = _similarity(matrix, root - matrix @ root)
    size = (mask.shape[1], mask.shape[0])
    return cv2.warpAffine(mask.astype(np.uint8), warp, size, borderMode=cv2.BORDER_REPLICATE) > 0


def lay_over(
    picture: UInt8[np.ndarray, "h w 3"],
    mask: Bool[np.ndarray, "h w"],
    wanted: Bool[np.ndarray, "h w"],
    warp: Float[np.ndarray, "2 3"],
) -> tuple[UInt8[np.ndarray, "h w 3"], Bool[np.ndarray, "h w"]]:
    """Warped colours for the wanted mask, and where there are any."""
    size = (wanted.shape[1], wanted.shape[0])
    border = cv2.BORDER_REPLICATE  # an arm goes on beyond the picture
    colours = cv2.warpAffine(picture, warp, size, flags=cv2.INTER_LINEAR, borderMode=border)
    covered = cv2.warpAffine(mask.astype(np.uint8), warp, size, flags=cv2.INTER_NEAREST, borderMode=border) > 0
    covered &= wanted
    if not covered.any():
        return colours, covered
    distance, nearest = _nearest(covered)
    reached = wanted & (distance <= max(2.0, REACH_SHARE * size[0]))
    return colours[nearest[0], nearest[1]], reached


def _nearest(covered: Bool[np.ndarray, "h w"]) -> tuple[np.ndarray, tuple[np.ndarray, np.ndarray]]:
    """Distance to the nearest covered pixel, and its row and column, for every pixel."""
    distance, labels = cv2.distanceTransformWithLabels(
        (~covered).astype(np.uint8), cv2.DIST_L2, cv2.DIST_MASK_5, labelType=cv2.DIST_LABEL_PIXEL
    )
    rows, columns = np.nonzero(covered)
    lookup = np.zeros((labels.max() + 1, 2), np.int64)
    lookup[labels[rows, columns]] = np.stack([rows, columns], 1)
    place = lookup[labels]
    return distance, (place[..., 0], place[..., 1])


def _spread_colours(image: UInt8[Tensor, "3 h w"], known: Bool[Tensor, "h w"]) -> UInt8[Tensor, "3 h w"]:
    if not bool(known.any()):
        return image
    rows, columns = _nearest(known.numpy())[1]
    return image[:, torch.from_numpy(rows), torch.from_numpy(columns)]


def _similarity(matrix: Float[np.ndarray, "2 2"], offset: Float[np.ndarray, " 2"]) -> Float[np.ndarray, "2 3"]:
    return np.concatenate([matrix, offset[:, None]], axis=1).astype(np.float64)


def _shrunk(mask: Bool[np.ndarray, "h w"], size: tuple[int, int]) -> UInt8[np.ndarray, "h2 w2"]:
    area = cv2.resize(mask.astype(np.float32), size, interpolation=cv2.INTER_AREA)
    return (area > min(0.499, 0.5 * float(area.max()))).astype(np.uint8)


def _overlap(first: UInt8[np.ndarray, "h w"], second: UInt8[np.ndarray, "h w"]) -> float:
    both = cv2.countNonZero(first & second)
    return both / max(cv2.countNonZero(first | second), 1)


def _full_size(choice: Choice, scale: float) -> Choice:
    warp = choice.warp.copy()
    matrix, offset = warp[:, :2], warp[:, 2]
    half = 0.5 / scale - 0.5  # a small pixel's centre among the large ones
    warp[:, 2] = offset / scale + half - matrix @ np.full(2, half)
    return Choice(choice.frame, warp, choice.overlap)
