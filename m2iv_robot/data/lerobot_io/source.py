"""Open a LeRobot v3.0 dataset: its metadata, checked, without decoding anything."""

import json
from dataclasses import dataclass
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from m2iv_robot.data.lerobot_io.versions import converted_copy, hub_root
from m2iv_robot.errors import ConfigError, DatasetError

INDEX_FEATURES = ("timestamp", "frame_index", "episode_index", "index", "task_index")
DEFAULT_DATA_PATH = "data/chunk-{chunk_index:03d}/file-{file_index:03d}.parquet"
DEFAULT_VIDEO_PATH = "videos/{video_key}/chunk-{chunk_index:03d}/file-{file_index:03d}.mp4"


@dataclass(frozen=True)
class DatasetConfig:
    """Which dataset; `root` is a folder, `repo_id` a dataset of the Hugging Face hub (or the name for `root`)."""

    root: str = ""
    repo_id: str = ""
    state_key: str = "observation.state"
    action_key: str = "action"
    cache_folder: str = ""  # for converted v2.x copies; "" is $XDG_CACHE_HOME/m2iv_robot or ~/.cache/m2iv_robot

    def __post_init__(self) -> None:
        if not self.root and not self.repo_id:
            raise ConfigError("dataset: give dataset.root=FOLDER or dataset.repo_id=USER/NAME")


@dataclass(frozen=True)
class VideoSlice:
    """The part of a video file that is one episode: [start_s, stop_s)."""

    path: Path
    start_s: float
    stop_s: float


@dataclass(frozen=True)
class EpisodeRow:
    """What the metadata says of one episode."""

    index: int
    length: int  # frames
    task: str
    data_path: Path
    videos: dict[str, VideoSlice]  # by camera; cameras stored as images are in the data file


@dataclass(frozen=True)
class Dataset:
    """An opened dataset: metadata only. `cameras` are the feature keys of its colour cameras."""

    name: str  # repo_id, or the folder's name
    root: Path
    fps: float
    robot_type: str | None
    features: dict[str, dict]
    cameras: tuple[str, ...]
    state_key: str | None  # None: the dataset has no state
    action_key: str | None
    rows: tuple[EpisodeRow, ...]

    @property
    def episode_count(self) -> int:
        """Number of episodes."""
        return len(self.rows)

    def row(self, index: int) -> EpisodeRow:
        """The metadata of episode `index`.

        Raises:
            DatasetError: there is no such episode, or it has no frames.
        """
        if not 0 <= index < len(self.rows):
            raise DatasetError(f"{self.name}: no episode {index}; it has episodes 0 to {len(self.rows) - 1}")
        row = self.rows[index]
        if row.length <= 0:
            raise DatasetError(
                f"{self.name}, episode {index}: it has no frames; leave it out, or remove it with "
                f"lerobot-edit-dataset --operation.type delete_episodes --operation.episode_indices '[{index}]'"
            )
        return row

    def length(self, index: int) -> int:
        """Number of frames of episode `index`."""
        return self.row(index).length

    def task(self, index: int) -> str:
        """The instruction of episode `index`; "" where there is none."""
        return self.row(index).task

    def check_camera(self, camera: str) -> None:
        """Refuse a camera that the dataset does not have.

        Raises:
            DatasetError: naming the cameras that it has.
        """
        if camera not in self.cameras:
            known = ", ".join(self.cameras) or "none"
            raise DatasetError(f"{self.name}: no camera {camera!r}; its cameras are {known}")


def open_dataset(config: DatasetConfig) -> Dataset:
    """Open the dataset that `config` names; v2.x goes through a converted copy, the hub through LeRobot.

    Raises:
        DatasetError: the folder or its metadata is missing, damaged or of a version that cannot be read.
    """
    root = Path(config.root).expanduser() if config.root else hub_root(config.repo_id, config.cache_folder)
    name = config.repo_id or root.resolve().name
    info = _read_info(root)
    if str(info.get("codebase_version", "")).startswith("v2."):
        root = converted_copy(root, info["codebase_version"], config.cache_folder)
        info = _read_info(root)
    _check_version(root, info)
    features = info["features"]
    cameras = tuple(key for key, feature in features.items() if _is_colour_camera(feature))
    rows = _read_rows(root, info, cameras)
    if not rows:
        raise DatasetError(f"{root}: the dataset has no episode; record one or give another folder")
    return Dataset(
        name=name,
        root=root,
        fps=float(info["fps"]),
        robot_type=info.get("robot_type"),
        features=features,
        cameras=cameras,
        state_key=_present(features, config.state_key, DatasetConfig.state_key, name),
        action_key=_present(features, config.action_key, DatasetConfig.action_key, name),
        rows=rows,
    )


