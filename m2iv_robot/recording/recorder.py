"""Recording from live topics: messages come in from any thread and never wait; one thread works on them.

Knows nothing of ROS: whoever receives messages gives them with their time of arrival, and asks for start, stop and
discard.
"""

import contextlib
import logging
import queue
import threading
import time
from collections import deque
from collections.abc import Callable
from concurrent.futures import Future
from dataclasses import dataclass, field
from pathlib import Path

from m2iv_robot.errors import RecordingError
from m2iv_robot.recording.alignment import NANOSECONDS, stamp_of
from m2iv_robot.recording.contract import CameraStream, Contract
from m2iv_robot.recording.saver import SavedEpisode, Saver
from m2iv_robot.recording.session import Recording
from m2iv_robot.recording.spool import SpooledEpisode, clear_interrupted, open_spool, spool_folder

QUEUED_MESSAGES = 1500  # about two seconds of two cameras and a 500 Hz robot
RATE_WINDOW = 40  # arrivals that a stream's rate is taken from
SILENT_AFTER_S = 2.0

logger = logging.getLogger(__name__)


@dataclass
class StreamHealth:
    """How a stream arrives, recording or not."""

    arrivals_s: deque[float] = field(default_factory=lambda: deque(maxlen=RATE_WINDOW))  # on the machine's own clock
    stamp_ns: int = 0
    count: int = 0

    def rate_hz(self, now_s: float) -> float:
        """Messages a second lately; 0 when it has gone silent."""
        if len(self.arrivals_s) < 2 or now_s - self.arrivals_s[-1] > SILENT_AFTER_S:
            return 0.0
        return (len(self.arrivals_s) - 1) / max(self.arrivals_s[-1] - self.arrivals_s[0], 1e-9)


@dataclass(frozen=True)
class RecorderStatus:
    """What the recorder is doing."""

    recording: bool
    frames: int
    waiting: int  # episodes that are not in the dataset yet
    saved: int  # episodes written since the start
    queued: int  # messages that wait for the recording thread
    lost_messages: int  # of the current episode: the recorder could not keep up
    last: str  # what became of the last episode
    rates_hz: dict[str, float]


