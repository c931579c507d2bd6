"""Learned labels: a small network trained on a dataset's own episodes reads state and action off video.

The fallback where no kinematics are known, and a second opinion on planned labels.
"""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Float, Int, UInt8
from torch import Tensor
from torch.utils.data import Dataset

from m2iv_robot.errors import ConfigError, DatasetError, PlanError
from m2iv_robot.models.checkpoint import load_model
from m2iv_robot.models.labeller import Labeller, LabellerConfig, shrink_frames
from m2iv_robot.types import Episode

LIGHT = 0.15  # by which brightness and each colour are varied in training
WINDOWS_AT_ONCE = 64


@dataclass(frozen=True)
class LabelTrustConfig:
    """configs/label_trust/*.yaml: when learned labels are not written."""

    max_sigma_share: float = 0.15  # of a column's spread in the training episodes, median over an episode's frames
    max_unsure_columns: float = 0.2  # share of the columns that may be less sure than that

    def __post_init__(self) -> None:
        if self.max_sigma_share <= 0 or not 0 <= self.max_unsure_columns < 1:
            raise ConfigError("label_trust: max_sigma_share must be positive, max_unsure_columns in [0, 1)")


@dataclass(frozen=True)
class LabelEstimate:
    """Labels of every frame, and one standard deviation of each, in the dataset's units."""

    state: Float[Tensor, "t s"]
    action: Float[Tensor, "t a"]
    state_sigma: Float[Tensor, "t s"]
    action_sigma: Float[Tensor, "t a"]


class WindowSamples(Dataset):
    """Windows of labelled episodes in varied light; sample `index` is always the same."""

    def __init__(self, episodes: list[Episode], config: LabellerConfig, seed: int) -> None:
        """Shrinks all frames at once: a hundred episodes of a hundred frames are 200 MB."""
        check_labelled(episodes, config)
        self.config, self.seed = config, seed
        self.frames = [(255 * shrink_frames(episode.frames, config)).round().to(torch.uint8) for episode in episodes]
        self.labels = [torch.cat([episode.state, episode.action], 1).float() for episode in episodes]

    def __len__(self) -> int:
        return sum(len(frames) for frames in self.frames)

    def __getitem__(self, index: int) -> dict[str, Tensor]:
        generator = np.random.default_rng([self.seed, index])
        lengths = np.array([len(frames) for frames in self.frames])
        chosen = int(generator.choice(len(lengths), p=lengths / lengths.sum()))
        middle = int(generator.integers(lengths[chosen]))
        rows = window_rows(torch.tensor([middle]), int(lengths[chosen]), self.config)[0]
        gain = torch.from_numpy(1 + LIGHT * generator.uniform(-1, 1, (1, 3, 1, 1))).float()
        gain = gain * float(1 + LIGHT * generator.uniform(-1, 1))
        frames = (self.frames[chosen][rows].float() / 255 * gain).clamp(0, 1)
        return {"frames": frames, "labels": self.labels[chosen][rows]}


def check_labelled(episodes: list[Episode], config: LabellerConfig) -> None:
    """Make sure that there is something to learn from.

    Raises:
        DatasetError: no episodes, or one without labels of the network's size.
    """
    if not episodes:
        raise DatasetError("labeller: no episodes to learn from")
    for episode in episodes:
        sizes = tuple(0 if labels is None else labels.shape[1] for labels in (episode.state, episode.action))
        if sizes != (config.state_size, config.action_size):
            raise DatasetError(
                f"{episode.dataset} episode {episode.index}: state and action have {sizes} columns, the labeller "
                f"{(config.state_size, config.action_size)}; give episodes of one robot, with both"
            )


def collate_windows(samples: list[dict[str, Tensor]]) -> dict[str, Tensor]:
    """Samples as one batch."""
    return {name: torch.stack([sample[name] for sample in samples]) for name in samples[0]}


def new_labeller(episodes: list[Episode], config: LabellerConfig, seed: int = 0) -> Labeller:
    """An untrained network that knows the mean and spread of every column."""
    check_labelled(episodes, config)
    torch.manual_seed(seed)
    model = Labeller(config)
    labels = torch.cat([torch.cat([episode.state, episode.action], 1).double() for episode in episodes])
    model.mean.copy_(labels.mean(0))
    spread = labels.std(0)
    model.spread.copy_(spread.clamp(min=max(1e-6, 1e-3 * float(spread.max()))))
    return model


def load_labeller(weights: str | Path) -> Labeller:
    """The network that `training.train` left."""
    return load_model(Path(weights), Labeller, LabellerConfig)


def window_rows(middles: Int[Tensor, " b"], length: int, config: LabellerConfig) -> Int[Tensor, "b n"]:
    """Frames of the windows around `middles`; beyond the episode its ends are repeated."""
    half = config.window // 2
    offsets = config.stride * torch.arange(-half, half + 1)
    return (middles[:, None] + offsets).clamp(0, length - 1)


def estimate_labels(model: Labeller, frames: UInt8[Tensor, "t 3 h w"]) -> LabelEstimate:
    """State and action of every frame: every window around every frame is read, and what they say of a frame fused."""
    config, device = model.config, next(model.parameters()).device
    small = shrink_frames(frames, config)
    rows = window_rows(torch.arange(len(small)), len(small), config)
    read = [model.read(small[part].to(device)) for part in rows.split(WINDOWS_AT_ONCE)]
    means, variances = (torch.cat(part).cpu() for part in zip(*read, strict=True))
    labels, variance = fuse(means, variances, rows, len(small))
    sigma, size = variance.sqrt(), config.state_size
    return LabelEstimate(labels[:, :size], labels[:, size:], sigma[:, :size], sigma[:, size:])


def fuse(
    means: Float[Tensor, "b n d"], variances: Float[Tensor, "b n d"], rows: Int[Tensor, "b n"], length: int
) -> tuple[Float[Tensor, "t d"], Float[Tensor, "t d"]]:
    """Mean and variance of every frame from all windows that hold it, each weighing by its precision.

    Windows share frames and so their errors: the fused variance is the windows' harmonic mean, not that over their
    number.
    """
    size = means.shape[-1]
    precision, weighted, count = (torch.zeros(length, size, dtype=torch.float64) for _ in range(3))
    index, weights = rows.flatten(), (1 / variances).flatten(0, 1).double()
    precision.index_add_(0, index, weights)
    weighted.index_add_(0, index, weights * means.flatten(0, 1).double())
    count.index_add_(0, index, torch.ones_like(weights))
    return (weighted / precision).float(), (count / precision).float()


def check_trusted(estimate: LabelEstimate, model: Labeller, config: LabelTrustConfig, where: str) -> None:
    """Refuse labels that the network itself is unsure of.

    Raises:
        PlanError: too many columns are too unsure; nothing should be written.
    """
    sigma = torch.cat([estimate.state_sigma, estimate.action_sigma], 1).median(0).values / model.spread.cpu()
    unsure = float((sigma > config.max_sigma_share).float().mean())
    if unsure > config.max_unsure_columns:
        raise PlanError(
            f"{where}: learned labels are unsure in {100 * unsure:.0f} % of the columns, by up to "
            f"{float(sigma.max()):.2f} of a column's spread; the place is too far from the training episodes: "
            "record some there, give the robot's kinematics (robot.urdf), or write video without labels"
        )
