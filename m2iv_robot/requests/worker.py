"""The generator's process: models are loaded once, requests run one at a time, and cancelling is heard at any moment.

`python -m m2iv_robot.requests.worker SETTINGS` reads commands in JSON, one a line:
  {"do": "run", "id": 3, "request": {...}}   {"do": "cancel"}
and writes events in JSON, one a line:
  {"event": "loaded", "device": ..., "weights": {...}}            or {"event": "failed", "message": ...} and ends
  {"event": "progress", "id": 3, "share": 0.4, "message": ...}
  {"event": "episode", "id": 3, "accepted": true, "message": ..., "preview": FILE}   see `preview`
  {"event": "ended", "id": 3, "state": "done" | "cancelled" | "failed", "message": ...}
It ends when its input does, so that it never outlives the process that asks.
"""

import contextlib
import ctypes
import json
import os
import queue
import signal
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from typing import TextIO

import torch

from m2iv_robot.config import parse
from m2iv_robot.errors import M2IVError
from m2iv_robot.requests.board import CANCELLED, DONE, FAILED
from m2iv_robot.requests.cancelling import Cancel, CancelledError
from m2iv_robot.requests.engine import Engine, EngineConfig
from m2iv_robot.requests.request import AugmentRequest

Emit = Callable[[dict], None]
NICENESS = 10  # of 19: a tenth of the processor where others want it, all of it where nobody does


def main(arguments: list[str]) -> int:
    """Serve until the input ends; returns the exit status."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    give_way()
    answers = os.fdopen(os.dup(1), "w", buffering=1)
    os.dup2(2, 1)  # whatever libraries print must not be taken for events

    def emit(event: dict) -> None:
        with contextlib.suppress(BrokenPipeError):
            answers.write(json.dumps(event) + "\n")

    jobs: queue.Queue[dict | None] = queue.Queue()
    cancel = Cancel()
    threading.Thread(target=listen, args=(sys.stdin, jobs, cancel), daemon=True).start()
    try:
        engine = Engine(parse(EngineConfig, json.loads(arguments[0]), "augmenter"))
    except M2IVError as error:
        emit({"event": "failed", "message": str(error)})
        return 1
    emit({"event": "loaded", **engine.describe()})
    serve(engine, jobs, cancel, emit)
    return 0


def give_way() -> None:
    """Let cameras and nodes on this machine go first; threads and processes that this one starts do so too."""
    with contextlib.suppress(AttributeError, OSError):  # a system without priorities
        os.nice(NICENESS)
        Path("/proc/self/autogroup").write_text(str(NICENESS))  # Linux weighs sessions before it weighs processes


def listen(commands: TextIO, jobs: queue.Queue, cancel: Cancel) -> None:
    """Queue requests and hear cancels; at the end of the input whatever runs is cancelled."""
    for line in commands:
        command = json.loads(line)
        if command["do"] == "cancel":
            cancel.ask()
        else:
            cancel.forget()
            jobs.put(command)
    cancel.ask()
    jobs.put(None)


def serve(engine: Engine, jobs: queue.Queue, cancel: Cancel, emit: Emit) -> None:
    """Run requests until there will be no more."""
    while (job := jobs.get()) is not None:
        ident = job["id"]
        try:
            request = parse(AugmentRequest, job["request"], "request")
            summary = engine.run(request, _Told(ident, emit), cancel)
            emit({"event": "ended", "id": ident, "state": DONE, "message": summary})
        except CancelledError:
            emit({"event": "ended", "id": ident, "state": CANCELLED, "message": "cancelled"})
        except M2IVError as error:
            emit({"event": "ended", "id": ident, "state": FAILED, "message": str(error)})
        except torch.OutOfMemoryError as error:
            torch.cuda.empty_cache()
            message = f"the device's memory is full ({str(error).splitlines()[0]}); use a smaller picture, or the cpu"
            emit({"event": "ended", "id": ident, "state": FAILED, "message": message})
        give_back_memory()


def give_back_memory() -> None:
    """Hand freed memory to the system, where the C library can: it would keep about a gigabyte of it."""
    with contextlib.suppress(AttributeError):
        ctypes.CDLL(None).malloc_trim(0)


class _Told:
    """What the engine tells while it works on one request."""

    def __init__(self, ident: int, emit: Emit) -> None:
        self._ident = ident
        self._emit = emit

    def progress(self, message: str, share: float) -> None:
        """How far it is."""
        self._emit({"event": "progress", "id": self._ident, "share": share, "message": message})

    def episode(self, accepted: bool, message: str, preview: str) -> None:
        """An episode was made; `preview` is a file to show it from, "" where there is none."""
        self._emit(
            {"event": "episode", "id": self._ident, "accepted": accepted, "message": message, "preview": preview}
        )


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
