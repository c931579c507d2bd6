"""Which thing was moved: the scene before against the scene after, both without the robot."""

from dataclasses import dataclass

import cv2
import numpy as np
import torch
from jaxtyping import Bool, Float, UInt8
from torch import Tensor

from m2iv_robot.background import apply_gains, exposure_gains, masked_median
from m2iv_robot.data.moved_objects import overlap, strangeness
from m2iv_robot.masks import dilate, fill_holes, remove_specks
from m2iv_robot.segmentation.change import histogram, lookup
from m2iv_robot.segmentation.words import in_colour
from m2iv_robot.types import EpisodePhases, Plate

CHANGED_COLOUR = 11.0  # Lab distance from which a pixel shows another thing
SHADOW_RATIO = 0.55  # darker than this share of its lightness a pixel is no mere shadow
LEAST_BARE_SHARE = 0.3  # of the frames; where the robot nearly always is its remains look like things that moved
LEAST_FRAMES = 2  # on each side of a carrying
LEFT_SHARE = 0.5  # of a colour's pixels at the start that must have gone for it to be the object's; so at the goal
MET_SHARE = 0.2  # of those gone that must have come to the goal
CARRIED_SHARE = 0.4  # of the smaller place that has the object's colours, below which the pair is less likely
PURE_SHARE = 0.55  # of the start that has them, below which it is more than the object
TOLD_SHARE = 0.2  # of a place that must have the colour that the instruction names
OTHER_COLOUR = 0.6  # how likely a place without it is, against one with it
MIN_PAIR_SCORE = 0.1  # of the best pair of places; below it the object is not told


@dataclass(frozen=True)
class Ends:
    """The scene before and after, without the robot, at one exposure."""

    before: Plate
    after: Plate


@dataclass(frozen=True)
class Move:
    """The places that the object left and came to, and how sure that is, in [0, 1].

    A place may be joined to a shadow, or to a thing that the object now hides: `thing` and `thing_at_goal` are the
    object's parts of start and goal.
    """

    start: Bool[Tensor, "h w"]
    goal: Bool[Tensor, "h w"]
    score: float
    thing: Bool[Tensor, "h w"]
    thing_at_goal: Bool[Tensor, "h w"]


@dataclass(frozen=True)
class Look:
    """Some frames of an episode, and what is robot in them."""

    video: UInt8[Tensor, "n 3 h w"]
    frames: list[int]  # their numbers in the episode
    robot: Bool[Tensor, "n h w"]


def spans_of(phases: tuple[EpisodePhases, ...], length: int) -> list[tuple[range, range]]:
    """For each carrying the frames before it and after it; first of all, those of the whole episode."""
    spans = [(range(length), range(length))]
    for index, phase in enumerate(phases):
        begin = phases[index - 1].release if index else 0
        end = phases[index + 1].grasp if index + 1 < len(phases) else length
        spans.append((range(begin, phase.grasp), range(phase.release, end)))
    return spans


def bare_ends(look: Look, span: tuple[range, range]) -> Ends | None:
    """What each pixel showed first, of the frames before, and last, of those after; None without such frames."""
    reference, _ = masked_median(look.video, look.robot)
    video = apply_gains(look.video, exposure_gains(look.video, reference, look.robot))
    sides = []
    for frames, backwards in ((span[0], False), (span[1], True)):
        rows = [row for row, frame in enumerate(look.frames) if frame in frames]
        if len(rows) < LEAST_FRAMES:
            return None
        rows = rows[::-1] if backwards else rows
        free = ~dilate(look.robot[rows], 5)
        chosen = free.to(torch.uint8).argmax(0)
        image = video[rows].gather(0, chosen[None, None].expand(1, 3, *chosen.shape))[0]
        sides.append(Plate(image, free.float().mean(0) >= LEAST_BARE_SHARE))
    return Ends(*sides)


def changed_pixels(ends: Ends) -> Bool[np.ndarray, "h w"]:
    """Where the two scenes differ by more than light and shade."""
    labs = [
        cv2.GaussianBlur(cv2.cvtColor(as_image(plate).astype(np.float32) / 255, cv2.COLOR_RGB2LAB), (3, 3), 0)
        for plate in (ends.before, ends.after)
    ]
    distance = np.linalg.norm(labs[0] - labs[1], axis=-1)
    ratio = (labs[0][..., 0] + 1) / (labs[1][..., 0] + 1)
    chroma = np.hypot(labs[0][..., 1] - ratio * labs[1][..., 1], labs[0][..., 2] - ratio * labs[1][..., 2])
    shade = (np.minimum(ratio, 1 / ratio) > SHADOW_RATIO) & (chroma < 5) & (distance < 2.5 * CHANGED_COLOUR)
    return (distance > CHANGED_COLOUR) & ~shade & both_known(ends).numpy()


def both_known(ends: Ends) -> Bool[Tensor, "h w"]:
    """Where both scenes are known."""
    return ends.before.known & ends.after.known


def as_image(plate: Plate) -> UInt8[np.ndarray, "h w 3"]:
    """A plate's picture as OpenCV holds one."""
    return np.ascontiguousarray(plate.image.permute(1, 2, 0).numpy())


