"""Which frames of an episode move rigidly with the object, and between which the robot's way is re-planned."""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float
from scipy.interpolate import PchipInterpolator

from m2iv_robot.errors import PlanError
from m2iv_robot.retarget.warp import minimum_jerk
from m2iv_robot.types import EpisodePhases

SMOOTHING_S = 0.3
EVENT_S = 0.3  # so long before and after grasp or release time runs as in the source

Spans = tuple[tuple[int, int], tuple[int, int] | None]


@dataclass(frozen=True)
class Schedule:
    """How much of a warp holds at each source frame: it rises over one span of frames and falls over another."""

    shares: Float[np.ndarray, " t"]
    rise: tuple[int, int]
    fall: tuple[int, int] | None  # None: stays to the end
    elastic: tuple[tuple[int, int], ...]  # the spans in which time may be stretched: all that moves but the event

    def share(self, source_time: Float[np.ndarray, " n"]) -> Float[np.ndarray, " n"]:
        """The share in [0, 1] at `source_time` (frames, fractional); beyond the ends it is that of the end."""
        frames = np.arange(len(self.shares), dtype=np.float64)
        return np.clip(PchipInterpolator(frames, self.shares)(np.clip(source_time, 0.0, frames[-1])), 0.0, 1.0)

    def blends(self) -> tuple[tuple[int, int], ...]:
        """The spans in which the share changes, in order."""
        return (self.rise,) if self.fall is None else (self.rise, self.fall)


def build_schedule(
    positions_m: Float[np.ndarray, "t 3"],
    spans: Spans,
    event: int,
    distance_m: float,
    fps: float,
) -> Schedule:
    """Shares that follow the source's own progress over each span, so that the new way is as straight as the old."""
    rise, fall = spans
    shares = np.ones(len(positions_m))
    shares[: rise[0]] = 0.0
    shares[rise[0] : rise[1] + 1] = progress(positions_m[rise[0] : rise[1] + 1], distance_m, fps)
    if fall is not None:
        shares[fall[0] : fall[1] + 1] = 1.0 - progress(positions_m[fall[0] : fall[1] + 1], distance_m, fps)
        shares[fall[1] :] = 0.0
    guard = max(1, round(EVENT_S * fps))
    end = len(positions_m) - 1 if fall is None else fall[1]
    before, after = (rise[0], max(rise[1], event - guard)), (event + guard, end)
    if fall is not None:
        after = (min(fall[0], event + guard), end)
    return Schedule(shares, rise, fall, tuple(span for span in (before, after) if span[1] > span[0]))


def progress(positions_m: Float[np.ndarray, "n 3"], distance_m: float, fps: float) -> Float[np.ndarray, " n"]:
    """From 0 to 1 along a span: by horizontal way where the tool travels, by time where it hardly does.

    The shorter the tool's own way is against `distance_m`, which has to be added to it, the more time counts.
    """
    timed = minimum_jerk(np.linspace(0.0, 1.0, len(positions_m)))
    width = max(1, round(SMOOTHING_S * fps)) | 1
    padded = np.pad(positions_m[:, :2], ((width // 2, width // 2), (0, 0)), mode="edge")
    smooth = np.lib.stride_tricks.sliding_window_view(padded, width, axis=0).mean(axis=-1)
    way = np.concatenate([[0.0], np.cumsum(np.linalg.norm(np.diff(smooth, axis=0), axis=1))])
    trust = min(1.0, way[-1] / max(distance_m, 1e-6))
    return timed if way[-1] < 1e-6 else trust * way / way[-1] + (1.0 - trust) * timed


def rigid_window(
    height_m: Float[np.ndarray, " t"], event: int, bounds: tuple[int, int], rise_m: float, shortest: int
) -> tuple[int, int]:
    """The frames around `event` (inside `bounds`) in which the tool is less than `rise_m` above its height there.

    At least `shortest` frames are left free on either side; where the tool never rises that far, the window is the
    `shortest` frames on either side of the event.
    """
    low, high = bounds[0] + shortest, bounds[1] - shortest
    above = height_m > height_m[event] + rise_m
    before = np.flatnonzero(above[low : event + 1])
    after = np.flatnonzero(above[event : high + 1])
    first = low + int(before[-1]) if len(before) else event - shortest
    last = event + int(after[0]) if len(after) else event + shortest
    return int(np.clip(first, min(low, event), event)), int(np.clip(last, event, max(high, event)))


def blend_spans(
    kind: str, height_m: Float[np.ndarray, " t"], phases: tuple[EpisodePhases, ...], pick: int, rise_m: float
) -> Spans:
    """When a new start (or goal) of pick number `pick` bends the tool's path: `height_m` is the tool's in every frame.

    `start`: rises before the approach, falls during the carry. `goal`: rises during the carry, falls in the retreat
    or, where none is left, stays.

    Raises:
        PlanError: too few frames before the grasp or during the carry to change the path in.
    """
    phase, last = phases[pick], len(height_m) - 1
    begin = phases[pick - 1].release if pick > 0 else 0
    end = phases[pick + 1].grasp if pick + 1 < len(phases) else last
    carry = phase.release - phase.grasp
    if carry < 8:
        raise PlanError(f"the object is held for {carry} frames (from {phase.grasp}): too few to move it elsewhere")
    shortest = max(2, carry // 8)
    if kind == "start":
        if phase.grasp - begin < 4:
            raise PlanError(
                f"the grasp is at frame {phase.grasp}, {phase.grasp - begin} after what precedes it: too few"
            )
        approach = min(shortest, (phase.grasp - begin) // 2)
        first, _ = rigid_window(height_m, phase.grasp, (begin, phase.release), rise_m, approach)
        _, lifted = rigid_window(height_m, phase.grasp, (begin, phase.release), rise_m, shortest)
        lowering, _ = rigid_window(height_m, phase.release, (phase.grasp, end), rise_m, shortest)
        lifted, lowering = _leave_room(lifted, lowering, phase)
        return (begin, first), (lifted, lowering)
    _, lifted = rigid_window(height_m, phase.grasp, (begin, phase.release), rise_m, shortest)
    lowering, _ = rigid_window(height_m, phase.release, (phase.grasp, last), rise_m, shortest)
    lifted, lowering = _leave_room(lifted, lowering, phase)
    _, clear = rigid_window(height_m, phase.release, (phase.grasp, max(end, phase.release)), rise_m, 0)
    return (lifted, lowering), ((clear, end) if end - clear >= shortest else None)


def _leave_room(lifted: int, lowering: int, phase: EpisodePhases) -> tuple[int, int]:
    """Half of the carry at least to change the path in, around the middle of what the heights say."""
    least = max(4, (phase.release - phase.grasp) // 3)
    if lowering - lifted >= least:
        return lifted, lowering
    middle = (phase.grasp + phase.release) // 2
    return min(lifted, middle - least // 2), max(lowering, middle - least // 2 + least)
