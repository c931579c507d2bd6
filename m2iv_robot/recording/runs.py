"""Which part of an episode is whole: runs of frames without a long hole."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Int64

from m2iv_robot.errors import RecordingError
from m2iv_robot.recording.alignment import NANOSECONDS


@dataclass(frozen=True)
class Run:
    """Frames [start, stop) between two deaths."""

    start: int
    stop: int
    lost_before: int  # frames of the episode in front of it that are not in it
    lost_behind: int
    ends_with_all: bool  # it goes to the end of the episode


def runs_of(stamps: Int64[np.ndarray, " t"], ticks_ns: Sequence[int], max_gap_ns: int, end_ns: int | None) -> list[Run]:
    """The runs of an episode; `ticks_ns` are the times of all frames that should be there, `end_ns` its end."""
    if len(stamps) == 0:
        return []
    cuts = np.flatnonzero(np.diff(stamps) > max_gap_ns) + 1
    starts, stops = [0, *cuts.tolist()], [*cuts.tolist(), len(stamps)]
    ticks = np.asarray(ticks_ns, dtype=np.int64)
    runs = []
    for start, stop in zip(starts, stops, strict=True):
        last = stop == len(stamps)
        runs.append(
            Run(
                start=start,
                stop=stop,
                lost_before=int((ticks < stamps[start]).sum()),
                lost_behind=int((ticks > stamps[stop - 1]).sum()),
                ends_with_all=last and (end_ns is None or end_ns - int(stamps[-1]) <= max_gap_ns),
            )
        )
    return runs


def whole_run(runs: list[Run], trim: bool, why: str) -> Run:
    """The run to keep: the only one, or the longest where the episode may be trimmed.

    Raises:
        RecordingError: there is none, or a stream died and nothing may be trimmed.
    """
    if not runs:
        raise RecordingError(f"no frame has a sample of every stream. {why}".rstrip(". ") + ".")
    if len(runs) == 1 and runs[0].ends_with_all:
        return runs[0]
    if not trim:
        raise RecordingError(
            f"a stream died: {why or 'the recording has a long hole'}. Record again; when_dead: trim in the contract "
            "keeps the longest whole part"
        )
    return max(runs, key=lambda run: run.stop - run.start)


def measured_fps(stamps: Int64[np.ndarray, " t"]) -> float:
    """Frames a second between neighbours, holes left out; 0 for fewer than 3 frames."""
    if len(stamps) < 3:
        return 0.0
    steps = np.diff(stamps)
    whole = steps[steps < 1.5 * np.median(steps)]
    return float(NANOSECONDS / whole.mean())
