"""Which of an episode's closings carries the object, and whether it lies still until then (or from then on)."""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float
from torch import Tensor

from m2iv_robot.camera import object_track
from m2iv_robot.errors import PlanError
from m2iv_robot.types import EpisodePhases

SETTLE_S = 0.5  # after a release before the object counts as resting
CLEAR_SHARE = 0.8  # of the object's usual area in a rest: what is seen of it then tells where it is
LEAST_SHARE = 0.35  # of its usual area in the episode; it may lie nearer to the camera elsewhere
LEAST_MOVE = 0.5  # of its size: less is no carrying
MOST_PUSH = 0.75  # of its size: more, and it does not lie where it lay
ATTEMPT_M = 0.08  # a closing so near to the one that counts is about the same thing
END_S = 0.5  # at either end of a rest, whose middle counts


@dataclass(frozen=True)
class Rests:
    """Where the object lies before, between and after the closings (pixels; NaN where it is not seen)."""

    first: Float[np.ndarray, "n 2"]  # as each of them begins
    last: Float[np.ndarray, "n 2"]  # as it ends
    size_px: float  # square root of the object's usual area

    @property
    def carried(self) -> Float[np.ndarray, " m"]:
        """How far each closing moves the object, in its sizes; 0 where that is not seen."""
        away = np.linalg.norm(self.first[1:] - self.last[:-1], axis=1) / self.size_px
        return np.nan_to_num(away)

    @property
    def pushed(self) -> Float[np.ndarray, " n"]:
        """How far it moves in each rest, in its sizes."""
        return np.nan_to_num(np.linalg.norm(self.last - self.first, axis=1) / self.size_px)


def rest_spans(phases: tuple[EpisodePhases, ...], length: int, fps: float) -> list[tuple[int, int]]:
    """Frames [first, last) before the first closing, between each two, and after the last one; at least one each."""
    begins = [0] + [phase.release + round(SETTLE_S * fps) for phase in phases]
    ends = [phase.grasp - 1 for phase in phases] + [length]
    starts = [min(begin, end - 1) for begin, end in zip(begins, ends, strict=True)]
    return [(max(0, start), max(end, max(0, start) + 1)) for start, end in zip(starts, ends, strict=True)]


def resting_places(masks: Bool[Tensor, "t h w"], phases: tuple[EpisodePhases, ...], fps: float) -> Rests:
    """Where the object lies, from the frames that show nearly all of it."""
    track = object_track(masks)
    usual = float(np.percentile(track[:, 2], 90)) if len(track) else 0.0
    few = max(1, round(END_S * fps))
    ends = []
    for begin, end in rest_spans(phases, len(track), fps):
        part = track[begin:end]
        clear = (part[:, 2] >= CLEAR_SHARE * np.percentile(part[:, 2], 90)) & (part[:, 2] >= LEAST_SHARE * usual)
        seen = part[clear & np.isfinite(part[:, 0]), :2]
        unseen = np.full((1, 2), np.nan)
        ends.append([np.median(part if len(part) else unseen, axis=0) for part in (seen[:few], seen[-few:])])
    first, last = np.array(ends, dtype=float).transpose(1, 0, 2)
    return Rests(first, last, max(usual, 1.0) ** 0.5)


def picked(
    found: Rests,
    phases: tuple[EpisodePhases, ...],
    tool_m: Float[np.ndarray, "t 3"],
    kind: str,
    asked: int,
    where: str,
) -> int:
    """The number of the closing that is planned anew: the one asked for (-1: that moves the object farthest).

    A new `start` needs an object that lies still until it is taken at the first attempt, a new `goal` one that is left
    for good: what fingers push, drop or miss they do otherwise where it lies otherwise, and no plan knows how.

    Raises:
        PlanError: there is none, or the object does not lie still.
    """
    if asked >= len(phases):
        raise PlanError(
            f"{where}: the gripper holds something {len(phases)} times; retarget.pick={asked} (from 0) is not there"
        )
    if asked >= 0:
        return asked
    number = int(found.carried.argmax())
    if len(phases) > 1 and found.carried[number] < LEAST_MOVE:
        raise PlanError(
            f"{where}: the gripper closes {len(phases)} times, and the object is not seen to move in any of them; "
            "correct its masks, give a prompt, or say which one takes it: retarget.pick (from 0)"
        )
    if kind == "start":
        others, pushed = phases[:number], found.pushed[: number + 1].max()
        event, when, other = phases[number].grasp, "before frame", "goal"
    else:
        others, pushed = phases[number + 1 :], found.pushed[number + 1 :].max()
        event, when, other = phases[number].release - 1, "after frame", "start"
    nearest = min((_apart(tool_m, phase, event) for phase in others), default=np.inf)
    if pushed > MOST_PUSH or nearest < ATTEMPT_M:
        what = f"pushed by {pushed:.1f} of its size" if nearest >= ATTEMPT_M else "taken in several attempts,"
        raise PlanError(
            f"{where}: the object is {what} {when} {event}, which no plan repeats elsewhere; leave the episode out, or "
            f"use placement={other}"
        )
    return number


def _apart(tool_m: Float[np.ndarray, "t 3"], phase: EpisodePhases, event: int) -> float:
    """How near to the tool's place at `event` another closing begins or ends, level with the table (m)."""
    ends = tool_m[[phase.grasp, phase.release - 1], :2]
    return float(np.linalg.norm(ends - tool_m[event, :2], axis=1).min())
