"""What a static camera's scene looked like before something was moved and after, and when each pixel turned.

Every pixel's colours over time are explained by at most two settled values, one seen before a moment and one seen
after it; whatever passes in between (the robot, its shadow) is neither. Colours are CIE Lab (L 0..100).
"""

from dataclasses import dataclass

import cv2
import numpy as np
from jaxtyping import Bool, Float, Float32, Int, UInt8
from torch import Tensor

from m2iv_robot.background import apply_gains, exposure_gains, masked_median, spread
from m2iv_robot.types import EpisodePhases

SAME_COLOUR = 7.0  # Lab distance within which two samples of a pixel are one settled value
CHANGED_COLOUR = 9.0  # Lab distance from which two settled values are different things
MIN_PURITY = 0.9  # share of settled samples that must be in the right order around the moment of change
FRAMES_PER_STATE = 20  # sampled for each settled value
DARKEST_SHADOW = 0.5  # of L + 16: an eighth of the light
DULLEST_SHADOW = 0.4  # share of the hue's strength that is left in a shadow, beyond its darkness
USUAL_FRAMES = 28  # sampled for the whole episode
NEAR_EVENT_WEIGHT = 0.4  # of samples close to the grasp or the release, where the robot hovers


@dataclass(frozen=True)
class States:
    """The scene before and after, per pixel."""

    before: Float32[np.ndarray, "h w 3"]  # settled Lab colour until the change
    after: Float32[np.ndarray, "h w 3"]
    changed: Bool[np.ndarray, "h w"]  # the two differ, each was seen at least twice, and in this order
    last_before: Int[np.ndarray, "h w"]  # last frame that shows `before`; -1 where none does
    first_after: Int[np.ndarray, "h w"]  # first frame that shows `after`; the number of frames where none does


def lab_video(frames: Tensor, width_limit_px: int) -> Float32[np.ndarray, "t h w 3"]:
    """Frames (uint8 t 3 h w) at one exposure, no wider than the limit, slightly smoothed, in Lab."""
    sample = frames[spread(frames.shape[0], 30)]
    reference, _ = masked_median(sample, (sample[:, 0] * 0).bool())
    even = apply_gains(frames, exposure_gains(frames, reference))
    height, width = frames.shape[-2:]
    scale = min(1.0, width_limit_px / width)
    size = (max(1, round(width * scale)), max(1, round(height * scale)))
    video = np.empty((frames.shape[0], size[1], size[0], 3), np.float32)
    for index, frame in enumerate(even):
        lab = to_lab(frame)
        video[index] = cv2.resize(lab, size, interpolation=cv2.INTER_AREA) if scale < 1 else lab
    return video


def to_lab(frame: UInt8[Tensor, "3 h w"]) -> Float32[np.ndarray, "h w 3"]:
    """A frame in Lab, slightly smoothed."""
    image = np.ascontiguousarray(frame.permute(1, 2, 0).numpy())
    lab = cv2.cvtColor(image.astype(np.float32) / 255, cv2.COLOR_RGB2LAB)
    return cv2.GaussianBlur(lab, (0, 0), 0.7)


def distance(first: Float32[np.ndarray, "*b h w 3"], second: Float32[np.ndarray, "*b h w 3"]) -> np.ndarray:
    """Lab distance of each pixel."""
    difference = first - second
    return np.sqrt(np.einsum("...c,...c->...", difference, difference))


def settled(samples: Float32[np.ndarray, "n h w 3"], weights: Float[np.ndarray, " n"]) -> Float32[np.ndarray, "h w 3"]:
    """The colour that most (weighted) samples of each pixel agree on: the mode, then the mean around it."""
    count, height, width, _ = samples.shape
    votes = np.repeat(weights.astype(np.float32), height * width).reshape(count, height, width)
    for i in range(count):
        for j in range(i + 1, count):
            same = distance(samples[i], samples[j]) < SAME_COLOUR
            votes[i] += weights[j] * same
            votes[j] += weights[i] * same
    winner = votes.argmax(0)
    mode = np.take_along_axis(samples, winner[None, :, :, None], 0)[0]
    total, number = np.zeros_like(mode), np.zeros((height, width), np.float32)
    for sample, own in zip(samples, weights, strict=True):
        close = own * (distance(sample, mode) < SAME_COLOUR)
        total += sample * close[..., None]
        number += close
    return (total / np.maximum(number, 1e-6)[..., None]).astype(np.float32)


