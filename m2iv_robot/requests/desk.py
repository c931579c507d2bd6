"""Where requests are handed in: checked, put on the board, given to the generator's process, followed to their end.

Knows nothing of how requests travel. Safe for several threads.
"""

import threading
import time
from collections import deque
from collections.abc import Callable
from pathlib import Path

from m2iv_robot.errors import RequestError
from m2iv_robot.requests.board import CANCELLED, CANCELLING, DONE, FAILED, Entry, RequestBoard
from m2iv_robot.requests.process import Event, GeneratorProcess
from m2iv_robot.requests.request import AugmentRequest, RequestLimits, check_request

LOADED, FAULT, GONE = "loaded", "failed", "gone"
CANCEL_TIMEOUT_S = 60.0  # a generator that has not stopped by then is ended; a step of a network takes seconds at most
IDLE_TIMEOUT_S = 3.0  # one that does nothing, or is still loading, is ended sooner
LOOK_S = 0.2  # how often somebody who waits for the models looks whether to give up


class Desk:
    """Kept state: the board, and the generator's process while models are loaded."""

    def __init__(
        self, limits: RequestLimits, queue_limit: int, on_preview: Callable[[Path], None], on_change: Callable[[], None]
    ) -> None:
        """`on_preview` gets the file of each episode made, `on_change` is called after each change; other threads."""
        self.board: RequestBoard[AugmentRequest] = RequestBoard(queue_limit)
        self.limits = limits
        self.models: dict = {}  # what the generator said of itself when it had loaded
        self.fault = ""  # why there is no generator although there should be one
        self._on_preview = on_preview
        self._on_change = on_change
        self._lock = threading.RLock()
        self._process: GeneratorProcess | None = None
        self._answered = threading.Event()
        self._given_up = False
        self._open = False
        self._finished: deque[float] = deque(maxlen=50)  # when episodes were made

    def load(self, settings: dict, timeout_s: float) -> None:
        """Start the generator and have it load its models.

        Raises:
            RequestError: they cannot be loaded, or not in time.
        """
        self.unload()
        self._answered.clear()
        self._given_up = False
        with self._lock:
            self._process = GeneratorProcess(settings, self._on_event)
        end = time.monotonic() + timeout_s
        while not (self._answered.wait(LOOK_S) or self._given_up or time.monotonic() > end):
            pass
        if not self.models or self.fault:
            late = "given up" if self._given_up else f"not loaded within {timeout_s:g} s"
            fault = self.fault or f"the models were {late}"
            self.unload()
            self.fault = fault
            raise RequestError(fault)

    def give_up(self) -> None:
        """Have `load` wait no longer; it fails. May be called in the middle of anything."""
        self._given_up = True  # no lock: a signal may have come while this thread holds one

    def unload(self) -> None:
        """End the generator and what it does; its memory is free afterwards."""
        self.close_to_requests("the models were unloaded")
        with self._lock:
            process, self._process = self._process, None
        running = self.board.running
        if process is not None:
            process.close(timeout_s=IDLE_TIMEOUT_S if running is None else CANCEL_TIMEOUT_S)
        if running is not None:
            self._end(running.id, CANCELLED, "the models were unloaded")
        self.models, self.fault = {}, ""

    def open_to_requests(self) -> None:
        """Accept requests from now on."""
        self._open = True

    def close_to_requests(self, why: str) -> None:
        """Accept none, cancel those that wait and the running one."""
        self._open = False
        for entry in self.board.waiting:
            self.board.cancel(entry.id)
        running = self.board.running
        if running is not None and running.state != CANCELLING:
            self.cancel(running.id)

    def submit(self, request: AugmentRequest) -> int:
        """Accept a request; returns its id at once.

        Raises:
            RequestError: it is refused, and why.
            DatasetError: its dataset cannot be used.
        """
        if self.fault:
            raise RequestError(f"no models are loaded ({self.fault}); clean up and configure again")
        if not self._open or self._process is None:
            raise RequestError("requests are accepted by an active node only; configure and activate it first")
        check_request(request, self.limits)
        ident = self.board.submit(request)
        self._pump()
        return ident

    def cancel(self, ident: int | None = None) -> list[int]:
        """Cancel one request, or all that have not ended; returns their ids at once.

        Raises:
            RequestError: there is no such request, or it has ended.
        """
        running = self.board.running
        cancelled = self.board.cancel(ident)
        if running is not None and running.id in cancelled and self._process is not None:
            self._process.cancel()
            watch = threading.Timer(CANCEL_TIMEOUT_S, self._insist, (running.id,))
            watch.daemon = True
            watch.start()
        self._on_change()
        return cancelled

    @property
    def memory_mb(self) -> float:
        """Resident memory of the generator."""
        process = self._process
        return process.memory_mb if process is not None else 0.0

    def episodes_per_minute(self) -> float:
        """How fast episodes were made lately."""
        recent = [moment for moment in self._finished if time.monotonic() - moment < 600]
        return 60 * (len(recent) - 1) / (recent[-1] - recent[0]) if len(recent) > 1 else 0.0

    def _pump(self) -> None:
        with self._lock:
            entry = self.board.take() if self._process is not None else None
            if entry is not None:
                self._process.run(entry.id, entry.request)
        self._on_change()

    def _insist(self, ident: int) -> None:
        """A request that is still being cancelled costs the generator its process."""
        process = self._process
        if process is not None and self.board.get(ident).state == CANCELLING:
            self.fault = "the generator did not stop when it was told to, and was ended"
            process.close(timeout_s=0.0)

    def _on_event(self, event: Event) -> None:
        name = event["event"]
        if name == LOADED:
            self.models = {key: value for key, value in event.items() if key != "event"}
            self._answered.set()
        elif name == FAULT:
            self.fault = str(event["message"])
        elif name == GONE:
            self._on_gone(int(event["status"]))
        elif name == "progress":
            self.board.progress(int(event["id"]), float(event["share"]), str(event["message"]))
            self._on_change()
        elif name == "episode":
            self.board.count(int(event["id"]), bool(event["accepted"]))
            self._finished.append(time.monotonic())
            if event["preview"]:
                self._on_preview(Path(str(event["preview"])))
            self._on_change()
        elif name == "ended":
            self._end(int(event["id"]), str(event["state"]), str(event["message"]))
            self._pump()

    def _on_gone(self, status: int) -> None:
        if not self.models and not self.fault:
            self.fault = f"the generator's process ended with status {status} while it loaded its models"
        elif self._process is not None and not self.fault:
            self.fault = f"the generator's process ended with status {status}; it may have run out of memory"
        running = self.board.running
        if running is not None:
            self._end(running.id, FAILED, self.fault or "the models were unloaded")
        self._answered.set()
        self._on_change()

    def _end(self, ident: int, state: str, message: str) -> Entry[AugmentRequest]:
        entry = self.board.get(ident)
        if state != DONE and entry.state == CANCELLING:
            state, message = CANCELLED, message or "cancelled"
        return self.board.end(ident, state, message)
