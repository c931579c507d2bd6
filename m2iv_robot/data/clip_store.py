"""Clips that both stages are trained and measured on: some frames of one recording, its masks, its plate, on disk."""

from dataclasses import dataclass, fields
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Bool, Float, UInt8
from torch import Tensor

from m2iv_robot.errors import DatasetError


@dataclass(frozen=True)
class Clip:
    """Frames spread evenly over a recording by one fixed camera; masks of actor and object never overlap."""

    frames: UInt8[Tensor, "n 3 h w"]
    actor: Bool[Tensor, "n h w"]
    object: Bool[Tensor, "n h w"]
    plate: UInt8[Tensor, "3 h w"]
    plate_known: Bool[Tensor, "h w"]
    gripper_path_px: Float[Tensor, "n 2"]  # NaN where it is not known
    exemplar: UInt8[Tensor, "n 3 h w"]  # actor and object of a frame at least a quarter of the clip away, warped
    exemplar_known: Bool[Tensor, "n h w"]
    group: str  # what training and test must not share: a lab's collector, a simulated robot


def save_clip(path: Path, clip: Clip) -> None:
    """Write a clip, whole or not at all."""
    path.parent.mkdir(parents=True, exist_ok=True)
    arrays = {
        field.name: value.numpy() if isinstance(value := getattr(clip, field.name), Tensor) else value
        for field in fields(clip)
    }
    partial = path.with_suffix(".partial.npz")
    np.savez(partial, **arrays)
    partial.replace(path)


def load_clip(path: Path) -> Clip:
    """Read a clip.

    Raises:
        DatasetError: the file is not one.
    """
    try:
        with np.load(path) as arrays:
            values = {field.name: arrays[field.name] for field in fields(Clip)}
    except (OSError, KeyError, ValueError) as error:
        raise DatasetError(f"{path}: not a clip of a training store ({error}); build the store again") from error
    group = str(values.pop("group"))
    return Clip(**{name: torch.from_numpy(value) for name, value in values.items()}, group=group)


def group_of(path: Path) -> str:
    """The group of a clip, without reading its frames.

    Raises:
        DatasetError: the file is not a clip.
    """
    try:
        with np.load(path) as arrays:
            return str(arrays["group"])
    except (OSError, KeyError, ValueError) as error:
        raise DatasetError(f"{path}: not a clip of a training store ({error}); build the store again") from error