def usual_scene(video: Float32[np.ndarray, "t h w 3"]) -> Float32[np.ndarray, "h w 3"]:
    """Each pixel's most frequent colour over the whole episode."""
    chosen = spread(len(video), USUAL_FRAMES)
    return settled(video[chosen], np.ones(len(chosen)))


def find_states(video: Float32[np.ndarray, "t h w 3"], held: EpisodePhases) -> States:
    """The scene before `held.grasp` and after `held.release`, and when each pixel turned.

    Frames close to the grasp and the release count less: the robot hovers over the object.
    """
    length = video.shape[0]
    early = np.array(spread(held.grasp, FRAMES_PER_STATE))
    late = held.release + np.array(spread(length - held.release, FRAMES_PER_STATE))
    near_grasp = early > 0.75 * held.grasp
    near_release = late < held.release + 0.25 * (length - held.release)
    values = []
    for chosen, near in ((early, near_grasp), (late, near_release)):
        weights = np.where(near, NEAR_EVENT_WEIGHT, 1.0)
        values.append(settled(video[chosen], weights))
    return order_in_time(video, values[0], values[1])


def order_in_time(
    video: Float32[np.ndarray, "t h w 3"],
    before: Float32[np.ndarray, "h w 3"],
    after: Float32[np.ndarray, "h w 3"],
) -> States:
    """For each pixel the moment that best parts the frames showing `before` from those showing `after`."""
    length = video.shape[0]
    difference = distance(before, after)
    tolerance = np.clip(difference / 2.5, 6, 12)
    is_before = np.stack([distance(frame, before) < tolerance for frame in video])
    is_after = np.stack([distance(frame, after) < tolerance for frame in video])
    is_before, is_after = is_before & ~is_after, is_after & ~is_before
    total_before, total_after = (seen.sum(0, dtype=np.int32) for seen in (is_before, is_after))
    in_order, best = total_after.copy(), np.full(total_after.shape, -1, np.int32)
    moment = np.zeros(total_after.shape, np.int32)
    for index in range(length):
        in_order += is_before[index]
        in_order -= is_after[index]
        better = in_order > best
        best[better], moment[better] = in_order[better], index
    purity = best / np.maximum(total_before + total_after, 1)
    last_before = np.full(moment.shape, -1, np.int32)
    first_after = np.full(moment.shape, length, np.int32)
    for index in range(length):
        last_before[is_before[index] & (moment >= index)] = index
        back = length - 1 - index
        first_after[is_after[back] & (moment < back)] = back
    changed = (difference > CHANGED_COLOUR) & (purity > MIN_PURITY) & (total_before >= 2) & (total_after >= 2)
    return States(
        before=before,
        after=after,
        changed=changed,
        last_before=last_before,
        first_after=first_after,
    )


def passing_colours(
    video: Float32[np.ndarray, "t h w 3"], states: States, usual: Float32[np.ndarray, "h w 3"], held: EpisodePhases
) -> Float32[np.ndarray, "n 3"]:
    """Colours of the empty robot: unlike the usual scene while nothing is held, where nothing was moved.

    Darker versions of the usual colour are shadows and left out.
    """
    empty = [*range(held.grasp), *range(held.release, len(video))]
    colours = []
    for index in spread(len(empty), 30):
        frame = video[empty[index]]
        passing = (distance(frame, usual) > 2 * CHANGED_COLOUR) & ~states.changed & ~is_shadow(frame, usual)
        colours.append(frame[passing])
    return np.concatenate(colours)


def is_shadow(frame: Float32[np.ndarray, "h w 3"], scene: Float32[np.ndarray, "h w 3"]) -> Bool[np.ndarray, "h w"]:
    """Where a frame is a darker version of the scene, of nearly the same hue and perhaps duller.

    Less of the same light scales L + 16, a and b alike (CIE 1976, away from black); light from all around that
    remains in a shadow is of another colour than the lamp's and dulls it.
    """
    factor = (frame[..., 0] + 16) / (scene[..., 0] + 16)
    chroma, seen = scene[..., 1:], frame[..., 1:]
    squared = np.einsum("...c,...c->...", chroma, chroma)
    kept = np.einsum("...c,...c->...", chroma, seen) / np.maximum(squared, 1e-3)
    kept = np.clip(kept, DULLEST_SHADOW * factor, 1.1 * factor)
    hue = np.linalg.norm(seen - kept[..., None] * chroma, axis=-1)
    return (factor > DARKEST_SHADOW) & (factor < 1) & (hue < 4 + 0.12 * np.sqrt(squared))
