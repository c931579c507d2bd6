"""Whether the picture moves as real ones do: in order, without standing still, at real speeds, the object only held."""

import itertools

import cv2
import numpy as np
import torch
from jaxtyping import Bool, Float, UInt8
from torch import Tensor

from m2iv_robot.background import spread
from m2iv_robot.masks import area, centroid, contact_map, main_part
from m2iv_robot.metrics.control import contact_share, width_px
from m2iv_robot.quality.config import QualityConfig
from m2iv_robot.quality.context import SourceContext, gripper_path_px
from m2iv_robot.quality.evidence import Case, rows_after, rows_held
from m2iv_robot.quality.verdict import at_least, at_most
from m2iv_robot.types import Candidate, CheckResult, Episode

SMALL_PX = 128  # width at which whole videos are looked at
CHANGED_LEVELS = 8  # of 255; less is noise
STILL_SHARE = 0.0006  # of the pixels that may change while a picture stands still
MOVING_SHARE = 0.004  # of the frame's width that the labelled gripper must move in a frame to be on its way
SEEN_SHARE = 0.4  # of the object's area, below which its centre is anywhere
LEAST_ORDER = 0.03  # of the source, below which order cannot be told
CONTACT_SHARE = 0.022  # of the frame's width: 7 of 320 pixels


def order(candidate: Candidate, context: SourceContext, config: QualityConfig) -> CheckResult | None:
    """How much less neighbouring frames differ than frames two apart, against the source: 1 as there, 0 no order."""
    own, real = disorder(candidate.episode.frames), disorder(context.episode.frames)
    if not np.isfinite(own) or not np.isfinite(real) or 1 - real < LEAST_ORDER:
        return None
    return at_least("order", (1 - own) / (1 - real), config.min_order)


def disorder(frames: UInt8[Tensor, "t 3 h w"]) -> float:
    """Change from one frame to the next over the change across two; NaN where nothing changes."""
    video = small(frames)
    near = sum(changed(first, second) for first, second in itertools.pairwise(video))
    far = sum(changed(first, second) for first, second in zip(video, video[2:], strict=False))
    return near / far if far > 0 else float("nan")


def frozen(candidate: Candidate, context: SourceContext, config: QualityConfig) -> CheckResult:
    """Longest time in s that the picture stands still though the labels move.

    Without labels: longer than it ever does in the source.
    """
    episode = candidate.episode
    still = still_steps(episode.frames)
    moving = labelled_motion(episode, context)
    if moving is not None:
        run = longest_run(still, moving)
    else:
        run = longest_run(still) - longest_run(still_steps(context.episode.frames))
    return at_most("frozen", max(run, 0) / episode.fps, config.max_frozen_s)


def still_steps(frames: UInt8[Tensor, "t 3 h w"]) -> Bool[np.ndarray, " m"]:
    """Whether nothing changes from each frame to the next."""
    video = small(frames)
    limit = STILL_SHARE * video.shape[1] * video.shape[2] * CHANGED_LEVELS
    return np.array([changed(first, second) <= limit for first, second in itertools.pairwise(video)])


def labelled_motion(episode: Episode, context: SourceContext) -> Bool[np.ndarray, " m"] | None:
    """Whether the labelled gripper moves visibly from each frame to the next; None where its path is not known."""
    path = None if episode.state is None else gripper_path_px(episode.state, context)
    if path is None:
        return None
    return np.linalg.norm(np.diff(path, axis=0), axis=1) > MOVING_SHARE * episode.frames.shape[-1]


def longest_run(steps: Bool[np.ndarray, " m"], counted: Bool[np.ndarray, " m"] | None = None) -> int:
    """Length of the longest run of true steps; with `counted`, how many of a run's steps are counted at most."""
    best = now = 0
    for index, step in enumerate(steps):
        now = now + (counted is None or bool(counted[index])) if step else 0
        best = max(best, now)
    return best


