"""Episodes to one LeRobot dataset: encoding a single episode, merging finished ones, the source's own in front."""

import contextlib
import json
import logging
import os
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from types import SimpleNamespace

import av
import numpy as np
import pyarrow.parquet as pq
from jaxtyping import UInt8
from torch import Tensor

from m2iv_robot.data.lerobot_io.output_format import OutputFormat, WriterConfig, encoder_name
from m2iv_robot.data.lerobot_io.source import INDEX_FEATURES, Dataset
from m2iv_robot.errors import WriteError


@dataclass(frozen=True)
class EpisodeRecord:
    """An episode to write: every camera and label of the output's format."""

    key: str  # tells it from every other episode of the output
    task: str
    cameras: dict[str, UInt8[Tensor, "t 3 _ _"]]
    labels: dict[str, Tensor]  # "t ...", by feature key
    provenance: dict = field(default_factory=dict)  # the line of meta/m2iv_provenance.jsonl; {} for a real episode

    @property
    def length(self) -> int:
        """Number of frames."""
        return len(next(iter([*self.cameras.values(), *self.labels.values()])))


def check_record(record: EpisodeRecord, output: OutputFormat) -> None:
    """Refuse an episode that does not fit the format.

    Raises:
        WriteError: naming the feature that is missing, of another size or length, or not finite.
    """
    length = record.length
    if length < 1:
        raise WriteError(f"{record.key}: no frames to write; leave the episode out")
    for camera in output.cameras:
        if camera not in record.cameras:
            raise WriteError(
                f"{record.key}: no frames for camera {camera!r}; give them in every episode, or leave the camera "
                "out of the output"
            )
        frames = record.cameras[camera]
        if tuple(frames.shape) != (length, 3, *output.size(camera)):
            height, width = output.size(camera)
            raise WriteError(
                f"{record.key}: {camera} has shape {tuple(frames.shape)}, not {(length, 3, height, width)}; "
                "bring the frames to the source's size and the episode's length"
            )
    for key in output.labels:
        if key not in record.labels:
            raise WriteError(
                f"{record.key}: no values for {key!r}; give them in every episode, or leave it out of the output"
            )
        values, shape = record.labels[key], tuple(output.features[key]["shape"])
        if len(values) != length or values[0].numel() != int(np.prod(shape)):
            raise WriteError(
                f"{record.key}: {key} has shape {tuple(values.shape)}, the output needs {(length, *shape)}"
            )
        if values.is_floating_point() and not values.isfinite().all():
            raise WriteError(f"{record.key}: {key} is not finite in every frame; repair the plan before writing it")


def write_one(record: EpisodeRecord, folder: Path, output: OutputFormat, config: WriterConfig) -> None:
    """Encode one episode as a LeRobot dataset of its own in `folder`, with LeRobot's streaming encoder.

    Raises:
        WriteError: the encoder is unknown or fails, or a video came out shorter than the episode.
    """
    from lerobot.datasets.lerobot_dataset import LeRobotDataset

    with _quiet(folder.parent / "cache"):
        dataset = LeRobotDataset.create(
            repo_id=folder.name,
            fps=output.fps,
            features=output.features,
            root=folder,
            robot_type=output.robot_type,
            use_videos=True,
            streaming_encoding=True,
            rgb_encoder=_encoder(output, config),
            encoder_queue_maxsize=record.length + 1,  # a full queue would drop frames
            encoder_threads=config.encoder_threads or None,
        )
        frames = {key: video.permute(0, 2, 3, 1).numpy() for key, video in record.cameras.items()}
        labels = {key: _as_stored(record.labels[key], output.features[key]) for key in output.labels}
        for index in range(record.length):
            row = {key: np.ascontiguousarray(frames[key][index]) for key in output.cameras}
            row |= {key: labels[key][index] for key in output.labels}
            dataset.add_frame({**row, "task": record.task})
        dataset.save_episode()
        dataset.finalize()
    _check_videos(folder, record.length)
    _describe_like_source(folder, output)


def merge(folders: list[Path], target: Path, config: WriterConfig, concatenate: bool) -> None:
    """Merge datasets with LeRobot's aggregation; without `concatenate` no video file is touched.

    Raises:
        WriteError: they do not fit together.
    """
    from lerobot.datasets.aggregate import aggregate_datasets

    try:
        with _quiet(target.parent / "cache"):
            aggregate_datasets(
                repo_ids=[folder.name for folder in folders],
                aggr_repo_id=target.name,
                roots=folders,
                aggr_root=target,
                video_files_size_in_mb=config.video_file_mb,
                data_files_size_in_mb=config.data_file_mb,
                concatenate_videos=concatenate,
                concatenate_data=concatenate,
            )
    except (ValueError, KeyError) as error:
        raise WriteError(f"{target}: LeRobot cannot merge {folders[0]} and {folders[-1]}: {error}") from error


