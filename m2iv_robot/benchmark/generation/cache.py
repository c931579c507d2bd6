"""Finished clips on disk, so that a run that was stopped continues where it was."""

import hashlib
import json
from dataclasses import dataclass, field
from pathlib import Path
from zipfile import BadZipFile

import cv2
import numpy as np
import torch
from jaxtyping import Float, UInt8
from torch import Tensor

SCORES_VERSION = 1  # to be raised whenever a score means something else
STRIP_FRAMES = 6
JPEG_QUALITY = 93


@dataclass(frozen=True)
class Result:
    """All that is kept of one row's clip; a score that does not apply is absent or NaN, an infinite one is infinite."""

    scores: dict[str, float]
    features: Float[Tensor, " d"] | None  # I3D's; None where FVD leaves the clip out
    strip: UInt8[Tensor, "3 h w6"]  # some of its frames, side by side
    seconds: float = field(default=0.0)  # that making the frames took


def result_path(folder: Path, row: str, clip: str, key: tuple[str, ...]) -> Path:
    """Where a result is kept; `key` is everything else that it depends on."""
    digest = hashlib.sha256("\n".join((str(SCORES_VERSION), *key)).encode()).hexdigest()[:12]
    return folder / "clips" / row / f"{clip}_{digest}.npz"


def save_result(path: Path, result: Result) -> None:
    """Write a result, whole or not at all."""
    path.parent.mkdir(parents=True, exist_ok=True)
    picture = cv2.cvtColor(result.strip.permute(1, 2, 0).contiguous().numpy(), cv2.COLOR_RGB2BGR)
    _, encoded = cv2.imencode(".jpg", picture, [cv2.IMWRITE_JPEG_QUALITY, JPEG_QUALITY])
    features = np.zeros(0, np.float32) if result.features is None else result.features.cpu().numpy()
    partial = path.with_suffix(".partial.npz")
    np.savez(
        partial, scores=json.dumps(result.scores), features=features, strip=encoded.reshape(-1), seconds=result.seconds
    )
    partial.replace(path)


def load_result(path: Path) -> Result | None:
    """A kept result; None where there is none, or none that can be read."""
    try:
        with np.load(path) as stored:
            features, picture = torch.from_numpy(stored["features"]), cv2.imdecode(stored["strip"], cv2.IMREAD_COLOR)
            scores, seconds = json.loads(str(stored["scores"])), float(stored["seconds"])
    except (OSError, KeyError, ValueError, BadZipFile):
        return None
    strip = torch.from_numpy(cv2.cvtColor(picture, cv2.COLOR_BGR2RGB)).permute(2, 0, 1).contiguous()
    return Result(scores, features if len(features) else None, strip, seconds)


def strip_of(frames: UInt8[Tensor, "t 3 h w"]) -> UInt8[Tensor, "3 h w6"]:
    """Some frames side by side, the first and the last among them."""
    chosen = torch.linspace(0, len(frames) - 1, STRIP_FRAMES).round().long()
    return torch.cat(list(frames[chosen]), dim=2).contiguous()
