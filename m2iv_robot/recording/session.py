"""One episode: messages in, a spooled episode and its report out."""

from pathlib import Path

import numpy as np

from m2iv_robot.errors import RecordingError
from m2iv_robot.recording import values as value_messages
from m2iv_robot.recording.alignment import NANOSECONDS, AlignedFrame, Aligner, AlignmentConfig, stamp_of, to_ns
from m2iv_robot.recording.contract import ACTION, STATE, CameraStream, Contract, ValueStream
from m2iv_robot.recording.images import ImageOptions, decode_image
from m2iv_robot.recording.intrinsics import read_intrinsics
from m2iv_robot.recording.report import RecordingReport
from m2iv_robot.recording.runs import Run, measured_fps, runs_of, whole_run
from m2iv_robot.recording.spool import Spool, SpooledEpisode


class Recording:
    """An episode that is being recorded. Not safe for several threads; no call waits for anything but the disk."""

    def __init__(self, contract: Contract, folder: Path, task: str) -> None:
        """`folder`: a folder of its own for the episode's files, made by this."""
        self.contract = contract
        self.task = task
        self.intrinsics: dict[str, dict] = {}
        self.notes: list[str] = []  # for the report
        self.end_ns: int | None = None  # images of the reference after it are not the episode's
        self.fault: str = ""  # why the recording cannot go on; what came before it is kept
        config = contract.config
        ages = {name: to_ns(stream.max_age_s) for name, stream in contract.streams.items()}
        self._aligner = Aligner(
            AlignmentConfig(
                reference=config.reference,
                period_ns=NANOSECONDS // config.fps,
                slack_ns=to_ns(config.slack_s),
                wait_ns=to_ns(config.wait_s),
                max_age_ns=ages,
            )
        )
        self._streams = contract.streams
        self._seen_names: dict[str, str] = {}
        self._spool = Spool(folder)
        self._spool.open()

    @property
    def frame_count(self) -> int:
        """Frames made so far."""
        return len(self._spool.stamps_ns)

    def add(self, stream: str, message: object, received_ns: int) -> None:
        """Take a message of a stream of the contract; one that cannot be used is counted with its reason.

        `received_ns` stands in for the stamp of a message without a header.
        """
        if self.fault:
            return
        source = self._streams[stream]
        stamp_ns = stamp_of(message, received_ns, source.stamp == "header")
        if self.end_ns is not None and stamp_ns > self.end_ns and stream == self.contract.config.reference:
            return
        try:
            sample = message if isinstance(source, CameraStream) else self._values(stream, source, message)
            if sample is None:
                return
        except RecordingError as error:
            self._aligner.reports[stream].refused[str(error)] += 1
            return
        try:
            self._aligner.add(stream, stamp_ns, sample)
            for frame in self._aligner.frames():
                self._keep(frame)
        except RecordingError as error:
            self.fault = str(error)

    def add_info(self, camera: str, message: object) -> None:
        """Take a CameraInfo."""
        if camera not in self.intrinsics:
            try:
                self.intrinsics[camera] = read_intrinsics(message, self.contract.cameras[camera])
            except RecordingError as error:
                self._aligner.reports[camera].refused[str(error)] += 1

    def finish(self) -> SpooledEpisode:
        """Complete the episode; it ended at `end_ns`, else with the last sample.

        Raises:
            RecordingError: it is not fit to be kept, and why; its files are deleted.
        """
        try:
            if not self.fault:
                for frame in self._aligner.flush():
                    self._keep(frame)
            return self._finish()
        except RecordingError:
            self.discard()
            raise

    def discard(self) -> None:
        """Forget the episode."""
        self._spool.discard()

    def _values(self, stream: str, source: ValueStream, message: object) -> np.ndarray | None:
        found = value_messages.read_values(message, source.type, source.part)
        picked = value_messages.pick(found, source.select, source.factors)
        if picked is None:
            missing = ", ".join(name for name in source.select if name not in found)
            self._seen_names[stream] = f"{source.topic} has no {missing}; it has {', '.join(found) or 'nothing'}"
        return picked

    def _keep(self, frame: AlignedFrame) -> None:
        images, rows = {}, {}
        for name, sample in frame.samples.items():
            source = self._streams[name]
            if isinstance(source, ValueStream):
                rows[name] = sample
                continue
            options = ImageOptions(source.width, source.height, source.depth_min_m, source.depth_max_m)
            try:
                images[name] = decode_image(sample, source.type, options)
            except RecordingError as error:
                self._aligner.reports[name].refused[str(error)] += 1
                return
        self._spool.add(frame.stamp_ns, images, rows)

    def _finish(self) -> SpooledEpisode:
        config, aligner = self.contract.config, self._aligner
        self._check_arrivals()
        stamps = self._spool.stamps
        runs = runs_of(stamps, aligner.ticks_ns, to_ns(config.max_gap_s), self.end_ns or aligner.newest_ns)
        run = whole_run(runs, config.when_dead == "trim", self._why(runs))
        ahead = config.action_from_state_frames
        length = run.stop - run.start - ahead
        if length < max(1, config.min_length_s * config.fps):
            raise RecordingError(
                f"{max(length, 0)} usable frames; an episode needs {max(1, round(config.min_length_s * config.fps))} "
                f"(min_length_s {config.min_length_s}). {self._why(runs)}".rstrip()
            )
        self._check_rate(stamps[run.start : run.stop])
        report = self._report(stamps, run, length)
        episode = SpooledEpisode(
            folder=self._spool.folder,
            key=f"recorded/{stamps[run.start]}",
            task=self.task,
            fps=config.fps,
            robot_type=config.robot_type,
            sizes=dict(self._spool.sizes),
            names={feature: self.contract.names(feature) for feature in self.contract.features},
            intrinsics=self.intrinsics,
            start=run.start,
            length=length,
            report=report.as_dict() | {"summary": report.summary()},
        )
        return self._spool.finish(episode, self._features(run.start, length))

    def _features(self, start: int, length: int) -> dict[str, np.ndarray]:
        """Every value feature's rows, the action by the contract."""
        ahead = self.contract.config.action_from_state_frames
        whole = {
            feature: np.concatenate(
                [self._spool.column(f"{feature}[{number}]") for number in range(len(parts))], axis=1
            )
            for feature, parts in self.contract.values.items()
        }
        found = {feature: rows[start : start + length] for feature, rows in whole.items()}
        if ahead:
            found[ACTION] = whole[STATE][start + ahead : start + ahead + length]
        return found

    def _check_arrivals(self) -> None:
        """Say which stream has brought nothing, before anything else is said."""
        silent = []
        for name, report in self._aligner.reports.items():
            if report.received:
                continue
            topic = self._streams[name].topic
            reasons = [why for why, _ in report.refused.most_common(1)] or [self._seen_names.get(name, "")]
            silent.append(f"{name} ({topic}): {reasons[0] or 'no message'}")
        if silent:
            raise RecordingError("nothing to record from " + "; ".join(silent))

    def _check_rate(self, stamps: np.ndarray) -> None:
        config = self.contract.config
        rate = measured_fps(stamps)
        if rate and abs(rate / config.fps - 1) > config.max_rate_error:
            raise RecordingError(
                f"{config.reference} makes {rate:.2f} frames a second, the contract asks for {config.fps}; "
                "set the camera's rate, or fps in the contract"
            )

    def _why(self, runs: list[Run]) -> str:
        """What is known of the reasons for frames that are missing."""
        reasons = [self.fault] if self.fault else []
        for name, report in self._aligner.reports.items():
            if report.missing:
                other = f" ({self._seen_names[name]})" if name in self._seen_names else ""
                reasons.append(f"{name} had nothing young enough for {report.missing} frames{other}")
            reasons += [f"{name}: {count} messages refused ({why})" for why, count in report.refused.most_common(2)]
        if not reasons and len(runs) != 1:
            reasons.append(f"{self.contract.config.reference} or all streams stopped")
        return "; ".join(reasons)

    def _report(self, stamps: np.ndarray, run: Run, length: int) -> RecordingReport:
        config = self.contract.config
        kept = stamps[run.start : run.start + length]
        steps = np.diff(kept) / NANOSECONDS
        holes = steps[steps > 1.5 / config.fps]
        notes = [*self.notes, *([f"stopped early: {self.fault}"] if self.fault else [])]
        if config.action_from_state_frames:
            notes.append(f"the last {config.action_from_state_frames} frames have no action and are left out")
        return RecordingReport(
            frames=length,
            fps=config.fps,
            measured_fps=measured_fps(kept) or float(config.fps),
            start_s=float(kept[0]) / NANOSECONDS,
            length_s=float(kept[-1] - kept[0]) / NANOSECONDS,
            surplus=self._aligner.surplus,
            gaps=len(holes),
            gap_frames=int(np.rint(holes * config.fps - 1).sum()),
            longest_gap_s=float(holes.max()) if len(holes) else 0.0,
            trimmed_start=run.lost_before,
            trimmed_end=run.lost_behind,
            streams=self._aligner.reports,
            notes=tuple(notes),
        )
