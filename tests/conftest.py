"""Fixtures that several tests share."""

import os
from pathlib import Path

import numpy as np
import pytest
import torch

REPOSITORY = Path(__file__).resolve().parent.parent
COLOUR_STEP = 20  # grey levels between neighbouring frames of a made video: far more than any codec loses


@pytest.fixture
def generator() -> torch.Generator:
    return torch.Generator().manual_seed(0)


@pytest.fixture(scope="session")
def real_data() -> Path:
    """The folder of real recordings; tests that need it are skipped without."""
    folder = Path(os.environ.get("M2IV_DATA", REPOSITORY.parent / "shared" / "data"))
    if not (folder / "droid_blocks" / "meta" / "info.json").is_file():
        pytest.skip(f"no real recordings in {folder}; set M2IV_DATA")
    return folder


@pytest.fixture(scope="session")
def made_frames():
    return _made_frames


@pytest.fixture(scope="session")
def made_labels():
    return _made_labels


def _made_frames(episode: int, length: int, size: tuple[int, int], camera: int = 0) -> np.ndarray:
    """Frames (t h w 3) in which every frame can be told: grey by frame, a red bar by episode, a blue one by camera."""
    height, width = size
    frames = np.zeros((length, height, width, 3), np.uint8)
    frames[:] = (20 + COLOUR_STEP * (np.arange(length) % 10))[:, None, None, None]
    frames[:, : height // 4] = (40 + 60 * (episode % 3), 30, 30)
    frames[:, -height // 4 :] = (30, 30, 40 + 60 * camera)
    return frames


def _made_labels(episode: int, length: int, width: int, dtype: str) -> np.ndarray:
    """Numbers (t width) that no two episodes share, with every bit of the mantissa in use."""
    rows = np.arange(length)[:, None] + 100 * episode
    return ((rows + 1) / 7 + np.arange(width)[None] / 3).astype(dtype)


@pytest.fixture(scope="session")
def make_dataset():
    """A function that records a small dataset with LeRobot itself: make_dataset(root, lengths=(5, 8, 6), ...)."""
    from lerobot.configs import RGBEncoderConfig
    from lerobot.datasets.lerobot_dataset import LeRobotDataset

    def record(
        root: Path,
        lengths=(5, 8, 6),
        tasks=("put the cup on the plate", "", "put the cup on the plate"),
        cameras=("observation.images.front", "observation.images.wrist"),
        size=(48, 64),
        kind="video",
        state=("observation.state", 4, "float32"),
        action=("action", 3, "float32"),
        extra=None,
        codec="h264",
        fps=10,
    ) -> Path:
        features = {}
        for camera in cameras:
            features[camera] = {"dtype": kind, "shape": (*size, 3), "names": ["height", "width", "channels"]}
        for label in (state, action):
            if label:
                features[label[0]] = {"dtype": label[2], "shape": (label[1],), "names": None}
        features |= extra or {}
        dataset = LeRobotDataset.create(
            root.name,
            fps,
            features,
            root=root,
            robot_type="so101",
            use_videos=kind == "video",
            streaming_encoding=kind == "video",
            rgb_encoder=RGBEncoderConfig(vcodec=codec, crf=10),
            encoder_queue_maxsize=1000,
        )
        for episode, length in enumerate(lengths):
            videos = {key: _made_frames(episode, length, size, number) for number, key in enumerate(cameras)}
            labels = {label[0]: _made_labels(episode, length, *label[1:]) for label in (state, action) if label}
            for key, feature in (extra or {}).items():
                labels[key] = _made_labels(episode, length, int(np.prod(feature["shape"])), feature["dtype"]).reshape(
                    length, *feature["shape"]
                )
            for frame in range(length):
                row = {key: values[frame] for key, values in (videos | labels).items()}
                dataset.add_frame({**row, "task": tasks[episode % len(tasks)]})
            dataset.save_episode()
        dataset.finalize()
        return root

    return record


@pytest.fixture(scope="session")
def small_dataset(make_dataset, tmp_path_factory) -> Path:
    """Three short episodes, two cameras, h264; read only."""
    return make_dataset(tmp_path_factory.mktemp("small") / "small")
