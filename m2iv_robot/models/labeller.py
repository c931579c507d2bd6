"""What reads state and action off video (inverse dynamics): the trained segmenter's eyes, and a small readout.

The eyes know robots and stay as they are. In what they see of a dataset's episodes, things that look alike and move are
its parts; where each part is in each frame is what labels are read from, by linear maps fitted in closed form. Heads
learn from different episodes: where they differ, the labeller is outside of what it has seen.
"""

from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional

from m2iv_robot.errors import ConfigError
from m2iv_robot.models.segmenter import STRIDE, Segmenter, SegmenterConfig, SegmenterInput

ABOUT_A_PART = 3  # numbers: x, y, how much anything looks like it
SHARPNESS = 10.0  # of the softmax over places, per unit of cosine likeness
LIVELINESS = 0.5  # exponent with which change from the video's median counts
LEAST_LIVELY = 0.3
MEDIAN_FRAMES = 24
FRAMES_AT_ONCE = 64


@dataclass(frozen=True)
class LabellerConfig:
    """configs/labeller/*.yaml: sizes of the readout."""

    state_size: int = 6  # follows from the dataset, as the next two
    action_size: int = 6
    stride: int = 2  # frames of a step
    step_s: float = 0.25  # from frame to frame between which the change of labels is read
    reach: int = 3  # steps before and after that are looked at for it
    pixels: int = 49152  # width times height that frames are brought to; 256x192
    parts: int = 64  # that are looked for in each frame
    heads: int = 4

    def __post_init__(self) -> None:
        if min(self.stride, self.parts, self.heads) < 1 or self.step_s <= 0 or self.reach < 0:
            raise ConfigError("labeller: stride, parts, heads must be at least 1, step_s positive, reach not negative")
        if self.pixels < STRIDE * STRIDE:
            raise ConfigError(f"labeller.pixels must be at least {STRIDE * STRIDE}, got {self.pixels}")
        if min(self.state_size, self.action_size) < 0 or not self.state_size + self.action_size:
            raise ConfigError("labeller: state_size and action_size must not be negative, nor both 0")


class Readout(nn.Module):
    """Linear maps from numbers to labels, one per head; all zero until they are fitted."""

    def __init__(self, heads: int, given: int, labels: int) -> None:
        super().__init__()
        self.register_buffer("middle", torch.zeros(given))
        self.register_buffer("scale", torch.ones(given))
        self.register_buffer("weight", torch.zeros(heads, given, labels))
        self.register_buffer("bias", torch.zeros(heads, labels))
        self.register_buffer("sigma", torch.ones(labels))  # usual error on episodes that a head did not learn from

    def forward(self, given: Float[Tensor, "t n"]) -> Float[Tensor, "k t d"]:
        """What every head reads."""
        return torch.einsum("tn,knd->ktd", (given - self.middle) / self.scale, self.weight) + self.bias[:, None]


class Labeller(nn.Module):
    """Labels of every frame, and their change over every step."""

    def __init__(self, config: LabellerConfig, eyes: Segmenter | None = None) -> None:
        """Without `eyes` they are filled in from a weights file."""
        super().__init__()
        self.config = config
        size = config.state_size + config.action_size
        self.eyes = (eyes or Segmenter(SegmenterConfig())).requires_grad_(False)
        numbers = ABOUT_A_PART * config.parts
        self.register_buffer("parts", torch.zeros(config.parts, self.eyes.config.decoder_channels))
        self.level = Readout(config.heads, numbers, size)
        self.step = Readout(config.heads, numbers * (config.reach + 2), size)
        self.register_buffer("spread", torch.ones(size))  # of the labels that it learned from
        self.register_buffer("sigma", torch.ones(size))  # usual error of the two together


@torch.inference_mode()
def see(eyes: Segmenter, frames: Float[Tensor, "n 3 h w"]) -> Float[Tensor, "n c i j"]:
    """What the segmenter sees without knowing the empty scene: stride 8, each map with mean 0 and spread 1."""
    nothing = torch.zeros_like(frames[:, :1])
    scene, _ = eyes.features(SegmenterInput(frames, torch.zeros_like(frames), nothing, nothing, nothing))  # n c 2i 2j
    return functional.instance_norm(functional.avg_pool2d(scene, 2))


def lively(seen: Tensor) -> Float[Tensor, "t i j"]:
    """How much each place of each frame differs from the video's median: what moves, and what it hides."""
    every = max(1, len(seen) // MEDIAN_FRAMES)
    usual = seen[::every].float().median(0).values
    return torch.cat([(part.float() - usual).norm(dim=1) for part in seen.split(FRAMES_AT_ONCE)])


def describe(seen: Tensor, parts: Float[Tensor, "p c"]) -> Float[Tensor, "t n"]:
    """Where each part is in each frame of a video (x and y in [-1, 1]), and how much anything there looks like it."""
    rows = []
    for part, change in zip(seen.split(FRAMES_AT_ONCE), lively(seen).split(FRAMES_AT_ONCE), strict=True):
        likeness = torch.einsum("tcij,pc->tpij", functional.normalize(part.float(), dim=1), parts)
        likeness = likeness + LIVELINESS / SHARPNESS * change.clamp(min=LEAST_LIVELY).log()[:, None]
        shares = (SHARPNESS * likeness).flatten(2).softmax(-1).reshape(likeness.shape)
        x = torch.linspace(-1, 1, shares.shape[3], device=shares.device)
        y = torch.linspace(-1, 1, shares.shape[2], device=shares.device)
        rows.append(
            torch.cat([(shares.sum(2) * x).sum(-1), (shares.sum(3) * y).sum(-1), likeness.flatten(2).amax(-1)], 1)
        )
    return torch.cat(rows)


def step_numbers(places: Float[Tensor, "t n"], config: LabellerConfig) -> Float[Tensor, "s m"]:
    """For each step (from frame t to t + stride): how parts move in it and around it, and where they are."""
    last, stride = len(places) - 1, config.stride
    first = torch.arange(len(places) - stride)
    moved = []
    for reach in range(config.reach + 1):
        after, before = (first + (reach + 1) * stride).clamp(max=last), (first - reach * stride).clamp(min=0)
        moved.append((places[after] - places[before]) / (2 * reach + 1))
    return torch.cat([*moved, (places[first] + places[first + stride]) / 2], 1)


def shrink_frames(frames: Tensor, config: LabellerConfig) -> Float[Tensor, "t 3 h w"]:
    """Recorded frames (uint8 t 3 h w) as the eyes see them, in [0, 1]; sides are multiples of their stride."""
    height, width = frames.shape[-2:]
    scale = (config.pixels / (height * width)) ** 0.5 / STRIDE
    size = [STRIDE * max(1, round(side * scale)) for side in (height, width)]
    return functional.interpolate(frames.float() / 255, size, mode="bilinear", align_corners=False, antialias=True)
