"""One episode of a LeRobot dataset as tensors: labels alone, or labels and frames."""

from dataclasses import dataclass, field

import numpy as np
import pyarrow as pa
import torch
from jaxtyping import Float
from torch import Tensor

from m2iv_robot.data.lerobot_io.decode import read_frames
from m2iv_robot.data.lerobot_io.source import INDEX_FEATURES, Dataset, read_parquet
from m2iv_robot.errors import DatasetError
from m2iv_robot.types import Episode

LABEL_DTYPES = ("float16", "float32", "float64", "int8", "int16", "int32", "int64", "uint8", "bool")


@dataclass(frozen=True)
class EpisodeLabels:
    """Everything of an episode but its frames; `state` or `action` is None where the dataset has none."""

    dataset: str
    index: int
    state: Float[Tensor, "t s"] | None
    action: Float[Tensor, "t a"] | None
    state_names: tuple[str, ...]
    action_names: tuple[str, ...]
    fps: float
    task: str
    robot_type: str | None
    length: int
    extra: dict[str, Tensor] = field(default_factory=dict)  # other numeric features, "t ..." in the dataset's dtype


def read_labels(dataset: Dataset, index: int) -> EpisodeLabels:
    """State, action, names, rate and task of episode `index`, in the dataset's dtype (integers as float64).

    Raises:
        DatasetError: no such episode, a damaged file, missing frames, or a state or action that is not finite.
    """
    row = dataset.row(index)
    keys = [key for key, feature in dataset.features.items() if _is_label(key, feature)]
    table = read_parquet(row.data_path, ["frame_index", *keys], [("episode_index", "=", index)])
    table = table.sort_by("frame_index")
    frame_index = table.column("frame_index").to_numpy()
    if not np.array_equal(frame_index, np.arange(row.length)):
        raise DatasetError(
            f"{row.data_path}, episode {index}: {len(frame_index)} rows do not make frames 0 to {row.length - 1}; "
            "the file is damaged or not the metadata's: copy or download the dataset again"
        )
    values = {key: _column(table, key, dataset.features[key], f"{row.data_path}, episode {index}") for key in keys}
    state = _label(values, dataset.state_key, dataset, index)
    action = _label(values, dataset.action_key, dataset, index)
    return EpisodeLabels(
        dataset=dataset.name,
        index=index,
        state=state,
        action=action,
        state_names=feature_names(dataset.features, dataset.state_key),
        action_names=feature_names(dataset.features, dataset.action_key),
        fps=dataset.fps,
        task=row.task,
        robot_type=dataset.robot_type,
        length=row.length,
        extra={
            key: torch.from_numpy(value)
            for key, value in values.items()
            if key not in (dataset.state_key, dataset.action_key)
        },
    )


def read_episode(dataset: Dataset, index: int, camera: str) -> Episode:
    """Episode `index` seen by `camera`.

    Raises:
        DatasetError: as for `read_labels` and `read_frames`.
    """
    dataset.check_camera(camera)
    labels = read_labels(dataset, index)
    return Episode(
        dataset=dataset.name,
        index=index,
        camera=camera,
        frames=read_frames(dataset, index, camera),
        state=labels.state,
        action=labels.action,
        state_names=labels.state_names,
        action_names=labels.action_names,
        fps=labels.fps,
        task=labels.task,
        robot_type=labels.robot_type,
        extra=labels.extra,
    )


def feature_names(features: dict[str, dict], key: str | None) -> tuple[str, ...]:
    """One name per number of a feature; "name_0", "name_1", ... where the dataset gives none; () without a feature."""
    if key is None:
        return ()
    size = int(np.prod(features[key]["shape"]))
    names = _flatten_names(features[key].get("names"))
    if len(names) == size:
        return tuple(names)
    return tuple(f"{key.rpartition('.')[2]}_{position}" for position in range(size))


def _flatten_names(names: object) -> list[str]:
    if isinstance(names, str):
        return [names]
    if isinstance(names, dict):
        if all(isinstance(value, int) for value in names.values()):
            return sorted(names, key=names.__getitem__)
        return [name for value in names.values() for name in _flatten_names(value)]
    if isinstance(names, list | tuple):
        return [name for value in names for name in _flatten_names(value)]
    return []


def _is_label(key: str, feature: dict) -> bool:
    return key not in INDEX_FEATURES and feature.get("dtype") in LABEL_DTYPES


def _column(table: pa.Table, key: str, feature: dict, where: str) -> np.ndarray:
    """A column as an array of the feature's dtype and shape."""
    shape = tuple(feature["shape"])
    column = table.column(key)
    try:
        while isinstance(column.type, pa.ExtensionType) or pa.types.is_nested(column.type):
            extension = isinstance(column.type, pa.ExtensionType)
            column = pa.chunked_array([chunk.storage if extension else chunk.flatten() for chunk in column.chunks])
        flat = column.to_numpy().astype(feature["dtype"], copy=True)
        return flat.reshape(table.num_rows, *shape)
    except (ValueError, TypeError, pa.ArrowException) as error:
        raise DatasetError(
            f"{where}: column {key!r} does not hold {feature['dtype']} of shape {shape} in every row ({error}); "
            "correct meta/info.json or record the dataset again"
        ) from error


def _label(values: dict[str, np.ndarray], key: str | None, dataset: Dataset, index: int) -> Tensor | None:
    if key is None or key not in values:
        return None
    array = values[key].reshape(len(values[key]), -1)
    if not np.issubdtype(array.dtype, np.floating):
        array = array.astype(np.float64)
    if not np.isfinite(array).all():
        frame, column = np.argwhere(~np.isfinite(array))[0]
        name = feature_names(dataset.features, key)[column]
        raise DatasetError(
            f"{dataset.name}, episode {index}, frame {frame}: {key} ({name}) is {array[frame, column]}; "
            "leave the episode out, or repair its values"
        )
    return torch.from_numpy(array)
