"""Stretching time where a warped path would exceed what the arm has been seen to do."""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float
from scipy.interpolate import PchipInterpolator


@dataclass(frozen=True)
class MotionLimits:
    """The fastest that each state column may move."""

    speed: Float[np.ndarray, " s"]  # the dataset's units per second
    acceleration: Float[np.ndarray, " s"]  # per second squared


def limits_from(states: list[Float[np.ndarray, "_ s"]], fps: float, margin: float, floor: float = 0.5) -> MotionLimits:
    """Limits read off recorded motion: its 99th percentile times `margin`.

    A column that hardly moved in the recordings is given `floor` of the fastest column's limit.
    """
    speeds = np.concatenate([np.abs(np.diff(state, axis=0)) * fps for state in states])
    accelerations = np.concatenate([np.abs(np.diff(state, n=2, axis=0)) * fps**2 for state in states])
    limits = []
    for values in (speeds, accelerations):
        top = np.percentile(values, 99, axis=0)
        limits.append(margin * np.maximum(top, floor * top.max()))
    return MotionLimits(*limits)


def slowdown(path: Float[np.ndarray, "n s"], fps: float, limits: MotionLimits) -> Float[np.ndarray, " m"]:
    """By how much each of the n - 1 steps of `path` must be stretched to keep the limits; 1 where it need not."""
    if len(path) < 2:
        return np.ones(0)
    step = np.diff(path, axis=0) * fps
    needed = np.maximum(1.0, (np.abs(step) / limits.speed).max(axis=1))
    bend = np.sqrt((np.abs(np.diff(step, axis=0)) * fps / limits.acceleration).max(axis=1, initial=0.0))
    needed[:-1] = np.maximum(needed[:-1], bend)
    needed[1:] = np.maximum(needed[1:], bend)
    return needed


def smooth_upper(values: Float[np.ndarray, " n"], radius: int) -> Float[np.ndarray, " n"]:
    """A smooth curve on or above `values`: running maximum, then running mean, of `2 * radius + 1` samples."""
    if radius < 1 or not len(values):
        return values.copy()
    window = np.lib.stride_tricks.sliding_window_view
    highest = window(np.pad(values, 2 * radius, mode="edge"), 2 * radius + 1).max(axis=1)
    return window(highest, 2 * radius + 1).mean(axis=1)


def stretched_times(first: int, steps: Float[np.ndarray, " n"]) -> Float[np.ndarray, " _"]:
    """Source times at whole output frames when source step i (from frame `first` + i) lasts `steps[i]` frames.

    The whole span is lengthened to a whole number of output frames, so that frames after it stay frames.
    """
    count, total = len(steps), float(steps.sum())
    frames = int(np.ceil(total - 1e-9))
    if frames > count:
        steps = 1.0 + (steps - 1.0) * (frames - count) / (total - count)
    elapsed = np.concatenate([[0.0], np.cumsum(steps)])
    elapsed[-1] = frames
    return np.interp(np.arange(frames + 1, dtype=np.float64), elapsed, first + np.arange(count + 1, dtype=np.float64))


def sample(values: Float[np.ndarray, "n s"], time: Float[np.ndarray, " m"]) -> Float[np.ndarray, "m s"]:
    """`values` at fractional frames: exact at whole ones, monotone between them, held beyond both ends."""
    time = np.clip(time, 0.0, len(values) - 1.0)
    between = time != np.round(time)
    sampled = values[np.round(time).astype(int)].astype(np.float64)
    if between.any():
        sampled[between] = PchipInterpolator(np.arange(len(values)), values, axis=0)(time[between])
    return sampled