def read_parquet(path: Path, columns: list[str], filters: list | None = None) -> pa.Table:
    """The named columns of a parquet file.

    Raises:
        DatasetError: the file is missing or damaged.
    """
    if not path.is_file():
        raise DatasetError(f"{path}: the file is missing; copy or download the dataset again")
    try:
        return pq.read_table(path, columns=columns, filters=filters, partitioning=None)
    except (pa.ArrowException, OSError) as error:
        raise DatasetError(
            f"{path}: not a readable parquet file ({str(error).splitlines()[0]}); it may be truncated: "
            "copy or download the dataset again"
        ) from error


def _read_info(root: Path) -> dict:
    path = root / "meta" / "info.json"
    if not root.is_dir():
        raise DatasetError(f"{root}: no such folder; check dataset.root")
    if not path.is_file():
        raise DatasetError(f"{root}: not a LeRobot dataset (no meta/info.json); give the folder that holds meta/")
    try:
        info = json.loads(path.read_text())
    except (json.JSONDecodeError, UnicodeDecodeError) as error:
        raise DatasetError(f"{path}: not valid JSON ({error}); copy or download the dataset again") from error
    missing = [key for key in ("codebase_version", "fps", "features") if not info.get(key)]
    if missing:
        raise DatasetError(f"{path}: no {missing[0]!r}; copy or download the dataset again")
    return info


def _check_version(root: Path, info: dict) -> None:
    version = str(info["codebase_version"])
    if not version.startswith("v3."):
        raise DatasetError(
            f"{root}: LeRobot format {version}; v3.x is read directly and v2.x is converted: "
            "convert it with the LeRobot release that it was made with, or upgrade this package"
        )


def _is_colour_camera(feature: dict) -> bool:
    info = feature.get("info") or {}
    depth = info.get("is_depth_map") or info.get("video.is_depth_map")
    return feature.get("dtype") in ("video", "image") and not depth


def _present(features: dict, key: str, default: str, name: str) -> str | None:
    if key in features:
        return key
    if key and key != default:
        known = ", ".join(entry for entry in features if entry not in INDEX_FEATURES)
        raise DatasetError(f"{name}: no feature {key!r}; its features are {known}")
    return None


def _read_rows(root: Path, info: dict, cameras: tuple[str, ...]) -> tuple[EpisodeRow, ...]:
    files = sorted((root / "meta" / "episodes").glob("*/*.parquet"))
    if not files:
        raise DatasetError(f"{root}: no meta/episodes/*/*.parquet; if it was being recorded it was never finalized")
    columns = ["episode_index", "length", "tasks", "data/chunk_index", "data/file_index"]
    for camera in cameras:
        if info["features"][camera]["dtype"] == "video":
            parts = ("chunk_index", "file_index", "from_timestamp", "to_timestamp")
            columns += [f"videos/{camera}/{part}" for part in parts]
    records = [record for path in files for record in _read_records(path, columns)]
    records.sort(key=lambda record: record["episode_index"])
    if [record["episode_index"] for record in records] != list(range(len(records))):
        raise DatasetError(
            f"{root}: meta/episodes does not list episodes 0 to {len(records) - 1} once each; it was not finalized, "
            "or merged wrongly: record or merge it again"
        )
    return tuple(_row(root, info, record) for record in records)


def _read_records(path: Path, columns: list[str]) -> list[dict]:
    try:
        names = pq.read_schema(path).names
    except (pa.ArrowException, OSError) as error:
        raise DatasetError(f"{path}: not a readable parquet file; copy or download the dataset again") from error
    missing = [column for column in columns if column not in names and column != "tasks"]
    if missing:
        raise DatasetError(f"{path}: no column {missing[0]!r}; copy or download the dataset again")
    return read_parquet(path, [column for column in columns if column in names]).to_pylist()


def _row(root: Path, info: dict, record: dict) -> EpisodeRow:
    videos = {}
    for key in record:
        if key.endswith("/from_timestamp"):
            camera = key.removeprefix("videos/").removesuffix("/from_timestamp")
            relative = (info.get("video_path") or DEFAULT_VIDEO_PATH).format(
                video_key=camera,
                chunk_index=record[f"videos/{camera}/chunk_index"],
                file_index=record[f"videos/{camera}/file_index"],
            )
            videos[camera] = VideoSlice(root / relative, record[key], record[f"videos/{camera}/to_timestamp"])
    data_path = (info.get("data_path") or DEFAULT_DATA_PATH).format(
        chunk_index=record["data/chunk_index"], file_index=record["data/file_index"]
    )
    tasks = record.get("tasks") or [""]
    return EpisodeRow(record["episode_index"], int(record["length"]), tasks[0] or "", root / data_path, videos)
