"""Pixels of one episode: its slice of a shared video file, or its images, in order."""

import io
from pathlib import Path

import av
import numpy as np
import torch
from av.video.reformatter import VideoReformatter
from jaxtyping import UInt8
from PIL import Image, UnidentifiedImageError
from torch import Tensor

from m2iv_robot.data.lerobot_io.source import Dataset, VideoSlice, read_parquet
from m2iv_robot.errors import DatasetError


def read_frames(dataset: Dataset, index: int, camera: str) -> UInt8[Tensor, "t 3 h w"]:
    """All frames of episode `index` seen by `camera`: RGB, in a memory layout with the colours last.

    Raises:
        DatasetError: unknown camera or episode, or frames that are missing or damaged.
    """
    dataset.check_camera(camera)
    row = dataset.row(index)
    if dataset.features[camera]["dtype"] == "video":
        pixels = decode_slice(row.videos[camera], row.length, dataset.fps)
    else:
        pixels = _decode_images(dataset, index, camera)
    return torch.from_numpy(pixels).permute(0, 3, 1, 2)


def decode_slice(video: VideoSlice, length: int, fps: float) -> UInt8[np.ndarray, "t h w 3"]:
    """The `length` frames of `video` from its start time on, decoded once each and in order.

    A frame belongs to the output index that its time rounds to.

    Raises:
        DatasetError: the file is missing or damaged, or holds fewer frames than the metadata says.
    """
    if not video.path.is_file():
        raise DatasetError(f"{video.path}: the file is missing; copy or download the dataset again")
    try:
        with av.open(str(video.path)) as container:
            if not container.streams.video:
                raise DatasetError(f"{video.path}: it holds no video; copy or download the dataset again")
            return _decode(container, video, length, fps)
    except av.FFmpegError as error:
        raise DatasetError(f"{video.path}: damaged video ({error}); copy or download the dataset again") from error


def _decode(container: av.container.InputContainer, video: VideoSlice, length: int, fps: float) -> np.ndarray:
    stream = container.streams.video[0]
    if stream.codec_context.name in ("h264", "hevc"):
        stream.codec_context.thread_count = 1  # LeRobot writes one slice per frame: threads would only wait
    if video.start_s > 0:
        container.seek(round(video.start_s / stream.time_base), stream=stream, backward=True)
    height, width = stream.height, stream.width
    pixels = np.empty((length, height, width, 3), np.uint8)
    reformatter = VideoReformatter()  # one for all frames: each frame's own would set its tables up again
    expected = 0
    for frame in container.decode(stream):
        position = round((frame.time - video.start_s) * fps)
        if position < expected:
            continue
        if position > expected:
            break
        plane = reformatter.reformat(frame, width, height, "rgb24").planes[0]
        rows = np.frombuffer(plane, np.uint8).reshape(height, plane.line_size)
        pixels[expected] = rows[:, : 3 * width].reshape(height, width, 3)
        expected += 1
        if expected == length:
            return pixels
    raise DatasetError(
        f"{video.path}: frame {expected} of {length} is missing after {video.start_s:.3f} s at {fps:g} fps; the video "
        "is truncated or does not fit meta/episodes: copy, download or merge the dataset again"
    )


def _decode_images(dataset: Dataset, index: int, camera: str) -> np.ndarray:
    row = dataset.row(index)
    columns = ["frame_index", camera]
    table = read_parquet(row.data_path, columns, [("episode_index", "=", index)]).sort_by("frame_index")
    if table.num_rows != row.length:
        raise DatasetError(
            f"{row.data_path}, episode {index}: {table.num_rows} images, {row.length} in the metadata; "
            "copy or download the dataset again"
        )
    cells = table.column(camera).to_pylist()
    return np.stack([_decode_image(cell, dataset.root, f"{row.data_path}, episode {index}") for cell in cells])


def _decode_image(cell: dict, root: Path, where: str) -> np.ndarray:
    """A parquet cell holds the image's bytes, or the path of its file."""
    try:
        content = io.BytesIO(cell["bytes"]) if cell.get("bytes") else root / cell["path"]
        with Image.open(content) as image:
            return np.asarray(image.convert("RGB"))
    except (OSError, UnidentifiedImageError, TypeError) as error:
        raise DatasetError(f"{where}: damaged image ({error}); copy or download the dataset again") from error