def keeps_files(output: OutputFormat, source: Dataset, config: WriterConfig) -> bool:
    """Whether the source's own video files can stand in the output: same codec, and statistics to merge."""
    encoder = encoder_name(output, config.codec)
    codec = {"libsvtav1": "av1"}.get(encoder, encoder)
    videos = [feature for feature in output.features.values() if feature["dtype"] == "video"]
    same = all((feature.get("info") or {}).get("video.codec") == codec for feature in videos)
    return same and (source.root / "meta" / "stats.json").is_file()


def source_files(source: Dataset, output: OutputFormat, folder: Path) -> Path:
    """The source's folder, or a copy in `folder` without the features that the output leaves out (LeRobot's tool)."""
    from lerobot.datasets.dataset_tools import remove_feature
    from lerobot.datasets.lerobot_dataset import LeRobotDataset

    dropped = [key for key in source.features if key not in output.features and key not in INDEX_FEATURES]
    if not dropped:
        return source.root
    with _quiet(folder.parent / "cache"):
        dataset = LeRobotDataset(source.name, root=source.root, video_backend="pyav")
        remove_feature(dataset, dropped, output_dir=folder, repo_id=source.name)
    unwanted = tuple(f"{prefix}/{key}/" for prefix in ("videos", "stats") for key in dropped)
    for path in (folder / "meta" / "episodes").glob("*/*.parquet"):
        table = pq.read_table(path)
        pq.write_table(table.drop_columns([name for name in table.column_names if name.startswith(unwanted)]), path)
    return folder


def _encoder(output: OutputFormat, config: WriterConfig):
    from lerobot.configs import RGBEncoderConfig

    codec = encoder_name(output, config.codec)
    preset = int(config.preset) if config.preset.isdigit() else (config.preset or None)
    extra = {"x265-params": "log-level=error"} if codec == "hevc" else {}
    try:
        return RGBEncoderConfig(vcodec=codec, crf=config.crf, g=config.gop, preset=preset, extra_options=extra)
    except ValueError as error:
        raise WriteError(f"writer.codec={codec} writer.preset={config.preset!r}: {error}") from error


def _as_stored(values: Tensor, feature: dict) -> np.ndarray:
    return values.numpy().astype(feature["dtype"]).reshape(len(values), *feature["shape"])


def _check_videos(folder: Path, length: int) -> None:
    for path in folder.glob("videos/**/*.mp4"):
        with av.open(str(path)) as container:
            frames = sum(1 for packet in container.demux(video=0) if packet.size)
        if frames != length:
            raise WriteError(f"{path}: the encoder wrote {frames} of {length} frames; try another writer.codec")


def _describe_like_source(folder: Path, output: OutputFormat) -> None:
    """Describe each video with the source's keys where they are true of it: LeRobot merges equal descriptions only."""
    from lerobot.configs import VIDEO_ENCODER_INFO_KEYS

    path = folder / "meta" / "info.json"
    info = json.loads(path.read_text())
    for key in output.cameras:
        feature, source = info["features"][key], output.features[key].get("info")
        if feature["dtype"] != "video" or source is None:
            continue
        made = feature["info"]
        stated = {name: value for name, value in source.items() if name not in VIDEO_ENCODER_INFO_KEYS}
        if all(made.get(name, value) == value for name, value in stated.items()):
            feature["info"] = stated | {name: made[name] for name in made if name in VIDEO_ENCODER_INFO_KEYS}
    path.write_text(json.dumps(info, indent=4, ensure_ascii=False))


@contextlib.contextmanager
def _quiet(cache: Path) -> Iterator[None]:
    """LeRobot's and the encoders' chatter off, and the cache files of `datasets` in `cache`."""
    import datasets
    from lerobot.datasets import aggregate

    log = logging.getLogger("lerobot")
    kept = datasets.config.HF_DATASETS_CACHE, datasets.are_progress_bars_disabled(), aggregate.tqdm, log.level
    datasets.config.HF_DATASETS_CACHE = cache
    datasets.disable_progress_bars()
    aggregate.tqdm = SimpleNamespace(tqdm=lambda rows, desc: rows)
    log.setLevel(logging.ERROR)
    av.logging.set_libav_level(av.logging.ERROR)
    os.environ.setdefault("SVT_LOG", "1")  # the av1 encoder's own switch: errors only
    try:
        yield
    finally:
        datasets.config.HF_DATASETS_CACHE, hidden, aggregate.tqdm, level = kept
        log.setLevel(level)
        if not hidden:
            datasets.enable_progress_bars()
