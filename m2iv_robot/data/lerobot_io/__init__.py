"""LeRobot datasets in and out; the only package that imports lerobot."""

from m2iv_robot.data.lerobot_io.assemble import EpisodeRecord
from m2iv_robot.data.lerobot_io.calibration import RecordedCamera, recorded_camera, recordings_folder
from m2iv_robot.data.lerobot_io.decode import decode_slice, read_frames
from m2iv_robot.data.lerobot_io.output_format import OutputFormat, WriterConfig, format_like
from m2iv_robot.data.lerobot_io.provenance import PROVENANCE_FILE, REJECTED_FILE, episode_key
from m2iv_robot.data.lerobot_io.reader import EpisodeLabels, feature_names, read_episode, read_labels
from m2iv_robot.data.lerobot_io.source import Dataset, DatasetConfig, VideoSlice, open_dataset
from m2iv_robot.data.lerobot_io.writer import EpisodeWriter

__all__ = [
    "PROVENANCE_FILE",
    "REJECTED_FILE",
    "Dataset",
    "DatasetConfig",
    "EpisodeLabels",
    "EpisodeRecord",
    "EpisodeWriter",
    "OutputFormat",
    "RecordedCamera",
    "VideoSlice",
    "WriterConfig",
    "decode_slice",
    "episode_key",
    "feature_names",
    "format_like",
    "open_dataset",
    "read_episode",
    "read_frames",
    "read_labels",
    "recorded_camera",
    "recordings_folder",
]
