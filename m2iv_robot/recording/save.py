"""A spooled episode into a LeRobot dataset, which is whole before and after."""

import json
from pathlib import Path

import numpy as np
import torch

from m2iv_robot.data.lerobot_io import EpisodeRecord, EpisodeWriter, OutputFormat, WriterConfig, recordings_folder
from m2iv_robot.data.lerobot_io.staging import EPISODES_FILE, read_lines
from m2iv_robot.errors import WriteError
from m2iv_robot.recording.spool import SpooledEpisode


def save_episode(episode: SpooledEpisode, root: str | Path, config: WriterConfig) -> int:
    """Append the episode to the dataset in `root`, made if need be, and delete the spool; returns its index.

    The dataset is put in place at once: whatever happens afterwards, it can be read with this episode in it. An episode
    that is in the dataset already changes nothing.

    Raises:
        WriteError: it does not fit the dataset, or cannot be written.
    """
    root = Path(root).expanduser().absolute()
    with EpisodeWriter(root, output_format(episode), config) as writer:
        cameras = {key: torch.from_numpy(episode.frames(key)).permute(0, 3, 1, 2) for key in episode.sizes}
        labels = {key: torch.from_numpy(rows.astype(np.float32)) for key, rows in episode.values().items()}
        writer.append(EpisodeRecord(episode.key, episode.task, cameras, labels))
    index = _index_of(root, episode.key)
    _save_report(root, episode, index)
    episode.remove()
    return index


def output_format(episode: SpooledEpisode) -> OutputFormat:
    """The features of the dataset that takes the episode."""
    features = {
        key: {"dtype": "float32", "shape": (len(names),), "names": list(names)} for key, names in episode.names.items()
    }
    for key, (height, width) in episode.sizes.items():
        features[key] = {"dtype": "video", "shape": (height, width, 3), "names": ["height", "width", "channels"]}
    return OutputFormat(episode.fps, episode.robot_type or None, features)


def report_path(root: str | Path, index: int) -> Path:
    """The report of an episode: how its frames were put together."""
    return recordings_folder(root) / f"episode_{index:06d}.json"


def _index_of(root: Path, key: str) -> int:
    keys = [line["key"] for line in read_lines(root / EPISODES_FILE)]
    if key not in keys:
        raise WriteError(f"{root}: the dataset lacks the episode that was just written; see the messages above")
    return keys.index(key)


def _save_report(root: Path, episode: SpooledEpisode, index: int) -> None:
    path = report_path(root, index)
    path.parent.mkdir(parents=True, exist_ok=True)
    about = {"key": episode.key, "task": episode.task, "intrinsics": episode.intrinsics}
    path.write_text(json.dumps({**about, **episode.report}, indent=1))
