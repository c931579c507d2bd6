"""Joint paths of a warped episode: where the arm must be at each output frame, slowed down to what it can do."""

from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float

from m2iv_robot.retarget.robot import RobotModel
from m2iv_robot.retarget.timing import MotionLimits, sample, slowdown, smooth_upper, stretched_times
from m2iv_robot.retarget.warp import Warp
from m2iv_robot.retarget.windows import Schedule

ROUNDS = 6


@dataclass(frozen=True)
class Track:
    """One joint path through the output frames, and what it was meant to be."""

    states: Float[np.ndarray, "n s"]
    time: Float[np.ndarray, " n"]  # source time of each output frame
    share: Float[np.ndarray, " n"]  # of the warp
    targets: Float[np.ndarray, "n 4 4"]
    error_m: Float[np.ndarray, " n"]  # how far the tool stays from its target


def solve_track(
    path: Float[np.ndarray, "t s"],
    robot: RobotModel,
    warp: Warp,
    time: Float[np.ndarray, " n"],
    share: Float[np.ndarray, " n"],
) -> Track:
    """Sample `path` at source times, warp its tool poses, and bring them back to joints; share 0 leaves rows as is."""
    states = sample(path, time)
    targets = robot.kinematics.forward(torch.as_tensor(states))
    error, moved = np.zeros(len(time)), share > 0
    if moved.any():
        targets[moved] = warp.poses(targets[moved], share[moved])
        result = robot.kinematics.inverse(targets[moved], torch.as_tensor(states[moved]))
        states[moved], error[moved] = result.states.numpy(), result.position_error_m
    return Track(states, time, share, targets, error)


def output_times(steps: Float[np.ndarray, " m"], schedule: Schedule) -> Float[np.ndarray, " n"]:
    """Source time of every output frame: whole frames outside the elastic spans, stretched inside them."""
    parts, frame = [], 0
    for first, last in schedule.elastic:
        parts.append(np.arange(frame, first, dtype=np.float64))
        parts.append(stretched_times(first, steps[first:last])[:-1])
        frame = last
    parts.append(np.arange(frame, len(steps) + 1, dtype=np.float64))
    return np.concatenate(parts)


def delayed(time: Float[np.ndarray, " n"], lag: float) -> Float[np.ndarray, " n"]:
    """Source time that held `lag` output frames earlier; before the start time runs on backwards."""
    frames = np.arange(len(time), dtype=np.float64) - lag
    return np.where(frames < 0, time[0] + frames, np.interp(frames, np.arange(len(time)), time))


def timed_tracks(
    state: Float[np.ndarray, "t s"],
    target: Float[np.ndarray, "t s"],
    robot: RobotModel,
    schedule: Schedule,
    warp: Warp,
) -> tuple[Track, Track]:
    """The tracks of state and target, stretched until the target's path keeps the arm's limits.

    The state repeats what the target did `lag` output frames before, as it does in the source.
    """
    steps = np.ones(len(state) - 1)
    inside = np.zeros(len(steps), bool)
    for start, end in schedule.elastic:
        inside[start:end] = True
    for _ in range(ROUNDS):
        time = output_times(steps, schedule)
        led = solve_track(target, robot, warp, time, schedule.share(time))
        needed = _needed(led, len(steps), robot) * inside
        if needed.max() <= 1.02:
            break
        steps = _widen(steps, np.maximum(needed, 1.0), schedule, robot)
    lag = robot.convention.lag_frames
    before = delayed(time, lag)
    trailing = solve_track(state, robot, warp, np.clip(before + lag, 0, len(state) - 1), schedule.share(before))
    return trailing, led


def _needed(track: Track, count: int, robot: RobotModel) -> Float[np.ndarray, " m"]:
    """How much longer each of the source's steps should last, from the output frames that fall into it."""
    limits = MotionLimits(robot.limits.speed[robot.moving], robot.limits.acceleration[robot.moving])
    factor = slowdown(track.states[:, robot.moving], robot.fps, limits)
    step = np.clip(((track.time[:-1] + track.time[1:]) / 2).astype(int), 0, count - 1)
    needed = np.ones(count)
    np.maximum.at(needed, step, factor)
    return needed


def _widen(
    steps: Float[np.ndarray, " m"], needed: Float[np.ndarray, " m"], schedule: Schedule, robot: RobotModel
) -> Float[np.ndarray, " m"]:
    """Longer steps, smooth over a fifth of a second, inside the elastic spans only and within the largest stretch."""
    widened = steps.copy()
    radius = max(1, round(0.1 * robot.fps))
    for start, end in schedule.elastic:
        span = slice(start, end)
        widened[span] = smooth_upper(steps[span] * needed[span], radius)
    return np.minimum(widened, robot.config.max_stretch)
