"""The hidden folder beside an output in which it is made, and the renames that make each step all or nothing.

For an output `runs/blocks` it is `runs/.blocks.m2iv`:

    parts/000012/      one finished episode, itself a LeRobot dataset; meta/m2iv_episodes.jsonl names it
    batches/000000/    finished episodes 0 .. n-1 merged; named by the number of the first
    rejected.jsonl     candidates that did not pass, one line each
    ready/             the complete new output, for the moment of the swap
    old/               the previous output, for the same moment
    work/              everything unfinished; emptied at each start

A folder gets its final name only by rename, after its files and folders were flushed to the disk, so whatever carries
a final name is whole. The output is swapped by `output -> old, ready -> output`; between the two it is absent, and the
next start completes the swap. A published staging folder is renamed before it is deleted, so a half-deleted one is
never taken for unpublished work.
"""

import fcntl
import json
import os
import shutil
from pathlib import Path

from m2iv_robot.errors import WriteError

EPISODES_FILE = Path("meta") / "m2iv_episodes.jsonl"


class Staging:
    """The open staging folder of one output; holds a lock until `close`, which a killed process gives up too."""

    def __init__(self, output: Path) -> None:
        self.output = output
        self.root = output.with_name(f".{output.name}.m2iv")
        self._trash = output.with_name(f".{output.name}.m2iv-done")
        self._lock = -1

    def open(self) -> None:
        """Create or take over the folder and bring what a killed process left into order.

        Raises:
            WriteError: the output cannot be written there, or another process is writing it.
        """
        if self.output.exists() and not self.output.is_dir():
            raise WriteError(f"{self.output}: the output is a file; give a folder that does not exist yet")
        try:
            for name in ("parts", "batches"):
                (self.root / name).mkdir(parents=True, exist_ok=True)
            self._lock = os.open(self.root, os.O_RDONLY)
            fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            self.close()
            raise WriteError(
                f"{self.output}: another process is writing it; wait for it or give another folder"
            ) from error
        except OSError as error:
            raise WriteError(
                f"{self.output}: cannot be written ({error.strerror}); give an output folder on a writable disk"
            ) from error
        shutil.rmtree(self._trash, ignore_errors=True)
        shutil.rmtree(self.work, ignore_errors=True)
        self.work.mkdir()
        for batch in self.batches():
            self._remove_parts(batch)

    def close(self) -> None:
        """Give up the lock."""
        if self._lock >= 0:
            os.close(self._lock)
            self._lock = -1

    @property
    def work(self) -> Path:
        """The folder for unfinished files."""
        return self.root / "work"

    def parts(self) -> list[Path]:
        """Finished episodes that are in no batch, in order."""
        return sorted((self.root / "parts").iterdir())

    def batches(self) -> list[Path]:
        """Finished batches, in order."""
        return sorted((self.root / "batches").iterdir())

    def episodes(self) -> list[dict]:
        """The records of all finished episodes, in order."""
        return [record for folder in [*self.batches(), *self.parts()] for record in read_lines(folder / EPISODES_FILE)]

    def commit_part(self, folder: Path, number: int) -> None:
        """Make `folder` in `work` finished episode `number`."""
        flush_tree(folder)
        move(folder, self.root / "parts" / f"{number:06d}")

    def commit_batch(self, folder: Path, first: int) -> None:
        """Make `folder` in `work` the batch whose first episode is `first`, in place of its parts."""
        flush_tree(folder)
        target = self.root / "batches" / f"{first:06d}"
        move(folder, target)
        self._remove_parts(target)

    def publish(self, folder: Path) -> None:
        """Make `folder` in `work` the output, and forget the staged episodes."""
        flush_tree(folder)
        move(folder, self.root / "ready")
        self.finish_swap()

    def finish_swap(self) -> bool:
        """Complete a swap that has begun; True when there was one."""
        ready, old = self.root / "ready", self.root / "old"
        if ready.exists():
            if self.output.exists() and not old.exists():
                move(self.output, old)
            move(ready, self.output)
        elif not old.exists():
            return False
        self.discard()
        return True

    def discard(self) -> None:
        """Delete the folder: all that it holds is in the output."""
        if self.root.exists():
            move(self.root, self._trash)
            shutil.rmtree(self._trash, ignore_errors=True)

    def reject(self, record: dict) -> None:
        """Note a candidate that was not accepted."""
        append_line(self.root / "rejected.jsonl", record)

    def rejected(self) -> list[dict]:
        """The noted candidates, in order."""
        return read_lines(self.root / "rejected.jsonl")

    def _remove_parts(self, batch: Path) -> None:
        first = int(batch.name)
        for number in range(first, first + len(read_lines(batch / EPISODES_FILE))):
            shutil.rmtree(self.root / "parts" / f"{number:06d}", ignore_errors=True)


def move(source: Path, target: Path) -> None:
    """Rename, and flush the folders that the name left and came to."""
    os.rename(source, target)
    for folder in {source.parent, target.parent}:
        flush(folder)


def flush(path: Path) -> None:
    """Have the disk hold what was written to a file or folder."""
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def flush_tree(folder: Path) -> None:
    """Flush every file and folder below, and the folder itself."""
    for parent, _, names in os.walk(folder, topdown=False):
        for name in names:
            flush(Path(parent) / name)
        flush(Path(parent))


def read_lines(path: Path) -> list[dict]:
    """The records of a JSON-lines file; a last line that was cut off is left out; [] without a file."""
    if not path.is_file():
        return []
    text = path.read_text()
    return [json.loads(line) for line in text[: text.rfind("\n") + 1].splitlines()]


def write_lines(path: Path, records: list[dict]) -> None:
    """Write a JSON-lines file."""
    path.write_text("".join(json.dumps(record) + "\n" for record in records))


def append_line(path: Path, record: dict) -> None:
    """Add a record, after removing a last line that was cut off."""
    with open(path, "ab+") as file:
        file.seek(0)
        content = file.read()
        file.truncate(content.rfind(b"\n") + 1)
        file.write(json.dumps(record).encode() + b"\n")
        file.flush()
        os.fsync(file.fileno())