def find_move(
    ends: Ends,
    before_p: Float[Tensor, "h w"],
    after_p: Float[Tensor, "h w"],
    least_px: int,
    colour: str | None = None,
) -> Move | None:
    """The pair of places that one thing most likely left and came to; None where nothing changed.

    `before_p` is how probably a pixel of the scene before shows something that the scene after does not, `after_p`
    the other way round. A thing of another `colour` than the instruction names is less likely (see `words`).
    """
    lean = cv2.GaussianBlur((before_p - after_p).numpy(), (0, 0), 1.5)
    either = (torch.maximum(before_p, after_p) > 0.35).numpy()
    changed = changed_pixels(ends)
    changed = (changed & cv2.dilate(either.astype(np.uint8), np.ones((7, 7), np.uint8)).astype(bool)) | either
    changed &= both_known(ends).numpy()
    left, came = (regions(changed & side, least_px) for side in (lean > 0, lean <= 0))
    images = [as_image(ends.before), as_image(ends.after)]
    labs = [cv2.cvtColor(image.astype(np.float32) / 255, cv2.COLOR_RGB2LAB) for image in images]
    starts = [(region, presence(images, region) * as_told(images[0], region, colour)) for region in left]
    goals = [(region, (1 - presence(images, region)) * as_told(images[1], region, colour)) for region in came]
    best = None
    for start, there in starts:
        for goal, here in goals:
            sizes = sorted((int(start.sum()), int(goal.sum())))
            alike = overlap(labs[0][start], labs[1][goal])
            score = alike * (sizes[0] / sizes[1]) ** 0.5 * there * here * min(1.0, sizes[0] / (12 * least_px)) ** 0.5
            if best is None or score > best.score:
                parts = carried_parts(labs, start, goal)
                shared = min(int(part.sum()) for part in parts) / sizes[0]
                score *= min(1.0, shared / CARRIED_SHARE)
            if best is None or score > best.score:
                things = own_parts((start, goal), parts, least_px)
                best = Move(torch.from_numpy(start), torch.from_numpy(goal), float(score), *things)
    if best is not None and best.score >= MIN_PAIR_SCORE:
        return best
    if starts:
        start, there = max(starts, key=lambda each: each[1] * each[0].sum() ** 0.5)
        place, nowhere = torch.from_numpy(start), torch.zeros(start.shape, dtype=torch.bool)
        return Move(place, nowhere, 0.5 * MIN_PAIR_SCORE * there, place, nowhere)
    return best


def as_told(picture: UInt8[np.ndarray, "h w 3"], place: Bool[np.ndarray, "h w"], colour: str | None) -> float:
    """1 where a place shows the colour that was named, or none was; less where it does not."""
    if colour is None or in_colour(picture, colour)[place].mean() >= TOLD_SHARE:
        return 1.0
    return OTHER_COLOUR


def carried_parts(
    labs: list[Float[np.ndarray, "h w 3"]], start: Bool[np.ndarray, "h w"], goal: Bool[np.ndarray, "h w"]
) -> tuple[Bool[np.ndarray, "h w"], Bool[np.ndarray, "h w"]]:
    """The pixels of either place whose colours went from the start and came to the goal: the object's own.

    A shadow's colours go and do not come; a plate that is now hidden was and is white.
    """
    (start_before, start_after), (goal_before, goal_after) = (
        [histogram(lab[place]) * np.count_nonzero(place) for lab in labs] for place in (start, goal)
    )
    left, came = np.maximum(start_before - start_after, 0), np.maximum(goal_after - goal_before, 0)
    own_start = (left > LEFT_SHARE * start_before) & (came > MET_SHARE * left)
    own_goal = (came > LEFT_SHARE * goal_after) & (left > MET_SHARE * came)
    return start & lookup(own_start, labs[0]), goal & lookup(own_goal, labs[1])


def own_parts(
    places: tuple[Bool[np.ndarray, "h w"], Bool[np.ndarray, "h w"]],
    parts: tuple[Bool[np.ndarray, "h w"], Bool[np.ndarray, "h w"]],
    least_px: int,
) -> tuple[Bool[Tensor, "h w"], Bool[Tensor, "h w"]]:
    """The object in either place: all of it, unless most of the start has other colours than the object."""
    whole = tuple(torch.from_numpy(place) for place in places)
    if parts[0].sum() > PURE_SHARE * places[0].sum():
        return whole
    kernel = np.ones((3, 3), np.uint8)
    closed = [torch.from_numpy(cv2.morphologyEx(part.astype(np.uint8), cv2.MORPH_CLOSE, kernel) > 0) for part in parts]
    tidy = [fill_holes(remove_specks(part, least_px), least_px) for part in closed]
    return (tidy[0], tidy[1]) if all(bool(part.any()) for part in tidy) else whole


def presence(images: list[UInt8[np.ndarray, "h w 3"]], region: Bool[np.ndarray, "h w"]) -> float:
    """How much more a region stands out from its surroundings in the first image than in the second; 0.5: alike."""
    was, is_now = strangeness(images[0], region), strangeness(images[1], region)
    return was / (was + is_now + 1e-6)


def regions(mask: Bool[np.ndarray, "h w"], least_px: int) -> list[Bool[np.ndarray, "h w"]]:
    """Connected parts of a mask after closing, the eight largest."""
    mask = cv2.morphologyEx(mask.astype(np.uint8), cv2.MORPH_OPEN, np.ones((2, 2), np.uint8))
    mask = cv2.morphologyEx(mask, cv2.MORPH_CLOSE, np.ones((5, 5), np.uint8))
    count, parts, statistics, _ = cv2.connectedComponentsWithStats(mask, connectivity=8)
    order = sorted(range(1, count), key=lambda part: -statistics[part, cv2.CC_STAT_AREA])
    return [parts == part for part in order[:8] if statistics[part, cv2.CC_STAT_AREA] >= least_px]