class Recorder:
    """Kept state: the current episode, the episodes that wait, and how the streams arrive."""

    def __init__(
        self, contract: Contract, root: str | Path, codec: str, on_saved: Callable[[SavedEpisode], None]
    ) -> None:
        """`on_saved` is called from another thread for each episode that was written, or could not be."""
        self.contract = contract
        self.root = Path(root).expanduser().absolute()
        self._on_saved = on_saved
        self._streams = contract.streams
        self._health = {name: StreamHealth() for name in self._streams}
        self._latest: dict[str, tuple[object, int]] = {}
        self._infos: dict[str, object] = {}
        self._recording: Recording | None = None
        self._active = False  # between start and stop, as whoever asks sees it
        self._lost = self._saved = 0
        self._last = ""
        self._last_folder: Path | None = None
        try:
            spool_folder(self.root).mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise RecordingError(f"{self.root}: cannot be written ({error.strerror}); give another root") from error
        clear_interrupted(self.root)
        self._saver = Saver(self.root, codec, self._note_saved)
        self._queue: queue.Queue = queue.Queue(QUEUED_MESSAGES)
        self._thread = threading.Thread(target=self._work, name="recorder", daemon=True)
        self._thread.start()

    def message(self, stream: str, message: object, received_ns: int) -> None:
        """Take a message of a stream of the contract; returns at once."""
        health = self._health[stream]
        health.arrivals_s.append(time.monotonic())
        health.stamp_ns = stamp_of(message, received_ns, self._streams[stream].stamp == "header")
        health.count += 1
        self._put_message(self._take, stream, message, received_ns)

    def info(self, camera: str, message: object) -> None:
        """Take a CameraInfo; returns at once."""
        if camera not in self._infos:
            self._infos[camera] = message
            self._put_message(self._take_info, camera, message)

    def start(self, task: str, now_ns: int) -> None:
        """Begin an episode; `now_ns` is the time on the clock of the stamps.

        Raises:
            RecordingError: one is being recorded, or a stream is silent or on another clock.
        """
        if self._active:
            raise RecordingError("an episode is being recorded; stop or discard it first")
        if now_ns <= 0:
            raise RecordingError("there is no time yet: use_sim_time is set, and nobody publishes /clock")
        self._check_streams(now_ns)
        self._active, self._lost = True, 0
        self._queue.put((self._begin, (task, time.time_ns())))

    def stop(self, now_ns: int) -> Future[SpooledEpisode]:
        """End the episode and have it saved; the future tells what is being saved, or raises why nothing is.

        It comes when what was under way has arrived: `wait_s` of the contract later.

        Raises:
            RecordingError: none is being recorded.
        """
        if not self._active:
            raise RecordingError("no episode is being recorded")
        self._active = False
        outcome: Future[SpooledEpisode] = Future()
        self._queue.put((self._end, (now_ns,)))
        timer = threading.Timer(self.contract.config.wait_s, self._queue.put, [(self._finish, (outcome, now_ns))])
        timer.daemon = True
        timer.start()
        return outcome

    def discard(self) -> str:
        """Forget the current episode, else the last one as long as its writing has not begun; says what was done.

        Raises:
            RecordingError: there is nothing to discard.
        """
        if self._active:
            self._active = False
            self._queue.put((self._forget, ()))
            return "discarded the episode that was being recorded"
        if self._last_folder is not None and self._saver.take_back(self._last_folder):
            folder, self._last_folder = self._last_folder, None
            self._queue.put((_remove, (folder,)))
            return "discarded the last episode; it was not written yet"
        raise RecordingError(
            f"no episode to discard; one that is in {self.root} is removed by lerobot-edit-dataset "
            "--operation.type delete_episodes --operation.episode_indices '[INDEX]'"
        )

    def status(self) -> RecorderStatus:
        """What is going on."""
        recording, now_s = self._recording, time.monotonic()
        return RecorderStatus(
            recording=self._active,
            frames=recording.frame_count if recording else 0,
            waiting=self._saver.waiting,
            saved=self._saved,
            queued=self._queue.qsize(),
            lost_messages=self._lost,
            last=self._last,
            rates_hz={name: round(health.rate_hz(now_s), 1) for name, health in self._health.items()},
        )

    def close(self, timeout_s: float) -> bool:
        """Forget a current episode, and let what waits be written; False where that goes on beyond the time."""
        self._active = False
        self._queue.put(None)
        self._thread.join()
        if self._recording is not None:
            self._recording.discard()
            self._recording = None
        return self._saver.close(timeout_s)

    def _check_streams(self, now_ns: int) -> None:
        now_s = time.monotonic()
        troubles = []
        for name, stream in self._streams.items():
            health, limit_s = self._health[name], self.contract.config.max_clock_offset_s
            if stream.max_age_s > SILENT_AFTER_S and not isinstance(stream, CameraStream):
                continue  # sent now and then
            if not health.arrivals_s or now_s - health.arrivals_s[-1] > max(SILENT_AFTER_S, stream.max_age_s):
                troubles.append(f"{name}: no message on {stream.topic}")
            elif abs(now_ns - health.stamp_ns) > limit_s * NANOSECONDS:
                ahead_s = (health.stamp_ns - now_ns) / NANOSECONDS
                troubles.append(
                    f"{name}: stamps on {stream.topic} are {ahead_s:+.1f} s off this node's clock; set use_sim_time "
                    "with a bag or a simulation, else set the clocks, or stamp: received in the contract"
                )
        if troubles:
            raise RecordingError("; ".join(troubles))

    def _put_message(self, action: Callable[..., None], *arguments: object) -> None:
        try:
            self._queue.put_nowait((action, arguments))
        except queue.Full:
            self._lost += 1

    def _work(self) -> None:
        while (item := self._queue.get()) is not None:
            action, arguments = item
            action(*arguments)

    def _take(self, stream: str, message: object, received_ns: int) -> None:
        if self._recording is not None:
            self._recording.add(stream, message, received_ns)
        elif stream != self.contract.config.reference:
            self._latest[stream] = (message, received_ns)

    def _take_info(self, camera: str, message: object) -> None:
        if self._recording is not None:
            self._recording.add_info(camera, message)

    def _begin(self, task: str, number: int) -> None:
        try:
            self._recording = Recording(self.contract, spool_folder(self.root) / f"live-{number}", task)
        except RecordingError as error:
            self._last = f"not recorded: {error}"
            self._active = False
            return
        for camera, message in self._infos.items():
            self._recording.add_info(camera, message)
        for stream, (message, received_ns) in self._latest.items():
            self._recording.add(stream, message, received_ns)
        self._latest.clear()

    def _end(self, now_ns: int) -> None:
        if self._recording is not None:
            self._recording.end_ns = now_ns

    def _finish(self, outcome: Future, now_ns: int) -> None:
        recording, self._recording = self._recording, None
        if recording is None:
            outcome.set_exception(RecordingError(self._last or "the episode was discarded"))
            return
        if self._lost:
            recording.notes.append(f"{self._lost} messages lost: this machine could not keep up")
        try:
            episode = recording.finish()
        except RecordingError as error:
            self._last = f"not saved: {error}"
            outcome.set_exception(error)
            return
        self._last = f"saving: {episode.report['summary']}"
        self._last_folder = episode.folder
        self._saver.save(episode.folder)
        outcome.set_result(episode)

    def _forget(self) -> None:
        if self._recording is not None:
            self._recording.discard()
            self._recording = None
        self._last = "discarded"

    def _note_saved(self, saved: SavedEpisode) -> None:
        self._last = f"not saved: {saved.error}" if saved.error else f"saved as episode {saved.index}: {saved.summary}"
        self._saved += not saved.error
        self._on_saved(saved)


def _remove(folder: Path) -> None:
    with contextlib.suppress(RecordingError):
        open_spool(folder).remove()
