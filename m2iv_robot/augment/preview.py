"""What the rest of a run will take, told after its first episodes: time, disk, how many will be accepted."""

import logging
import shutil
from pathlib import Path

from m2iv_robot.augment.records import Outcome
from m2iv_robot.data.lerobot_io import EpisodeWriter

logger = logging.getLogger(__name__)

MEGABYTE = 1e6


def tell_preview(outcomes: list[Outcome], wanted: int, root: Path, writer: EpisodeWriter | None) -> None:
    """Log time, disk and acceptance to be expected of the rest of the run."""
    made = [outcome for outcome in outcomes if outcome.verdict != "refused"]
    written = [outcome for outcome in made if outcome.verdict == "written"]
    logger.info("")
    logger.info("preview: of %d plans %d are written%s", len(outcomes), len(written), _others(outcomes))
    left = wanted - len(written)
    share = len(written) / len(outcomes)
    if not made or not share:
        logger.warning("nothing was accepted so far: look at the page before you let the run go on")
        return
    seconds = sum(outcome.seconds for outcome in made) / len(written) * left
    logger.info("expected: %.0f %% accepted, %s for the other %d episodes", 100 * share, duration(seconds), left)
    if writer is not None:
        writer.wait()
        size = staged_bytes(root) / len(written)
        free = shutil.disk_usage(root.parent).free
        logger.info(
            "expected: %.1f MB on disk (%.1f MB an episode); %.0f GB are free",
            size * wanted / MEGABYTE,
            size / MEGABYTE,
            free / MEGABYTE / 1000,
        )
        if size * left * 2 > free:  # the finished dataset is merged beside its parts
            logger.warning("that may not fit on the disk: give output.root on another one, or a smaller count")


def _others(outcomes: list[Outcome]) -> str:
    counts = {verdict: sum(outcome.verdict == verdict for outcome in outcomes) for verdict in ("rejected", "refused")}
    parts = [f"{count} {verdict}" for verdict, count in counts.items() if count]
    return f" ({', '.join(parts)})" if parts else ""


def staged_bytes(root: Path) -> int:
    """Size of what is written so far."""
    folder = root.with_name(f".{root.name}.m2iv")
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())


def duration(seconds: float) -> str:
    """Seconds as a person says them."""
    if seconds < 90:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 5400 else f"{seconds / 3600:.1f} h"
