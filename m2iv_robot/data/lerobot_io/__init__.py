"""LeRobot datasets in and out; the only package that imports lerobot."""

from m2iv_robot.data.lerobot_io.decode import read_frames
from m2iv_robot.data.lerobot_io.reader import EpisodeLabels, feature_names, read_episode, read_labels
from m2iv_robot.data.lerobot_io.source import Dataset, DatasetConfig, open_dataset

__all__ = [
    "Dataset",
    "DatasetConfig",
    "EpisodeLabels",
    "feature_names",
    "open_dataset",
    "read_episode",
    "read_frames",
    "read_labels",
]
