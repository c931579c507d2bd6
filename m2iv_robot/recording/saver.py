"""A process that writes spooled episodes to a dataset, one after the other, beside the one that records.

`python -m m2iv_robot.recording.saver ROOT CODEC`: a folder per line on the standard input, an answer in JSON per line
on the standard output. At the end of the input, which comes too when the recording process is killed, it writes what
it was given and ends; so no finished episode is lost.
"""

import contextlib
import fcntl
import json
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from m2iv_robot.errors import M2IVError
from m2iv_robot.recording.spool import finished_spools, open_spool, spool_folder


@dataclass(frozen=True)
class SavedEpisode:
    """What became of an episode: its index, or the error."""

    folder: str
    index: int
    summary: str
    error: str = ""


class Saver:
    """The writing process; starts at once, so that its imports are done before the first episode is."""

    def __init__(self, root: Path, codec: str, on_saved: Callable[[SavedEpisode], None]) -> None:
        """`on_saved` is called from a thread of its own. Episodes that an earlier process left are written first."""
        self._on_saved = on_saved
        self._lock = threading.Lock()
        self._waiting: list[str] = [str(folder) for folder in finished_spools(root)]
        self._current = ""
        self._command = [sys.executable, "-m", "m2iv_robot.recording.saver", str(root), codec]
        with self._lock:
            self._start()
            self._next()

    @property
    def waiting(self) -> int:
        """Episodes that are not written yet."""
        with self._lock:
            return len(self._waiting) + bool(self._current)

    def save(self, folder: Path) -> None:
        """Have an episode written; returns at once."""
        with self._lock:
            self._waiting.append(str(folder))
            self._next()

    def take_back(self, folder: Path) -> bool:
        """Have an episode not written after all; False where its writing has begun."""
        with self._lock:
            if str(folder) not in self._waiting:
                return False
            self._waiting.remove(str(folder))
            return True

    def close(self, timeout_s: float) -> bool:
        """Let it write what it was given, and end; False where it is not done within the time (it goes on alone)."""
        with self._lock:
            if not self._waiting and not self._current:
                self._process.terminate()  # it may still be busy with its imports
            rest, self._waiting = self._waiting, []
            for folder in rest:
                self._send(folder)
            with contextlib.suppress(BrokenPipeError):
                self._process.stdin.close()
        try:
            self._process.wait(timeout_s)
        except subprocess.TimeoutExpired:
            return False
        self._thread.join(timeout_s)
        self._process.stdout.close()
        return True

    def _start(self) -> None:
        # in a session of its own: Ctrl-C at the recorder's terminal must not end it in the middle of an episode
        self._process = subprocess.Popen(
            self._command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, bufsize=1, start_new_session=True
        )
        self._thread = threading.Thread(target=self._listen, args=(self._process,), name="saver", daemon=True)
        self._thread.start()

    def _next(self) -> None:
        if self._waiting and not self._current:
            if self._process.poll() is not None:
                self._start()
            self._current = self._waiting.pop(0)
            self._send(self._current)

    def _send(self, folder: str) -> None:
        with contextlib.suppress(BrokenPipeError, ValueError):  # its end is noticed where its answers are read
            self._process.stdin.write(folder + "\n")
            self._process.stdin.flush()

    def _listen(self, process: subprocess.Popen) -> None:
        for line in process.stdout:
            saved = SavedEpisode(**json.loads(line))
            with self._lock:
                if saved.folder == self._current:
                    self._current = ""
                self._next()
            self._on_saved(saved)
        with self._lock:
            lost, self._current = self._current, ""
        if lost:
            error = f"the writing process ended with status {process.wait()}; the episode is kept in {lost}"
            self._on_saved(SavedEpisode(lost, -1, "", error))


def main(arguments: list[str]) -> int:
    """Write the episodes whose folders come in."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    with contextlib.suppress(OSError):
        os.nice(5)
    answers = os.fdopen(os.dup(1), "w", buffering=1)
    os.dup2(2, 1)  # whatever libraries print must not be taken for answers
    from m2iv_robot.data.lerobot_io import WriterConfig
    from m2iv_robot.recording.save import save_episode

    root, codec = arguments
    config = WriterConfig(codec=codec)
    only_one = open(spool_folder(Path(root)) / ".saver", "w")
    fcntl.flock(only_one, fcntl.LOCK_EX)  # one that a killed recorder left ends first
    for line in sys.stdin:
        folder = line.rstrip("\n")
        if not Path(folder).is_dir():
            continue  # the other one has written it
        try:
            episode = open_spool(folder)
            saved = SavedEpisode(folder, save_episode(episode, root, config), episode.report["summary"])
        except M2IVError as error:
            saved = SavedEpisode(folder, -1, "", str(error))
        with contextlib.suppress(BrokenPipeError):  # the recorder is gone; the episode is written all the same
            answers.write(json.dumps(vars(saved)) + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