def small(frames: UInt8[Tensor, "t 3 h w"]) -> UInt8[np.ndarray, "t _ _ 3"]:
    """Frames no wider than `SMALL_PX`, without aliasing."""
    height, width = frames.shape[-2:]
    scale = min(1.0, SMALL_PX / width)
    size = (max(1, round(width * scale)), max(1, round(height * scale)))
    pictures = [np.ascontiguousarray(frame.permute(1, 2, 0).numpy()) for frame in frames]
    return np.stack([cv2.resize(picture, size, interpolation=cv2.INTER_AREA) for picture in pictures])


def changed(first: UInt8[np.ndarray, "h w 3"], second: UInt8[np.ndarray, "h w 3"]) -> float:
    """Sum of the differences above the noise, of the channel that differs most."""
    difference = cv2.absdiff(first, second).max(-1)
    return float(difference[difference > CHANGED_LEVELS].sum(dtype=np.int64))


def contact(case: Case, config: QualityConfig) -> CheckResult | None:
    """Share of the carry's frames with the object in sight in which actor and object touch."""
    held = [row for row in rows_held(case) if bool(case.seen.object[row].any())]
    if not held:
        return None
    carry = torch.zeros(1, len(case.frames), dtype=torch.bool)
    carry[:, held] = True
    value = contact_share(case.seen.actor[None], case.thing[None], carry, kernel_px(case))
    return at_least("contact", float(value[0]), config.min_contact)


def contact_after(case: Case, config: QualityConfig) -> CheckResult | None:
    """Whether actor and object still touch at the end: 1 or 0; None where they do in the source as well.

    They do not where the last frame is the source's own, whatever is seen in it.
    Where the labels have the gripper far from the object in the picture, they do not touch: it is some other part of
    the arm that is seen before the object or behind it.
    """
    masks, kernel = case.context.masks, kernel_px(case)
    if bool(contact_map(masks.actor[-1:], masks.object[-1:], kernel).any()):
        return None
    last = rows_after(case, config)[-1:]
    touching = bool(contact_map(case.seen.actor[last], case.seen.object[last], kernel).any())
    touching = touching and not gripper_is_away(case, last[0], kernel)
    touching = touching and not torch.equal(case.candidate.episode.frames[-1], case.context.episode.frames[-1])
    return at_most("contact_after", float(touching), config.max_contact_after)


def gripper_is_away(case: Case, row: int, kernel: int) -> bool:
    """Whether the labelled gripper is further from the object, in the picture, than its width and a contact."""
    state, thing = case.candidate.episode.state, case.seen.object[row]
    path = None if state is None else gripper_path_px(state, case.context)
    if path is None or not bool(thing.any()):
        return False
    away = np.linalg.norm(path[case.frames[row]] - centroid(thing).numpy())
    return bool(away > float(width_px(thing[None])[0]) + kernel)


def kernel_px(case: Case) -> int:
    """Side of the contact kernel at this video's size, odd."""
    return 2 * round(CONTACT_SHARE * case.seen.actor.shape[-1] / 2) + 1


def object_speed(case: Case, config: QualityConfig) -> CheckResult | None:
    """The object's highest speed in the picture, as a multiple of the source's."""
    context = case.context
    chosen = spread(context.episode.length, len(case.frames))
    real = top_speed(
        torch.stack([main_part(mask) for mask in context.masks.object[chosen]]), np.array(chosen) / context.episode.fps
    )
    own = top_speed(case.thing, np.array(case.frames) / case.candidate.episode.fps)
    if not real or own is None:
        return None
    return at_most("object_speed", own / real, config.max_object_speed)


def top_speed(masks: Bool[Tensor, "n h w"], times_s: Float[np.ndarray, " n"]) -> float | None:
    """Highest speed of the object's centre in px/s between looks that show enough of it; None with fewer than two."""
    sizes = area(masks).float()
    usual = sizes[sizes > 0].median() if bool((sizes > 0).any()) else torch.tensor(0.0)
    rows = [row for row in range(len(masks)) if sizes[row] > SEEN_SHARE * usual and sizes[row] > 0]
    if len(rows) < 2:
        return None
    places, times = centroid(masks[rows]).numpy(), times_s[rows]
    steps = np.diff(times)
    least = 0.8 * (times_s[-1] - times_s[0]) / (len(times_s) - 1)
    speeds = np.linalg.norm(np.diff(places, axis=0), axis=1) / np.maximum(steps, least)
    return float(speeds.max())
