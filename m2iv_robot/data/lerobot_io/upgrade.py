"""Version 2.0 to 2.1: the statistics of each episode, the one thing that 2.1 adds and LeRobot's converter needs."""

import io
import json
from pathlib import Path

import av
import numpy as np
import pyarrow.parquet as pq
from jaxtyping import UInt8
from PIL import Image

STATISTICS_FILE = Path("meta") / "episodes_stats.jsonl"


def upgrade_to_2_1(root: Path) -> None:
    """Give the v2.0 dataset in `root` its meta/episodes_stats.jsonl, in LeRobot's own numbers, and its new version.

    Errors of damaged files come through as they are.
    """
    path = root / "meta" / "info.json"
    info = json.loads(path.read_text())
    lines = (root / "meta" / "episodes.jsonl").read_text().splitlines()
    indices = sorted(json.loads(line)["episode_index"] for line in lines if line.strip())
    records = [{"episode_index": index, "stats": _statistics(root, info, index)} for index in indices]
    (root / STATISTICS_FILE).write_text("".join(json.dumps(record) + "\n" for record in records))
    path.write_text(json.dumps(info | {"codebase_version": "v2.1"}, indent=4))


def _statistics(root: Path, info: dict, index: int) -> dict:
    from lerobot.datasets.compute_stats import get_feature_stats, sample_indices

    place = {"episode_chunk": index // info.get("chunks_size", 1000), "episode_index": index}
    table = pq.read_table(root / info["data_path"].format(**place), partitioning=None)
    chosen = set(sample_indices(table.num_rows))
    result = {}
    for key, feature in info["features"].items():
        if feature["dtype"] == "video":
            frames = _video_frames(root / info["video_path"].format(video_key=key, **place), chosen)
        elif feature["dtype"] == "image":
            cells = table.column(key).to_pylist()
            frames = np.stack([_pixels(cells[row], root) for row in sorted(chosen)])
        elif feature["dtype"] in ("string", "language"):
            continue
        else:
            values = np.array(table.column(key).to_pylist())
            result[key] = get_feature_stats(values, axis=0, keepdims=values.ndim == 1)
            continue
        statistics = get_feature_stats(frames.transpose(0, 3, 1, 2), axis=(0, 2, 3), keepdims=True)
        result[key] = {
            name: value if name == "count" else np.squeeze(value / 255.0, axis=0) for name, value in statistics.items()
        }
    return {key: {name: np.asarray(value).tolist() for name, value in stats.items()} for key, stats in result.items()}


def _video_frames(path: Path, chosen: set[int]) -> UInt8[np.ndarray, "n h w 3"]:
    with av.open(str(path)) as container:
        frames = enumerate(container.decode(container.streams.video[0]))
        return np.stack([_thin(frame.to_ndarray(format="rgb24")) for number, frame in frames if number in chosen])


def _pixels(cell: dict, root: Path) -> UInt8[np.ndarray, "h w 3"]:
    with Image.open(io.BytesIO(cell["bytes"]) if cell.get("bytes") else root / cell["path"]) as image:
        return _thin(np.asarray(image.convert("RGB")))


def _thin(pixels: UInt8[np.ndarray, "h w 3"]) -> UInt8[np.ndarray, "small_h small_w 3"]:
    from lerobot.datasets.compute_stats import auto_downsample_height_width

    return np.asarray(auto_downsample_height_width(pixels.transpose(2, 0, 1))).transpose(1, 2, 0)
