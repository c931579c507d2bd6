"""State and action of new frames, with how sure they are, and whether to trust them."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Float, UInt8
from scipy.linalg import solveh_banded
from torch import Tensor

from m2iv_robot.errors import ConfigError, PlanError
from m2iv_robot.labelling.watching import Watched, look
from m2iv_robot.models.checkpoint import load_model
from m2iv_robot.models.labeller import Labeller, LabellerConfig, describe, step_numbers

LASTING_FRAMES = 50.0  # for which a label stays off by about the same: so many readings are worth one


@dataclass(frozen=True)
class LabelTrustConfig:
    """configs/label_trust/*.yaml: when learned labels are not written."""

    max_sigma_share: float = 0.25  # of a column's spread in the training episodes, median over an episode's frames
    max_unsure_columns: float = 0.2  # share of the columns that may be less sure than that
    max_inside_error: float = 0.15  # of the spread, typical column, measured on episodes between the training ones
    max_outside_error: float = 0.15  # the same beyond them; where it is larger, only recorded regions are labelled

    def __post_init__(self) -> None:
        if min(self.max_sigma_share, self.max_inside_error, self.max_outside_error) <= 0:
            raise ConfigError("label_trust: max_sigma_share, max_inside_error, max_outside_error must be positive")
        if not 0 <= self.max_unsure_columns < 1:
            raise ConfigError("label_trust: max_unsure_columns must be in [0, 1)")


@dataclass(frozen=True)
class LabelEstimate:
    """Labels of every frame, and one standard deviation of each, in the dataset's units."""

    state: Float[Tensor, "t s"]
    action: Float[Tensor, "t a"]
    state_sigma: Float[Tensor, "t s"]
    action_sigma: Float[Tensor, "t a"]


def load_labeller(weights: str | Path) -> Labeller:
    """A labeller that was fitted before."""
    return load_model(Path(weights), Labeller, LabellerConfig)


def estimate_labels(model: Labeller, frames: UInt8[Tensor, "t 3 h w"]) -> LabelEstimate:
    """State and action of every frame."""
    labels, sigma = read_seen(model, look(model.eyes, frames, model.config))
    size = model.config.state_size
    return LabelEstimate(labels[:, :size], labels[:, size:], sigma[:, :size], sigma[:, size:])


def read_seen(model: Labeller, seen: Tensor) -> tuple[Float[Tensor, "t d"], Float[Tensor, "t d"]]:
    """Labels and standard deviations of frames that were looked at."""
    labels, differ = together(model, describe(seen, model.parts), tuple(range(model.config.heads)))
    return labels, (model.sigma.square() + differ).sqrt()


def together(
    model: Labeller, places: Float[Tensor, "t n"], heads: tuple[int, ...]
) -> tuple[Float[Tensor, "t d"], Float[Tensor, "t d"]]:
    """Labels that agree best with what is read of every frame and of every step, and the variance between heads."""
    levels = model.level(places)[list(heads)]
    differ = levels.var(0, unbiased=False)
    if len(places) <= model.config.stride:
        return levels.mean(0), differ
    steps = model.step(step_numbers(places, model.config))[list(heads)].mean(0)
    return fuse(levels.mean(0), steps, model.level.sigma, model.step.sigma), differ


def fuse(
    levels: Float[Tensor, "t d"],
    steps: Float[Tensor, "s d"],
    level_sigma: Float[Tensor, " d"],
    step_sigma: Float[Tensor, " d"],
) -> Float[Tensor, "t d"]:
    """The path x that minimises sum (x_t - level_t)^2 / (n sigma_l^2) + sum (x_t+s - x_t - step_t)^2 / sigma_s^2.

    n is for how many frames the error of a level lasts.
    """
    length, stride = len(levels), len(levels) - len(steps)
    links = np.zeros(length)  # steps that begin or end at each frame
    links[: length - stride] += 1
    links[stride:] += 1
    columns = []
    for column in range(levels.shape[1]):
        near = 1 / (LASTING_FRAMES * float(level_sigma[column]) ** 2)
        far = 1 / float(step_sigma[column]) ** 2
        bands = np.zeros((stride + 1, length))
        bands[0] = near + far * links
        bands[stride, : length - stride] = -far
        wanted = near * levels[:, column].double().numpy()
        step = far * steps[:, column].double().numpy()
        wanted[stride:] += step
        wanted[: length - stride] -= step
        columns.append(solveh_banded(bands, wanted, lower=True))
    return torch.from_numpy(np.stack(columns, axis=1)).float()


def usual_error(model: Labeller, episodes: list[Watched]) -> float:
    """Median error as a share of the spread in the training episodes, averaged over the columns."""
    errors = [(read_seen(model, episode.seen)[0] - episode.labels).abs() for episode in episodes]
    return float((torch.cat(errors) / model.spread).median(0).values.mean())


def check_trusted(estimate: LabelEstimate, model: Labeller, config: LabelTrustConfig, where: str) -> None:
    """Refuse labels that the labeller itself is unsure of.

    Raises:
        PlanError: too many columns are too unsure; nothing should be written.
    """
    sigma = torch.cat([estimate.state_sigma, estimate.action_sigma], 1).median(0).values / model.spread
    unsure = float((sigma > config.max_sigma_share).float().mean())
    if unsure > config.max_unsure_columns:
        raise PlanError(
            f"{where}: learned labels are unsure in {100 * unsure:.0f} % of the columns, by up to "
            f"{float(sigma.max()):.2f} of a column's spread; the place is too far from the training episodes: "
            "record some there, give the robot's kinematics (robot.urdf), or write video without labels"
        )
