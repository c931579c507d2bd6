"""What became of the messages of an episode: counts, holes and skew, as figures and as sentences."""

from collections import Counter
from dataclasses import asdict, dataclass, field


@dataclass
class StreamReport:
    """One stream of the contract; grows while an episode is recorded."""

    received: int = 0
    used: int = 0  # frames that have a sample of it
    repeated: int = 0  # frames whose sample is the one of the frame before
    missing: int = 0  # frames left out because it had no sample that was young enough
    out_of_order: int = 0  # messages left out because a later one had come before
    refused: Counter[str] = field(default_factory=Counter)  # messages left out: why -> how many
    age_mean_s: float = 0.0  # of the samples used, against the frame's time; negative within the contract's slack
    age_max_s: float = 0.0

    def use(self, age_s: float, repeated: bool) -> None:
        """Count a sample that a frame takes."""
        self.used += 1
        self.repeated += repeated
        self.age_mean_s += (age_s - self.age_mean_s) / self.used
        self.age_max_s = max(self.age_max_s, age_s)


@dataclass(frozen=True)
class RecordingReport:
    """An episode as it was put together."""

    frames: int  # written
    fps: int  # of the dataset
    measured_fps: float  # of the frames, from their stamps
    start_s: float  # stamp of the first frame
    length_s: float  # from the first frame to the last, by their stamps
    surplus: int  # images of the reference that came faster than fps and were left out
    gaps: int  # holes among the frames that were written
    gap_frames: int  # frames that would have filled them
    longest_gap_s: float
    trimmed_start: int  # frames left out in front of what was written ..
    trimmed_end: int  # .. and behind
    streams: dict[str, StreamReport]
    notes: tuple[str, ...] = ()  # what a person should know

    def as_dict(self) -> dict:
        """Plain JSON."""
        return asdict(self)

    def summary(self) -> str:
        """One line for a log or a service's answer."""
        parts = [f"{self.frames} frames, {self.length_s:.1f} s at {self.measured_fps:.2f} fps"]
        if self.gaps:
            parts.append(
                f"{self.gap_frames} frames missing in {self.gaps} gaps, the longest {self.longest_gap_s:.2f} s"
            )
        if self.trimmed_start or self.trimmed_end:
            parts.append(f"trimmed by {self.trimmed_start} frames in front and {self.trimmed_end} behind")
        for name, stream in self.streams.items():
            lost = [
                f"{count} {what}"
                for what, count in (
                    ("frames without it", stream.missing),
                    ("frames repeat it", stream.repeated),
                    ("out of order", stream.out_of_order),
                )
                if count
            ]
            lost += [f"{count} refused ({why})" for why, count in stream.refused.most_common(3)]
            if lost:
                parts.append(f"{name}: " + ", ".join(lost))
        return "; ".join([*parts, *self.notes])
