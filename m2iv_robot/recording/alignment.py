"""Samples of several clocks to frames: the reference camera's images, each with the others' latest samples.

Stamps are integer nanoseconds. A frame is made once every stream has shown a later sample than it could take (so that
what is latest cannot change any more), or when some stream is `wait_s` ahead of it. What comes out therefore depends on
stamps alone, not on how messages travelled: a bag gives the same frames as the topics it was recorded from.
"""

from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass, field

from m2iv_robot.errors import RecordingError
from m2iv_robot.recording.report import StreamReport

NANOSECONDS = 1_000_000_000
RATE_GAIN = 0.1  # how fast the frames' clock follows the reference's: lets 29.97 Hz pass as 30, and jitter not
EARLY_SHARE = 0.25  # of a frame's duration: an image that comes earlier than this before its time is one too many


def to_ns(seconds: float) -> int:
    """Seconds as nanoseconds; infinity becomes longer than any recording."""
    return int(min(seconds, 1e9) * NANOSECONDS)


@dataclass(frozen=True)
class AlignmentConfig:
    """In nanoseconds, from the contract."""

    reference: str
    period_ns: int
    slack_ns: int
    wait_ns: int
    max_age_ns: dict[str, int]  # of every stream, the reference included


@dataclass(frozen=True)
class AlignedFrame:
    """One frame: a sample of every stream."""

    stamp_ns: int
    samples: dict[str, object]


@dataclass
class _Buffer:
    """What a stream has delivered and frames may still take: stamps rise."""

    waiting: deque[tuple[int, object]] = field(default_factory=deque)
    newest_ns: int | None = None
    last_used_ns: int | None = None

    def latest(self, limit_ns: int) -> tuple[int, object] | None:
        """The latest sample up to the limit; earlier ones are let go."""
        while len(self.waiting) > 1 and self.waiting[1][0] <= limit_ns:
            self.waiting.popleft()
        if self.waiting and self.waiting[0][0] <= limit_ns:
            return self.waiting[0]
        return None


class Aligner:
    """Feed it samples in the order of their arrival; it gives frames in the order of time."""

    def __init__(self, config: AlignmentConfig) -> None:
        self.config = config
        self.reports = {name: StreamReport() for name in config.max_age_ns}
        self.surplus = 0
        self.ticks_ns: list[int] = []  # every frame's time, made or not
        self._buffers = {name: _Buffer() for name in config.max_age_ns}
        self._pending: deque[tuple[int, object]] = deque()
        self._due_ns: float | None = None

    @property
    def newest_ns(self) -> int | None:
        """The latest stamp of all streams."""
        return max(
            (buffer.newest_ns for buffer in self._buffers.values() if buffer.newest_ns is not None), default=None
        )

    def add(self, stream: str, stamp_ns: int, sample: object) -> None:
        """Take a sample.

        Raises:
            RecordingError: the stream's clock jumped back.
        """
        report, buffer = self.reports[stream], self._buffers[stream]
        report.received += 1
        if buffer.newest_ns is not None and stamp_ns <= buffer.newest_ns:
            report.out_of_order += 1
            back_ns = buffer.newest_ns - stamp_ns
            if back_ns > self.config.wait_ns:
                raise RecordingError(
                    f"{stream}: its clock jumped back by {back_ns / NANOSECONDS:.3f} s; "
                    "record again after the clock, the bag or the simulation was started anew"
                )
            return
        buffer.newest_ns = stamp_ns
        if stream != self.config.reference:
            buffer.waiting.append((stamp_ns, sample))
        elif self._is_frame(stamp_ns):
            self._pending.append((stamp_ns, sample))
            self.ticks_ns.append(stamp_ns)
        else:
            self.surplus += 1

    def frames(self) -> Iterator[AlignedFrame]:
        """The frames that can be made by now."""
        while self._pending and self._is_settled(self._pending[0][0]):
            frame = self._make(*self._pending.popleft())
            if frame is not None:
                yield frame

    def flush(self) -> Iterator[AlignedFrame]:
        """The remaining frames: nothing more will come."""
        while self._pending:
            frame = self._make(*self._pending.popleft())
            if frame is not None:
                yield frame

    def _is_frame(self, stamp_ns: int) -> bool:
        """Whether this image of the reference is a frame, or one more than the rate asks for."""
        period = self.config.period_ns
        if self._due_ns is None:
            self._due_ns = stamp_ns + period
            return True
        late_ns = stamp_ns - self._due_ns
        if late_ns < -EARLY_SHARE * period:
            return False
        hole = late_ns > period / 2
        self._due_ns = stamp_ns + period if hole else self._due_ns + period + RATE_GAIN * late_ns
        return True

    def _is_settled(self, stamp_ns: int) -> bool:
        if self.newest_ns - stamp_ns > self.config.wait_ns:
            return True
        limit_ns = stamp_ns + self.config.slack_ns
        others = (buffer for name, buffer in self._buffers.items() if name != self.config.reference)
        return all(buffer.newest_ns is not None and buffer.newest_ns >= limit_ns for buffer in others)

    def _make(self, stamp_ns: int, sample: object) -> AlignedFrame | None:
        found: dict[str, tuple[int, object]] = {self.config.reference: (stamp_ns, sample)}
        complete = True
        for name, buffer in self._buffers.items():
            if name == self.config.reference:
                continue
            latest = buffer.latest(stamp_ns + self.config.slack_ns)
            if latest is None or stamp_ns - latest[0] > self.config.max_age_ns[name]:
                self.reports[name].missing += 1
                complete = False
            else:
                found[name] = latest
        if not complete:
            return None
        for name, (taken_ns, _) in found.items():
            buffer = self._buffers[name]
            self.reports[name].use((stamp_ns - taken_ns) / NANOSECONDS, taken_ns == buffer.last_used_ns)
            buffer.last_used_ns = taken_ns
        return AlignedFrame(stamp_ns, {name: taken for name, (_, taken) in found.items()})


def stamp_of(message: object, received_ns: int, use_header: bool) -> int:
    """When a message's content was true: its header's stamp, else when it was received."""
    header = getattr(message, "header", None) if use_header else None
    if header is None:
        return received_ns
    stamp_ns = int(header.stamp.sec) * NANOSECONDS + int(header.stamp.nanosec)
    return stamp_ns or received_ns  # a stamp of zero says that the publisher has set none
