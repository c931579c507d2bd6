"""A row's episodes as one small LeRobot dataset that trains fast: pictures averaged down and stored singly."""

import shutil
from collections.abc import Iterator
from pathlib import Path

import torch
from einops import reduce
from jaxtyping import UInt8
from lerobot.datasets import LeRobotDataset
from torch import Tensor

from m2iv_robot.data.lerobot_io import Dataset, DatasetConfig, open_dataset, read_frames, read_labels
from policies_demo.config import FRONT, DemoConfig
from policies_demo.rows import Row


def assemble(config: DemoConfig, row: Row, sets: list[Path], root: Path) -> Path:
    """Write the row's dataset to `root`, unless it is there; returns `root`.

    Videos would be decoded anew in every training step; single small pictures cost a tenth of that.
    """
    if (root / "meta" / "info.json").is_file():
        return root
    unfinished = root.with_name(f"{root.name}.unfinished")
    shutil.rmtree(unfinished, ignore_errors=True)
    datasets = [open_dataset(DatasetConfig(root=str(path))) for path in sets]
    output = LeRobotDataset.create(
        repo_id=f"policies_demo/row_{row.letter}",
        fps=int(datasets[0].fps),
        features=_features(config, datasets[0]),
        root=unfinished,
        robot_type=datasets[0].robot_type,
        use_videos=False,
    )
    for dataset, count in zip(datasets, repeats(row, datasets), strict=True):
        for index in range(dataset.episode_count):
            frames = list(_frames(config, dataset, index))
            for _ in range(count):
                for frame in frames:
                    output.add_frame(dict(frame))  # LeRobot takes the task out of it
                output.save_episode()
    output.finalize()
    root.parent.mkdir(parents=True, exist_ok=True)
    unfinished.rename(root)
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


def _frames(config: DemoConfig, dataset: Dataset, index: int) -> Iterator[dict]:
    labels = read_labels(dataset, index)
    pictures = {
        camera: average_down(read_frames(dataset, index, camera), config.reduce if camera == FRONT else 1)
        for camera in config.cameras
    }
    for number in range(len(labels.state)):
        yield {
            "observation.state": labels.state[number].numpy(),
            "action": labels.action[number].numpy(),
            **{camera: video[number].permute(1, 2, 0).numpy() for camera, video in pictures.items()},
            "task": labels.task,
        }


def _features(config: DemoConfig, dataset: Dataset) -> dict[str, dict]:
    features = {}
    for key in ("observation.state", "action"):
        known = dataset.features[key]
        features[key] = {"dtype": "float32", "shape": tuple(known["shape"]), "names": known["names"]}
    for camera in config.cameras:
        height, width, channels = dataset.features[camera]["shape"]
        factor = config.reduce if camera == FRONT else 1
        shape = (height // factor, width // factor, channels)
        features[camera] = {"dtype": "image", "shape": shape, "names": ["height", "width", "channels"]}
    return features
