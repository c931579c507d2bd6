"""The board of requests: a bounded queue with ids, what became of each, and cancelling. Safe for several threads."""

import threading
from collections import OrderedDict
from dataclasses import dataclass, replace

from m2iv_robot.errors import RequestError

WAITING, RUNNING, CANCELLING = "waiting", "running", "cancelling"
DONE, CANCELLED, FAILED = "done", "cancelled", "failed"
ENDED = (DONE, CANCELLED, FAILED)
REMEMBERED = 200  # ended requests whose outcome can still be asked for


@dataclass(frozen=True)
class Entry[Request]:
    """A request and what became of it."""

    id: int
    request: Request
    state: str
    message: str = ""
    written: int = 0  # episodes in the dataset
    rejected: int = 0  # by the quality gate
    share: float = 0.0  # of the work that is done, in [0, 1]


class RequestBoard[Request]:
    """One request runs at a time, in the order of arrival; at most `limit` wait."""

    def __init__(self, limit: int) -> None:
        """`limit` of 0 allows one at a time and none that waits."""
        self._limit = limit
        self._lock = threading.Lock()
        self._entries: OrderedDict[int, Entry[Request]] = OrderedDict()
        self._next_id = 1

    def submit(self, request: Request) -> int:
        """Queue a request; returns its id.

        Raises:
            RequestError: the queue is full.
        """
        with self._lock:
            waiting = self._in(WAITING)
            busy = bool(self._in(RUNNING, CANCELLING))
            if len(waiting) >= self._limit + (not busy):
                running = self._in(RUNNING, CANCELLING)
                doing = f"request {running[0].id} is running" if running else "none is running"
                raise RequestError(
                    f"the queue is full: {doing}, {len(waiting)} wait (queue_limit {self._limit}); "
                    "wait for one to end, or cancel it"
                )
            entry = Entry(self._next_id, request, WAITING)
            self._next_id += 1
            self._entries[entry.id] = entry
            self._forget()
            return entry.id

    def take(self) -> Entry[Request] | None:
        """The next request, from now on running; None where one runs already or none waits."""
        with self._lock:
            waiting = self._in(WAITING)
            if not waiting or self._in(RUNNING, CANCELLING):
                return None
            return self._set(waiting[0].id, state=RUNNING)

    def cancel(self, ident: int | None = None) -> list[int]:
        """Cancel one request, or all; ids of those that will not come to their end.

        A waiting one is cancelled at once; the running one becomes `cancelling` until its worker says that it stopped.

        Raises:
            RequestError: there is no such request, or it has ended.
        """
        with self._lock:
            chosen = self._in(WAITING, RUNNING) if ident is None else [self._get(ident)]
            for entry in chosen:
                if entry.state in ENDED:
                    raise RequestError(f"request {entry.id} has ended: {entry.state}")
                if entry.state == WAITING:
                    self._set(entry.id, state=CANCELLED, message="cancelled before it began")
                elif entry.state == RUNNING:
                    self._set(entry.id, state=CANCELLING)
            return [entry.id for entry in chosen]

    def progress(self, ident: int, share: float, message: str) -> None:
        """Note how far the running request is."""
        with self._lock:
            if self._get(ident).state in (RUNNING, CANCELLING):
                self._set(ident, share=min(max(share, 0.0), 1.0), message=message)

    def count(self, ident: int, accepted: bool) -> None:
        """Note an episode that was made."""
        with self._lock:
            entry = self._get(ident)
            self._set(ident, written=entry.written + accepted, rejected=entry.rejected + (not accepted))

    def end(self, ident: int, state: str, message: str) -> Entry[Request]:
        """Note how a running request ended; one that has ended stays as it is."""
        with self._lock:
            entry = self._get(ident)
            if entry.state in ENDED:
                return entry
            return self._set(ident, state=state, message=message, share=1.0 if state == DONE else entry.share)

    def get(self, ident: int) -> Entry[Request]:
        """What became of a request.

        Raises:
            RequestError: there is no such request.
        """
        with self._lock:
            return self._get(ident)

    @property
    def running(self) -> Entry[Request] | None:
        """The request that is running or being cancelled."""
        with self._lock:
            return next(iter(self._in(RUNNING, CANCELLING)), None)

    @property
    def waiting(self) -> list[Entry[Request]]:
        """The requests that wait, in order."""
        with self._lock:
            return self._in(WAITING)

    @property
    def entries(self) -> list[Entry[Request]]:
        """All that are remembered, in the order of their arrival."""
        with self._lock:
            return list(self._entries.values())

    def _in(self, *states: str) -> list[Entry[Request]]:
        return [entry for entry in self._entries.values() if entry.state in states]

    def _get(self, ident: int) -> Entry[Request]:
        if ident not in self._entries:
            known = f"requests up to {self._next_id - 1} were made" if self._next_id > 1 else "none was made"
            raise RequestError(f"no request {ident} is known; {known}, and the last {REMEMBERED} are remembered")
        return self._entries[ident]

    def _set(self, ident: int, **changes: object) -> Entry[Request]:
        self._entries[ident] = replace(self._entries[ident], **changes)
        return self._entries[ident]

    def _forget(self) -> None:
        ended = [entry.id for entry in self._in(*ENDED)]
        for ident in ended[: max(0, len(ended) - REMEMBERED)]:
            del self._entries[ident]
