"""A row's episodes as one small LeRobot dataset that trains fast: pictures averaged down, every frame a key frame."""

from collections.abc import Iterator
from pathlib import Path

import torch
from einops import reduce
from jaxtyping import UInt8
from torch import Tensor

from m2iv_robot.data.lerobot_io import (
    Dataset,
    DatasetConfig,
    EpisodeRecord,
    EpisodeWriter,
    OutputFormat,
    WriterConfig,
    open_dataset,
    read_frames,
    read_labels,
)
from policies_demo.config import FRONT, DemoConfig
from policies_demo.rows import Row

# LeRobot decodes 20 pictures for a chunk of 20 actions where pictures lie among the labels, but one frame of a video.
SMALL_VIDEO = WriterConfig(codec="h264", crf=10, gop=1)


def assemble(config: DemoConfig, row: Row, sets: list[Path], root: Path) -> Path:
    """Write the row's dataset to `root`, unless it is there; returns `root`."""
    if (root / "meta" / "info.json").is_file():
        return root
    datasets = [open_dataset(DatasetConfig(root=str(path))) for path in sets]
    with EpisodeWriter(root, _format(config, datasets[0]), SMALL_VIDEO) as output:
        for name, dataset, count in zip(row.sets, datasets, repeats(row, datasets), strict=True):
            for record in _records(config, name, dataset, count):
                output.append(record)
    return root


def repeats(row: Row, datasets: list[Dataset]) -> list[int]:
    """How often each set's episodes are written: once, or the first ones as often as makes both weigh alike."""
    if not row.balanced:
        return [1] * len(datasets)
    first, second = (dataset.episode_count for dataset in datasets)
    return [max(1, round(second / first)), 1]


def average_down(frames: UInt8[Tensor, "t 3 h w"], factor: int) -> UInt8[Tensor, "t 3 h2 w2"]:
    """Means over squares of `factor` pixels, as the environment makes them from larger pictures."""
    if factor == 1:
        return frames
    means = reduce(frames.float(), "t c (h y) (w x) -> t c h w", "mean", y=factor, x=factor)
    return means.round().to(torch.uint8)


def _records(config: DemoConfig, name: str, dataset: Dataset, count: int) -> Iterator[EpisodeRecord]:
    """Every episode `count` times in a row."""
    for index in range(dataset.episode_count):
        read = read_labels(dataset, index)
        labels = {"observation.state": read.state.float(), "action": read.action.float()}
        pictures = {
            camera: average_down(read_frames(dataset, index, camera), _factor(config, camera))
            for camera in config.cameras
        }
        for copy in range(count):
            yield EpisodeRecord(f"{name}/{index}/{copy}", read.task, pictures, labels)


def _factor(config: DemoConfig, camera: str) -> int:
    return config.reduce if camera == FRONT else 1


def _format(config: DemoConfig, dataset: Dataset) -> OutputFormat:
    features = {}
    for key in ("observation.state", "action"):
        known = dataset.features[key]
        features[key] = {"dtype": "float32", "shape": tuple(known["shape"]), "names": known["names"]}
    for camera in config.cameras:
        height, width, channels = dataset.features[camera]["shape"]
        shape = (height // _factor(config, camera), width // _factor(config, camera), channels)
        features[camera] = {"dtype": "video", "shape": shape, "names": ["height", "width", "channels"]}
    return OutputFormat(int(dataset.fps), dataset.robot_type, features)
