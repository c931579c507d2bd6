"""Write a LeRobot v3.0 dataset that is always either absent or whole, however the process ends.

LeRobot's own dataset cannot be read until it is finalized, so an output is made beside its place (see `staging`):

1. Each episode is encoded by LeRobot's streaming encoder, in a thread beside the caller, as a dataset of its own, and
   committed by a rename. An episode is either committed or was never there.
2. Every `batch_episodes` of them are merged into one by LeRobot's aggregation. It rewrites what it appends to, so
   merging one by one would cost the square of the episode count; with batches each frame is copied a bounded number
   of times.
3. At the end the batches are merged, put behind the recorded episodes (or behind what the output held before), and
   the result takes the output's place by rename.

The same command after a kill opens the same staging folder, skips what `has` knows, and ends in the same episodes in
the same order. After the end it changes nothing; with more episodes asked for it appends them. Recorded episodes keep
their own video files, bit for bit, when the codec is theirs and nothing is left out; otherwise they are encoded again.
An error inside the `with` block publishes nothing and loses no committed episode.
"""

import dataclasses
import json
import logging
from collections import deque
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from types import TracebackType

from m2iv_robot.data.lerobot_io import assemble
from m2iv_robot.data.lerobot_io.assemble import EpisodeRecord
from m2iv_robot.data.lerobot_io.decode import read_frames
from m2iv_robot.data.lerobot_io.output_format import OutputFormat, WriterConfig
from m2iv_robot.data.lerobot_io.provenance import (
    PROVENANCE_FILE,
    REJECTED_FILE,
    SETTINGS_FILE,
    dataset_card,
    episode_key,
    provenance_line,
)
from m2iv_robot.data.lerobot_io.reader import read_labels
from m2iv_robot.data.lerobot_io.source import Dataset, DatasetConfig, open_dataset
from m2iv_robot.data.lerobot_io.staging import EPISODES_FILE, Staging, read_lines, write_lines
from m2iv_robot.errors import WriteError
from m2iv_robot.types import Candidate, Provenance, QualityReport

logger = logging.getLogger(__name__)


