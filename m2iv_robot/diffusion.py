"""Noise, targets, weighted loss and sampling: pure functions of tensors, shared by both stages.

Clean data live in [-1, 1]. Time `t` is in [0, 1]: 0 is clean, 1 is pure noise (zero terminal signal-to-noise ratio by
construction: Through-The-Mask calls that "critically important" for the image-to-mask stage).
"""

import itertools
from collections.abc import Callable
from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from m2iv_robot.errors import ConfigError


@dataclass(frozen=True)
class DiffusionConfig:
    """configs/diffusion/*.yaml: how time is drawn in training and walked in sampling."""

    steps: int = 6  # network evaluations per sample
    shift: float = 1.0  # > 1 spends more training and sampling time near pure noise
    logit_scale: float = 1.0  # spread of the logit-normal time distribution; 0 draws time uniformly

    def __post_init__(self) -> None:
        """Refuse what no sampler can use."""
        if self.steps < 1:
            raise ConfigError(f"diffusion.steps must be at least 1, got {self.steps}")
        if self.shift <= 0:
            raise ConfigError(f"diffusion.shift must be positive, got {self.shift}")
        if self.logit_scale < 0:
            raise ConfigError(f"diffusion.logit_scale must not be negative, got {self.logit_scale}")


def shift_time(time: Float[Tensor, " *b"], shift: float) -> Float[Tensor, " *b"]:
    """Move times in [0, 1] towards noise: shift * t / (1 + (shift - 1) * t).

    Source: Esser et al. 2024, "Scaling Rectified Flow Transformers", equation 23.
    """
    return shift * time / (1 + (shift - 1) * time)


def draw_time(count: int, config: DiffusionConfig, generator: torch.Generator) -> Float[Tensor, " b"]:
    """Training times in [0, 1], logit-normal (uniform for logit_scale 0), then shifted.

    Source: Esser et al. 2024, section 3.1.
    """
    if config.logit_scale == 0:
        time = torch.rand(count, generator=generator, device=generator.device)
    else:
        normal = torch.randn(count, generator=generator, device=generator.device)
        time = torch.sigmoid(config.logit_scale * normal)
    return shift_time(time, config.shift)


def add_noise(
    clean: Float[Tensor, " b *rest"], noise: Float[Tensor, " b *rest"], time: Float[Tensor, " b"]
) -> Float[Tensor, " b *rest"]:
    """The straight path from data to noise: (1 - t) * clean + t * noise.

    Source: Liu et al. 2023, "Flow Straight and Fast", equation 1 (time reversed).
    """
    t = time.reshape(-1, *([1] * (clean.ndim - 1)))
    return (1 - t) * clean + t * noise


def velocity_target(clean: Float[Tensor, " b *rest"], noise: Float[Tensor, " b *rest"]) -> Float[Tensor, " b *rest"]:
    """What the network predicts: the path's derivative, noise - clean."""
    return noise - clean


def weighted_loss(
    predicted: Float[Tensor, "*shape"], target: Float[Tensor, "*shape"], weight: Float[Tensor, "*broadcast"]
) -> Float[Tensor, ""]:
    """Squared error under a spatial weight, normalised so that a constant weight changes nothing.

    Source: Mask2IV, equation 3; the weight of equation 2 comes from `masks.contact_weight`.
    """
    weight = weight.expand_as(target)
    return (weight * (predicted.float() - target.float()).square()).sum() / weight.sum()


def sampling_times(config: DiffusionConfig, device: torch.device | str = "cpu") -> Float[Tensor, " steps_and_one"]:
    """Times from exactly 1 (pure noise) down to exactly 0, `config.steps` intervals."""
    return shift_time(torch.linspace(1, 0, config.steps + 1, device=device), config.shift)


@torch.no_grad()
def sample(
    predict: Callable[[Float[Tensor, " b *rest"], Float[Tensor, " b"]], Float[Tensor, " b *rest"]],
    noise: Float[Tensor, " b *rest"],
    config: DiffusionConfig,
) -> Float[Tensor, " b *rest"]:
    """Integrate the predicted velocity from noise to data with Euler's method; returns data in [-1, 1], clamped.

    `predict(noisy, time)` is the network with its conditions bound.
    """
    times = sampling_times(config, noise.device)
    current = noise
    for here, there in itertools.pairwise(times):
        velocity = predict(current, here.expand(noise.shape[0]))
        current = current + (there - here) * velocity
    return current.clamp(-1, 1)
