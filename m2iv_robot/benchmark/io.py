"""What reading and writing cost and lose: decoding against plain PyAV, and real -> write -> read."""

import os
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import av
import numpy as np
import torch
from jaxtyping import Float, UInt8
from torch import Tensor

from m2iv_robot.data.lerobot_io import (
    Dataset,
    DatasetConfig,
    EpisodeRecord,
    EpisodeWriter,
    OutputFormat,
    WriterConfig,
    decode_slice,
    format_like,
    open_dataset,
    read_frames,
    read_labels,
)
from m2iv_robot.errors import ConfigError


@dataclass(frozen=True)
class IoConfig:
    """configs/benchmark/io.yaml."""

    root: str = ""  # a LeRobot dataset with video; "" is droid_blocks below $M2IV_DATA, or a made one without it
    repeats: int = 15
    episodes: int = 3  # at most so many are written and read back
    codec: str = "source"
    crf: int = 18

    def __post_init__(self) -> None:
        if self.repeats < 1 or self.episodes < 1:
            raise ConfigError("benchmark.repeats and benchmark.episodes must be at least 1")


def run(config: IoConfig) -> dict:
    """Decode ratio, PSNR, label equality and size per frame, as plain JSON."""
    with tempfile.TemporaryDirectory() as folder:
        dataset = _dataset(config.root, Path(folder) / "made")
        return {
            "dataset": dataset.name,
            **decoding(dataset, config.repeats),
            **round_trip(dataset, config, Path(folder)),
        }


def decoding(dataset: Dataset, repeats: int) -> dict[str, float]:
    """Time to read every episode of the first camera, against decoding the same file with PyAV and nothing else.

    Both deliver RGB arrays; `decode_ratio_bare` compares with a decode that converts nothing. The best of alternating
    runs, which other programs disturb least; `decode_cpu_ratio` is the same in processor time. The file is in the
    page cache.
    """
    camera = dataset.cameras[0]
    path = dataset.rows[0].videos[camera].path
    rows = [row for row in dataset.rows if row.videos[camera].path == path]

    def ours() -> None:
        for row in rows:
            decode_slice(row.videos[camera], row.length, dataset.fps)

    timings = {"ours": [], "plain": [], "bare": []}
    calls = {"ours": ours, "plain": lambda: _plain(path, True), "bare": lambda: _plain(path, False)}
    for _ in range(repeats):
        for name, call in calls.items():
            timings[name].append(_seconds(call))
    frames = sum(row.length for row in rows)
    wall, cpu = ({name: float(np.min(values, axis=0)[part]) for name, values in timings.items()} for part in (0, 1))
    return {
        "decoded_frames": frames,
        "decode_ms_per_frame": round(1000 * wall["ours"] / frames, 4),
        "plain_ms_per_frame": round(1000 * wall["plain"] / frames, 4),
        "decode_ratio": round(wall["ours"] / wall["plain"], 3),
        "decode_cpu_ratio": round(cpu["ours"] / cpu["plain"], 3),
        "decode_ratio_bare": round(wall["ours"] / wall["bare"], 3),
    }


def round_trip(dataset: Dataset, config: IoConfig, folder: Path) -> dict:
    """Write real episodes, read them back, and compare."""
    count = min(config.episodes, dataset.episode_count)
    output = format_like(dataset)
    started = time.perf_counter()
    with EpisodeWriter(folder / "out", output, WriterConfig(codec=config.codec, crf=config.crf)) as writer:
        for index in range(count):
            writer.append(_record(dataset, index, output))
    seconds = time.perf_counter() - started
    result = open_dataset(DatasetConfig(root=str(folder / "out")))
    psnr = {
        camera: torch.cat(
            [frame_psnr_db(read_frames(result, i, camera), read_frames(dataset, i, camera)) for i in range(count)]
        )
        for camera in output.cameras
    }
    sizes = {
        camera: sum(path.stat().st_size for path in result.root.glob(f"videos/{camera}/**/*.mp4")) for camera in psnr
    }
    frames = sum(dataset.length(index) for index in range(count))
    return {
        "written_frames": frames * len(psnr),
        "write_ms_per_frame": round(1000 * seconds / (frames * len(psnr)), 2),
        "labels_bit_equal": all(_same_labels(dataset, result, index) for index in range(count)),
        "psnr_db_mean": round(float(torch.cat(list(psnr.values())).mean()), 2),
        "psnr_db_worst_frame": round(float(torch.cat(list(psnr.values())).min()), 2),
        **{f"psnr_db {camera}": round(float(values.mean()), 2) for camera, values in psnr.items()},
        **{f"bytes_per_frame {camera}": round(size / frames) for camera, size in sizes.items()},
    }


def frame_psnr_db(frames: UInt8[Tensor, "t 3 h w"], wanted: UInt8[Tensor, "t 3 h w"]) -> Float[Tensor, " t"]:
    """Peak signal-to-noise ratio of each frame over all pixels and colours; infinite where equal."""
    error = (frames.double() - wanted.double()).square().mean((1, 2, 3))
    return 10 * torch.log10(255**2 / error)


def _record(dataset: Dataset, index: int, output: OutputFormat) -> EpisodeRecord:
    labels = read_labels(dataset, index)
    values = dict(labels.extra)
    for key, tensor in ((dataset.state_key, labels.state), (dataset.action_key, labels.action)):
        if key is not None and tensor is not None:
            values[key] = tensor
    cameras = {camera: read_frames(dataset, index, camera) for camera in output.cameras}
    return EpisodeRecord(f"episode {index}", labels.task, cameras, values)


def _same_labels(first: Dataset, second: Dataset, index: int) -> bool:
    pairs = zip(_label_bytes(first, index), _label_bytes(second, index), strict=True)
    return all(one == other for one, other in pairs)


def _label_bytes(dataset: Dataset, index: int) -> list[bytes]:
    labels = read_labels(dataset, index)
    tensors = [labels.state, labels.action, *(labels.extra[key] for key in sorted(labels.extra))]
    return [b"" if tensor is None else tensor.numpy().tobytes() for tensor in tensors]


def _plain(path: Path, to_rgb: bool) -> None:
    with av.open(str(path)) as container:
        for frame in container.decode(container.streams.video[0]):
            if to_rgb:
                frame.to_ndarray(format="rgb24")


def _seconds(call: Callable[[], None]) -> tuple[float, float]:
    """Wall clock and processor time."""
    started = time.perf_counter(), time.process_time()
    call()
    return time.perf_counter() - started[0], time.process_time() - started[1]


def _dataset(root: str, made: Path) -> Dataset:
    """The dataset to measure on; without real data one of moving stripes is written."""
    real = Path(os.environ.get("M2IV_DATA", "../shared/data")) / "droid_blocks"
    if root or real.is_dir():
        return open_dataset(DatasetConfig(root=root or str(real)))
    camera = "observation.images.front"
    shape = {"dtype": "video", "shape": (240, 320, 3), "names": ["height", "width", "channels"]}
    output = OutputFormat(30, None, {camera: shape, "action": {"dtype": "float32", "shape": (6,), "names": None}})
    x, time_step = torch.arange(320.0), torch.arange(300.0)
    stripes = (127 + 100 * torch.sin((x + 2 * time_step[:, None]) / 9)).to(torch.uint8)
    frames = stripes[:, None, None, :].expand(-1, 3, 240, -1)
    with EpisodeWriter(made, output) as writer:
        for number in range(3):
            writer.append(EpisodeRecord(f"{number}", "", {camera: frames}, {"action": torch.rand(300, 6)}))
    return open_dataset(DatasetConfig(root=str(made)))
