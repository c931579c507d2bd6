"""Which frames of an episode move rigidly with the object, and between which the robot's way is re-planned."""

import numpy as np
from jaxtyping import Float

from m2iv_robot.errors import PlanError
from m2iv_robot.retarget.warp import Schedule
from m2iv_robot.types import EpisodePhases


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


def plan_schedule(
    kind: str, height_m: Float[np.ndarray, " t"], phases: tuple[EpisodePhases, ...], pick: int, rise_m: float
) -> Schedule:
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
        return Schedule((float(begin), float(first)), (float(lifted), float(lowering)))
    _, lifted = rigid_window(height_m, phase.grasp, (begin, phase.release), rise_m, shortest)
    lowering, _ = rigid_window(height_m, phase.release, (phase.grasp, last), rise_m, shortest)
    lifted, lowering = _leave_room(lifted, lowering, phase)
    _, clear = rigid_window(height_m, phase.release, (phase.grasp, max(end, phase.release)), rise_m, 0)
    rise = (float(lifted), float(lowering))
    return Schedule(rise, (float(clear), float(end)) if end - clear >= shortest else None)


def _leave_room(lifted: int, lowering: int, phase: EpisodePhases) -> tuple[int, int]:
    """Half of the carry at least to change the path in, around the middle of what the heights say."""
    least = max(4, (phase.release - phase.grasp) // 3)
    if lowering - lifted >= least:
        return lifted, lowering
    middle = (phase.grasp + phase.release) // 2
    return min(lifted, middle - least // 2), max(lowering, middle - least // 2 + least)
