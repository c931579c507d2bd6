"""Run by test_lerobot_io_crash: writes a dataset in a forked child, and kills it at a given change of the disk.

Reads one JSON line per run, {"source", "output", "names", "kill_at", "log"}, and answers with the child's exit status.
It imports once and writes nothing itself, so that a fork is cheap and safe.
"""

import json
import os
import signal
import sys
from pathlib import Path

import datasets.io.parquet  # noqa: F401 (this and the next: imported before the fork)
import torch
from lerobot.datasets import aggregate, lerobot_dataset  # noqa: F401

from m2iv_robot.data.lerobot_io import (
    DatasetConfig,
    EpisodeRecord,
    EpisodeWriter,
    WriterConfig,
    format_like,
    open_dataset,
)

CAMERA = "observation.images.front"
WATCHED = ("os.rename", "os.remove", "os.rmdir", "os.mkdir", "open")


def write(source_root: str, output: str, names: list[str]) -> None:
    """Every recorded episode, then one more per name."""
    source = open_dataset(DatasetConfig(root=source_root))
    config = WriterConfig(batch_episodes=2, include_source=True)
    with EpisodeWriter(output, format_like(source), config, source) as writer:
        for number, name in enumerate(names):
            if not writer.has(name):
                writer.append(record(name, number))


def record(name: str, number: int) -> EpisodeRecord:
    length = 3 + number
    frames = torch.full((length, 3, 32, 48), 40 + 60 * number, dtype=torch.uint8)
    state, action = torch.full((length, 2), number / 3), torch.arange(2.0 * length).view(-1, 2)
    line = {"source_dataset": "in", "source_episode": 0}
    return EpisodeRecord(name, f"task {name}", {CAMERA: frames}, {"observation.state": state, "action": action}, line)


def kill_before(moment: int | str, place: str, log: list[str]) -> None:
    """Have this process killed before the `moment`-th change of a file or folder below `place` (-1: never).

    A text is the first rename that it is part of.
    """

    def watch(event: str, arguments: tuple) -> None:
        if event not in WATCHED or place not in str(arguments[0]):
            return
        if event == "open" and not (arguments[2] & (os.O_WRONLY | os.O_RDWR)):
            return
        change = f"{event} {arguments[0]} {arguments[1]}"
        if len(log) == moment or (isinstance(moment, str) and event == "os.rename" and moment in change):
            os.kill(os.getpid(), signal.SIGKILL)
        log.append(change)

    sys.addaudithook(watch)


def child(request: dict) -> None:
    log: list[str] = []
    kill_before(request["kill_at"], str(Path(request["output"]).parent), log)
    write(request["source"], request["output"], request["names"])
    events = "\n".join(log)
    Path(request["log"]).write_text(events)


def main() -> None:
    for line in sys.stdin:
        process = os.fork()
        if process == 0:
            child(json.loads(line))
            os._exit(0)
        status = os.waitpid(process, 0)[1]
        sys.stdout.write(f"{os.waitstatus_to_exitcode(status)}\n")
        sys.stdout.flush()


if __name__ == "__main__":
    main()
