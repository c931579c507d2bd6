"""The generator's process, from outside: started, given one request at a time, cancelled, ended.

It speaks JSON, a line at a time: commands on its standard input, events on its standard output (see `worker`).
"""

import contextlib
import dataclasses
import json
import os
import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path

from m2iv_robot.requests.request import AugmentRequest

PAGE_BYTES = os.sysconf("SC_PAGE_SIZE")

Event = dict[str, object]  # "event": loaded | progress | episode | ended | failed, and what belongs to it


class GeneratorProcess:
    """Kept state: the process. `on_event` is called from a thread of its own; the last event is "gone"."""

    def __init__(self, settings: dict, on_event: Callable[[Event], None]) -> None:
        """Start it and have it load its models; "loaded" or "failed" follows. `settings`: see `worker.Settings`."""
        self._on_event = on_event
        self._lock = threading.Lock()
        self._process = subprocess.Popen(
            [sys.executable, "-m", "m2iv_robot.requests.worker", json.dumps(settings)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            bufsize=1,
            start_new_session=True,  # Ctrl-C at the node's terminal is the node's to answer
        )
        self._thread = threading.Thread(target=self._listen, name="generator", daemon=True)
        self._thread.start()

    @property
    def alive(self) -> bool:
        """Whether the process runs."""
        return self._process.poll() is None

    @property
    def memory_mb(self) -> float:
        """Resident memory; 0 where it has ended or the system does not tell."""
        try:
            pages = int(Path(f"/proc/{self._process.pid}/statm").read_text().split()[1])
        except (OSError, IndexError, ValueError):
            return 0.0
        return pages * PAGE_BYTES / 1e6

    def run(self, ident: int, request: AugmentRequest) -> None:
        """Give it a request; "ended" follows in any case."""
        self._send({"do": "run", "id": ident, "request": dataclasses.asdict(request)})

    def cancel(self) -> None:
        """Have it give up the running request; "ended" follows before the next step of a network."""
        self._send({"do": "cancel"})

    def close(self, timeout_s: float) -> None:
        """End it, if need be by force."""
        with self._lock, contextlib.suppress(BrokenPipeError):
            self._process.stdin.close()  # it ends when its input does
        try:
            self._process.wait(timeout_s)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        self._thread.join(timeout_s)
        self._process.stdout.close()

    def _send(self, command: dict) -> None:
        with self._lock, contextlib.suppress(BrokenPipeError, ValueError):  # "gone" tells that it has ended
            self._process.stdin.write(json.dumps(command) + "\n")
            self._process.stdin.flush()

    def _listen(self) -> None:
        for line in self._process.stdout:
            self._on_event(json.loads(line))
        self._on_event({"event": "gone", "status": self._process.wait()})
