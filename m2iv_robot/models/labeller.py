"""The network that reads state and action off a window of frames, with how sure it is (inverse dynamics)."""

from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional

from m2iv_robot.errors import ConfigError

LOG_VARIANCE_MIN, LOG_VARIANCE_MAX = -9.0, 3.0  # of standardised labels: from 1 % of a column's spread to 450 %


@dataclass(frozen=True)
class LabellerConfig:
    """configs/labeller/*.yaml: sizes of the network."""

    state_size: int = 6
    action_size: int = 6
    window: int = 5  # frames that are read together, odd
    stride: int = 2  # recorded frames between two of them
    height: int = 72  # that frames are shrunk to
    width: int = 96
    channels: int = 32  # places that the network looks for in each frame
    hidden: int = 128
    heads: int = 3  # that learn apart: where they differ, the network is outside of what it has seen

    def __post_init__(self) -> None:
        if self.window < 1 or self.window % 2 == 0 or self.stride < 1:
            raise ConfigError(
                f"labeller.window must be odd and labeller.stride positive, got {self.window}, {self.stride}"
            )
        if min(self.state_size, self.action_size, self.channels, self.hidden, self.heads) < 1:
            raise ConfigError("labeller: all sizes must be positive")


class Labeller(nn.Module):
    """Where things are in each frame (spatial soft-argmax), then labels of all frames of the window."""

    def __init__(self, config: LabellerConfig) -> None:
        super().__init__()
        self.config = config
        size = config.state_size + config.action_size
        self.encoder = nn.Sequential(
            nn.Conv2d(3, 16, 5, stride=2, padding=2), nn.GroupNorm(4, 16), nn.ReLU(),
            nn.Conv2d(16, 32, 3, stride=2, padding=1), nn.GroupNorm(4, 32), nn.ReLU(),
            nn.Conv2d(32, config.channels, 3, padding=1),
        )  # fmt: skip
        self.heads = nn.ModuleList(
            nn.Sequential(
                nn.Linear(2 * config.channels * config.window, config.hidden), nn.ReLU(),
                nn.Linear(config.hidden, 2 * size * config.window),
            )
            for _ in range(config.heads)
        )  # fmt: skip
        self.register_buffer("mean", torch.zeros(size))
        self.register_buffer("spread", torch.ones(size))

    def places(self, frames: Float[Tensor, "n 3 h w"]) -> Float[Tensor, "n two_channels"]:
        """Expected (x, y) of every channel's activation, in [-1, 1]."""
        maps = self.encoder(frames)  # n c i j
        shares = maps.flatten(2).softmax(-1).reshape(maps.shape)
        x = torch.linspace(-1, 1, maps.shape[3], device=maps.device)
        y = torch.linspace(-1, 1, maps.shape[2], device=maps.device)
        return torch.cat([(shares.sum(2) * x).sum(-1), (shares.sum(3) * y).sum(-1)], dim=1)

    def forward(self, frames: Float[Tensor, "b n 3 h w"]) -> tuple[Float[Tensor, "k b n d"], Float[Tensor, "k b n d"]]:
        """Standardised labels of every frame and their log variance, by every head."""
        batch, window = frames.shape[:2]
        places = self.places(frames.flatten(0, 1)).reshape(batch, -1)  # b (n 2c)
        out = torch.stack([head(places) for head in self.heads])  # k b (n 2d)
        mean, log_variance = out.reshape(len(self.heads), batch, window, -1).chunk(2, dim=-1)
        return mean, log_variance.clamp(LOG_VARIANCE_MIN, LOG_VARIANCE_MAX)

    def loss(self, batch: dict[str, Tensor], generator: torch.Generator) -> Float[Tensor, ""]:
        """Gaussian negative log-likelihood; every head weighs the samples differently, as if it had drawn its own set.

        The squared error is also learned by itself, so that a head that is unsure does not stop learning.
        """
        wanted = (batch["labels"] - self.mean) / self.spread  # b n d
        mean, log_variance = self(batch["frames"])
        weight = -torch.rand(mean.shape[:2], generator=generator, device=mean.device).clamp(min=1e-6).log()
        squared = (mean - wanted).square()
        surprise = 0.5 * (squared.detach() / log_variance.exp() + log_variance)
        return ((squared + surprise).mean((2, 3)) * weight).mean()

    @torch.inference_mode()
    def read(self, frames: Float[Tensor, "b n 3 h w"]) -> tuple[Float[Tensor, "b n d"], Float[Tensor, "b n d"]]:
        """Labels in their own units and their variance: what the heads expect by themselves and how far they differ."""
        mean, log_variance = self(frames)
        variance = log_variance.exp().mean(0) + mean.var(0, unbiased=False)
        return mean.mean(0) * self.spread + self.mean, variance * self.spread.square()


def shrink_frames(frames: Tensor, config: LabellerConfig) -> Float[Tensor, "t 3 h w"]:
    """Recorded frames (uint8 t 3 h w) as the network sees them, in [0, 1]."""
    size = (config.height, config.width)
    return functional.interpolate(frames.float() / 255, size, mode="bilinear", align_corners=False, antialias=True)
