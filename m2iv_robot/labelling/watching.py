"""Episodes as the labeller's eyes see them."""

from dataclasses import dataclass

import torch
from jaxtyping import Float, Float16, UInt8
from torch import Tensor

from m2iv_robot.models.labeller import LabellerConfig, see, shrink_frames
from m2iv_robot.models.segmenter import Segmenter
from m2iv_robot.types import Episode

FRAMES_AT_ONCE = 8


@dataclass(frozen=True)
class Watched:
    """A labelled episode that was looked at."""

    seen: Float16[Tensor, "t c i j"]  # 0.1 MB for each frame
    labels: Float[Tensor, "t d"]


def watch(eyes: Segmenter, episode: Episode, config: LabellerConfig) -> Watched:
    """Look at an episode."""
    return Watched(look(eyes, episode.frames, config), labels_of(episode))


def look(eyes: Segmenter, frames: UInt8[Tensor, "t 3 h w"], config: LabellerConfig) -> Float16[Tensor, "t c i j"]:
    """What the eyes see in recorded frames."""
    device = next(eyes.parameters()).device
    parts = (shrink_frames(part, config).to(device) for part in frames.split(FRAMES_AT_ONCE))
    return torch.cat([see(eyes, part).half().cpu() for part in parts])


def labels_of(episode: Episode) -> Float[Tensor, "t d"]:
    """State and action side by side; a part that the dataset does not have has no columns."""
    parts = [labels.float() for labels in (episode.state, episode.action) if labels is not None]
    return torch.cat(parts, 1) if parts else torch.zeros(episode.length, 0)