class EpisodeWriter:
    """Context manager; episodes come out in the order in which they are given."""

    def __init__(
        self,
        root: str | Path,
        output: OutputFormat,
        config: WriterConfig | None = None,
        source: Dataset | None = None,
        settings: dict | None = None,
    ) -> None:
        """`source` is what `include_source` copies; `settings` (plain JSON) must be the same in a later run."""
        self.root = Path(root).expanduser().absolute()
        self.output = output
        self.config = config or WriterConfig()
        self._source = source if self.config.include_source else None
        self._settings = _settings(output, self.config, self._source, settings or {})
        self._staging = Staging(self.root)
        self._keys: set[str] = set()
        self._rejected: set[str] = set()  # of these keys
        self._count = 0
        self._pool = ThreadPoolExecutor(1, thread_name_prefix="episode-writer")
        self._pending: deque[Future] = deque()
        if self.config.include_source and source is None:
            raise WriteError(f"{self.root}: writer.include_source needs the source dataset")

    def __enter__(self) -> "EpisodeWriter":
        """Take the output over, as it is or as a killed run left it.

        Raises:
            WriteError: it cannot be written, is not this writer's, or was made with other settings.
        """
        self._check_output()
        self._staging.open()
        try:
            if self._staging.finish_swap() or self._is_published():
                self._staging.discard()
                self._staging.close()
                self._staging.open()
                self._check_output()
            self._recover()
            if self._source is not None and not self._copies_files() and not self.root_is_dataset:
                self.copy_source(self._source)
        except BaseException:
            self._staging.close()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Publish after a block that ended well; after an error keep what was committed for the next run."""
        try:
            if kind is None:
                self.wait()
                self._publish()
        except OSError as failure:
            raise WriteError(
                f"{self.root}: the finished dataset cannot be put in place ({failure}); see the disk's free space, "
                "then run the same command again: nothing is lost"
            ) from failure
        finally:
            self._pool.shutdown(wait=True, cancel_futures=kind is not None)
            self._staging.close()
        if kind is not None:
            logger.warning(
                "%s: not published; finished episodes are kept, the same command continues with them", self.root
            )

    @property
    def root_is_dataset(self) -> bool:
        """Whether the output is there already."""
        return (self.root / "meta" / "info.json").is_file()

    def has(self, item: Provenance | str) -> bool:
        """Whether this episode (or the episode of this key) was given before, in this run or an earlier one."""
        return (item if isinstance(item, str) else episode_key(item)) in self._keys

    def holds(self, key: str) -> bool:
        """Whether the episode of this key is, or will be, in the dataset: given before, and not rejected then."""
        return key in self._keys and key not in self._rejected

    def write(self, candidate: Candidate, report: QualityReport) -> bool:
        """Write an accepted candidate; a rejected one is only noted. False where the episode was given before.

        Returns at once; the encoder works beside the caller.

        Raises:
            WriteError: the candidate does not fit the output, or an earlier episode could not be written.
        """
        key = episode_key(candidate.provenance)
        if key in self._keys:
            return False
        line = provenance_line(candidate.provenance, report)
        if not report.accepted:
            self._staging.reject({"key": key, **line})
            self._keys.add(key)
            self._rejected.add(key)
            return True
        episode = candidate.episode
        if int(episode.fps) != self.output.fps:
            raise WriteError(f"{key}: {episode.fps:g} fps, the output has {self.output.fps}; resample the episode")
        labels = dict(episode.extra)
        for name, values in ((self.output.state_key, episode.state), (self.output.action_key, episode.action)):
            if name is not None and values is not None:
                labels[name] = values
        cameras = {**candidate.other_cameras, episode.camera: episode.frames}
        return self.append(EpisodeRecord(key, episode.task, cameras, labels, line))

    def append(self, record: EpisodeRecord) -> bool:
        """Write an episode given as plain cameras and labels; False where its key was given before.

        Raises:
            WriteError: as for `write`.
        """
        if record.key in self._keys:
            return False
        assemble.check_record(record, self.output)
        self._drain(self.config.queue_episodes)
        self._keys.add(record.key)
        self._pending.append(self._pool.submit(self._write_part, record, self._count))
        self._count += 1
        return True

    def copy_source(self, dataset: Dataset) -> None:
        """Write all episodes of `dataset`, encoded again, without provenance: they are recordings."""
        for index in range(dataset.episode_count):
            key = f"{dataset.name}/{index}/recorded"
            if key in self._keys:
                continue
            read = read_labels(dataset, index)
            labels = dict(read.extra)
            for name, values in ((self.output.state_key, read.state), (self.output.action_key, read.action)):
                if name is not None and values is not None:
                    labels[name] = values
            cameras = {camera: read_frames(dataset, index, camera) for camera in self.output.cameras}
            self.append(EpisodeRecord(key, read.task, cameras, labels))

    def wait(self) -> None:
        """Return when every episode given so far is committed.

        Raises:
            WriteError: one could not be written.
        """
        self._drain(0)

    def _drain(self, allowed: int) -> None:
        """Wait until at most `allowed` episodes wait; an error of the encoder's thread is raised here."""
        while len(self._pending) > allowed or (self._pending and self._pending[0].done()):
            try:
                self._pending.popleft().result()
            except (OSError, RuntimeError, ValueError) as error:
                raise WriteError(
                    f"{self.root}: an episode could not be written ({error}); see the disk's free space "
                    "and writer.codec, then run the same command again"
                ) from error

    def _write_part(self, record: EpisodeRecord, number: int) -> None:
        folder = self._staging.work / f"part-{number:06d}"
        assemble.write_one(record, folder, self.output, self.config)
        write_lines(folder / EPISODES_FILE, [{"key": record.key, "provenance": record.provenance}])
        self._staging.commit_part(folder, number)
        self._merge_full_batches()

    def _merge_full_batches(self) -> None:
        parts = self._staging.parts()
        while len(parts) >= self.config.batch_episodes:
            batch, parts = parts[: self.config.batch_episodes], parts[self.config.batch_episodes :]
            folder = self._staging.work / f"batch-{batch[0].name}"
            self._merge(batch, folder)
            self._staging.commit_batch(folder, int(batch[0].name))

    def _merge(self, folders: list[Path], target: Path) -> None:
        assemble.merge(folders, target, self.config, concatenate=True)
        write_lines(target / EPISODES_FILE, [line for folder in folders for line in read_lines(folder / EPISODES_FILE)])

    def _check_output(self) -> None:
        if not self.root.exists() or (self.root.is_dir() and not any(self.root.iterdir())):
            return
        if not self.root.is_dir():
            raise WriteError(f"{self.root}: the output is a file; give a folder that does not exist yet")
        path = self.root / SETTINGS_FILE
        if not path.is_file():
            raise WriteError(f"{self.root}: the folder holds something else; give a folder that does not exist yet")
        _compare(json.loads(path.read_text()), self._settings, self.root)

    def _is_published(self) -> bool:
        """Whether the output holds what is staged: the process was killed after the swap, before the deletion."""
        published = {line["key"] for line in read_lines(self.root / EPISODES_FILE)}
        return any(record["key"] in published for record in self._staging.episodes())

    def _recover(self) -> None:
        path = self._staging.root / SETTINGS_FILE.name
        if path.is_file():
            _compare(json.loads(path.read_text()), self._settings, self.root)
        path.write_text(json.dumps(self._settings, indent=1))
        published = {line["key"] for line in read_lines(self.root / EPISODES_FILE)}
        self._rejected = {line["key"] for line in read_lines(self.root / REJECTED_FILE)}
        self._rejected |= {record["key"] for record in self._staging.rejected()}
        staged = [record["key"] for record in self._staging.episodes()]
        self._count = len(staged)
        self._keys = {*published, *staged, *self._rejected}

    def _copies_files(self) -> bool:
        return self._source is not None and assemble.keeps_files(self.output, self._source, self.config)

    def _publish(self) -> None:
        """Merge what is staged behind what is there, and swap it in."""
        staged = [*self._staging.batches(), *self._staging.parts()]
        work = self._staging.work
        first = not self.root_is_dataset
        if not staged and not (first and self._copies_files()):
            if first:
                logger.warning("%s: nothing was accepted, no dataset made", self.root)
            elif not self._staging.rejected():
                self._staging.discard()
            return
        base = [self.root] if not first else []
        if first and self._copies_files():
            base = [assemble.source_files(self._source, self.output, work / "source")]
        pieces = list(base)
        if staged:
            self._merge(staged, work / "generated")
            pieces.append(work / "generated")
        target = work / "output"
        assemble.merge(pieces, target, self.config, concatenate=False)
        self._describe(target, base)
        self._staging.publish(target)

    def _describe(self, target: Path, base: list[Path]) -> None:
        """Provenance, rejected candidates, settings and card of the dataset in `target`."""
        before = base[0] if base else None
        offset = open_dataset(DatasetConfig(root=str(before))).episode_count if before else 0
        new = self._staging.episodes()
        lines = read_lines(before / PROVENANCE_FILE) if before else []
        lines += [
            {"episode_index": offset + number, **record["provenance"]}
            for number, record in enumerate(new)
            if record["provenance"]
        ]
        keys = read_lines(before / EPISODES_FILE) if before else []
        write_lines(target / EPISODES_FILE, keys + [{"key": record["key"]} for record in new])
        write_lines(target / PROVENANCE_FILE, lines)
        rejected = (read_lines(before / REJECTED_FILE) if before else []) + self._staging.rejected()
        write_lines(target / REJECTED_FILE, rejected)
        (target / SETTINGS_FILE).write_text(json.dumps(self._settings, indent=1))
        count = offset + len(new)
        (target / "README.md").write_text(dataset_card(self.root.name, self.output, count, lines))


def _settings(output: OutputFormat, config: WriterConfig, source: Dataset | None, run: dict) -> dict:
    """What an output's later runs must share with its first."""
    encoding = {
        name: value for name, value in dataclasses.asdict(config).items() if name in ("codec", "crf", "gop", "preset")
    }
    described = {**dataclasses.asdict(output), **encoding, "include_source": source.name if source else "", "run": run}
    return json.loads(json.dumps(described))


def _compare(found: dict, wanted: dict, root: Path) -> None:
    differing = [name for name in wanted if found.get(name) != wanted[name]]
    if differing:
        name = differing[0]
        raise WriteError(
            f"{root}: made with {name}={found.get(name)!r}, now asked for {wanted[name]!r}; give another output "
            f"folder, the same settings, or delete it and {root.parent / f'.{root.name}.m2iv'}"
        )
