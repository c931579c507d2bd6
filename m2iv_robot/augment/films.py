"""Small videos for a person to look at: the source, the new episode and its masks side by side, as mp4 files."""

import base64
import hashlib
from collections.abc import Sequence
from pathlib import Path

import torch
from jaxtyping import UInt8
from torch import Tensor
from torch.nn.functional import interpolate

from m2iv_robot.data.lerobot_io import VideoSlice, decode_slice
from m2iv_robot.errors import WriteError
from m2iv_robot.report import overlay
from m2iv_robot.report.pictures import video_uri
from m2iv_robot.types import Candidate

GAP_PX = 4


def film_path(folder: Path, key: str) -> Path:
    """Where the film of an episode is; `key` is its `episode_key`."""
    return folder / "videos" / f"{hashlib.sha256(key.encode()).hexdigest()[:12]}.mp4"


def side_by_side(
    source: UInt8[Tensor, "t 3 h w"], candidate: Candidate, others: dict[str, UInt8[Tensor, "t 3 _ _"]]
) -> UInt8[Tensor, "t 3 h2 w2"]:
    """The source at the same moments, the new episode, and its masks drawn over it.

    Below, at the same size, what each other camera saw in the source at these moments (`others`), and what is written.
    """
    frames = candidate.episode.frames
    gap = torch.full((*frames.shape[:3], GAP_PX), 255, dtype=torch.uint8)
    rows = [torch.cat([source, gap, frames, gap, overlay(frames, candidate.masks)], dim=-1)]
    for camera, new in candidate.other_cameras.items():
        before, after = (_sized(part, frames.shape[-2:]) for part in (others[camera], new))
        rows.append(torch.full((len(frames), 3, GAP_PX, rows[0].shape[-1]), 255, dtype=torch.uint8))
        rows.append(torch.cat([before, gap, after, gap, torch.full_like(frames, 255)], dim=-1))
    return torch.cat(rows, dim=-2)


def _sized(frames: UInt8[Tensor, "t 3 _ _"], size: Sequence[int]) -> UInt8[Tensor, "t 3 h w"]:
    """Frames inside a picture of that height and width, white around them."""
    scale = min(size[0] / frames.shape[-2], size[1] / frames.shape[-1])
    inner = (round(frames.shape[-2] * scale), round(frames.shape[-1] * scale))
    small = interpolate(frames.float(), inner, mode="bilinear", align_corners=False).round().to(torch.uint8)
    top, left = (size[0] - inner[0]) // 2, (size[1] - inner[1]) // 2
    shown = torch.full((len(frames), 3, *size), 255, dtype=torch.uint8)
    shown[..., top : top + inner[0], left : left + inner[1]] = small
    return shown


def save_film(path: Path, frames: UInt8[Tensor, "t 3 h w"], fps: float) -> Path:
    """Write frames as H.264 in mp4, which every browser plays.

    Raises:
        WriteError: it cannot be written there.
    """
    encoded = video_uri(frames, fps).partition(",")[2]
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(base64.b64decode(encoded))
    except OSError as error:
        raise WriteError(f"{path}: the video cannot be written ({error.strerror}); give a writable folder") from error
    return path


def load_film(path: Path, length: int, fps: float) -> UInt8[Tensor, "t 3 h w"]:
    """The frames of a film that `save_film` wrote.

    Raises:
        DatasetError: it is missing or damaged.
    """
    pixels = decode_slice(VideoSlice(path, 0.0, length / fps), length, fps)
    return torch.from_numpy(pixels).permute(0, 3, 1, 2)
