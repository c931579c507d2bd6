"""When the gripper holds something, from its opening alone or with its command and the tool's path."""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float

from m2iv_robot.errors import ConfigError
from m2iv_robot.types import EpisodePhases


@dataclass(frozen=True)
class PhaseConfig:
    """What counts as a grasp; openings are 0 closed .. 1 open."""

    travel: float = 0.35  # a closing or an opening moves at least this share of the episode's own range
    least_travel: float = 0.05  # and at least so far: less is no closing
    tolerance: float = 0.08  # held: within this share of that range of the narrowest opening
    squeeze: float = 0.04  # command below the state by so much: something is between the fingers
    hold_s: float = 1.0  # shorter closings are failed attempts
    reopening_s: float = 0.4  # shorter openings between two closings do not let go
    carry_m: float = 0.03  # a tool that stays within this while closed carried nothing

    def __post_init__(self) -> None:
        if not 0 < self.tolerance < self.travel < 1:
            raise ConfigError(
                f"phases need 0 < tolerance < travel < 1, got tolerance {self.tolerance}, travel {self.travel}"
            )


def find_phases(
    opening: Float[np.ndarray, " t"],
    fps: float,
    config: PhaseConfig | None = None,
    command: Float[np.ndarray, " t"] | None = None,
    tool_positions_m: Float[np.ndarray, "t 3"] | None = None,
) -> list[EpisodePhases]:
    """Spans in which something is held, in order; empty where the gripper never closes on anything.

    A closing is a fall of the opening by `travel` below the highest since the last one; it ends with a rise by
    `travel`; people open just as far as they need, so both are shares of what the episode's gripper does. Held is
    the part within `tolerance` of the narrowest opening. `command` (the action's opening) tells
    a closed empty gripper from a thin object: fully closed without squeeze holds nothing. With `tool_positions_m`
    closings that carry nothing anywhere are left out.
    """
    config = config or PhaseConfig()
    span = float(opening.max() - opening.min()) if len(opening) else 0.0
    if span < config.least_travel:
        return []
    closings = valleys(opening, max(config.travel * span, config.least_travel))
    spans = merge_spans([hold_of(opening, closing, config.tolerance * span) for closing in closings], fps, config)
    phases = []
    for grasp, release in spans:
        if release - grasp < config.hold_s * fps:
            continue
        if command is not None and is_empty(opening[grasp:release], command[grasp:release], config):
            continue
        if tool_positions_m is not None and carried_m(tool_positions_m[grasp : release + 1]) < config.carry_m:
            continue
        phases.append(EpisodePhases(grasp=int(grasp), release=int(release)))
    return phases


def valleys(opening: Float[np.ndarray, " t"], travel: float) -> list[tuple[int, int]]:
    """Spans [from, to) between a fall and the next rise by `travel`; one cut off by an end of the episode counts.

    An episode that starts closed has its first valley from frame 0.
    """
    found, start = [], None
    high = low = float(opening[0])
    if high < opening.max() - travel:
        start = 0
    for frame, value in enumerate(opening):
        if start is None:
            high = max(high, value)
            if value < high - travel:
                start, low = frame, value
        else:
            low = min(low, value)
            if value > low + travel:
                found.append((start, frame))
                start, high = None, value
    if start is not None:
        found.append((start, len(opening)))
    return found


def hold_of(opening: Float[np.ndarray, " t"], valley: tuple[int, int], tolerance: float) -> tuple[int, int]:
    """First frame at the valley's floor and first frame off it again."""
    start, end = valley
    inside = opening[start:end]
    at_floor = np.flatnonzero(inside <= inside.min() + tolerance)
    return start + int(at_floor[0]), start + int(at_floor[-1]) + 1


def merge_spans(spans: list[tuple[int, int]], fps: float, config: PhaseConfig) -> list[tuple[int, int]]:
    """Spans with too short an opening between them joined to one."""
    merged: list[tuple[int, int]] = []
    for span in spans:
        if merged and span[0] - merged[-1][1] < config.reopening_s * fps:
            merged[-1] = (merged[-1][0], span[1])
        else:
            merged.append(span)
    return merged


def is_empty(opening: Float[np.ndarray, " t"], command: Float[np.ndarray, " t"], config: PhaseConfig) -> bool:
    """Closed all the way, and the command is not below what was reached."""
    squeezed = np.median(opening - command) > config.squeeze
    return bool(np.median(opening) < config.tolerance and not squeezed)


def carried_m(positions_m: Float[np.ndarray, "t 3"]) -> float:
    """Largest distance of the tool from where it closed."""
    return float(np.linalg.norm(positions_m - positions_m[0], axis=1).max())
