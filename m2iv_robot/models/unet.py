"""The spatio-temporal U-Net of both stages: Stable Video Diffusion's architecture at any size.

`compact` sizes are trained from scratch; a pretrained Stable Video Diffusion checkpoint has the same class and slots in
through `widen_input`, which is what the paper does to DynamiCrafter (new input channels start at zero).
"""

from dataclasses import dataclass, field

import torch
from diffusers import UNetSpatioTemporalConditionModel
from jaxtyping import Float
from torch import Tensor, nn

from m2iv_robot.errors import ConfigError

GROUPS = 32  # of diffusers' group normalisation
TIME_IDS = 3  # what the class expects beside the timestep (fps, motion, noise augmentation); held constant


@dataclass(frozen=True)
class UNetConfig:
    """configs/unet/*.yaml: widths per level, top first; every level but the last halves height and width."""

    channels: list[int] = field(default_factory=lambda: [64, 96, 96])
    layers_per_level: int = 1
    attention_from_level: int = 2  # levels above have convolutions only; attention costs the square of their pixels
    head_channels: int = 32
    context_channels: int = 128  # of each context token (text, image)

    def __post_init__(self) -> None:
        """Refuse sizes that the blocks cannot be built at."""
        wrong = [width for width in self.channels if width % GROUPS or width % self.head_channels]
        if not self.channels or wrong:
            raise ConfigError(
                f"unet.channels must be multiples of {GROUPS} and of head_channels ({self.head_channels}), "
                f"got {self.channels}"
            )
        if self.layers_per_level < 1:
            raise ConfigError(f"unet.layers_per_level must be at least 1, got {self.layers_per_level}")


class VideoUNet(nn.Module):
    """A video denoiser: noisy clip and conditions concatenated in channels, time, context tokens -> velocity."""

    def __init__(self, unet: UNetSpatioTemporalConditionModel) -> None:
        super().__init__()
        self.unet = unet
        self.no_context = nn.Parameter(torch.zeros(1, 1, unet.config.cross_attention_dim))

    def forward(
        self,
        clip: Float[Tensor, "b t c h w"],
        time: Float[Tensor, " b"],
        context: Float[Tensor, "b n d"] | None = None,
    ) -> Float[Tensor, "b t out h w"]:
        """Predicted velocity; `time` in [0, 1]; `context` (text or image tokens) may be left out."""
        batch = clip.shape[0]
        tokens = self.no_context.expand(batch, 1, -1) if context is None else context
        time_ids = torch.zeros(batch, TIME_IDS, device=clip.device, dtype=clip.dtype)
        return self.unet(clip, 1000 * time, tokens.to(clip.dtype), time_ids, return_dict=False)[0]


def build_unet(config: UNetConfig, in_channels: int, out_channels: int) -> VideoUNet:
    """A randomly initialised `VideoUNet` for clips of `in_channels`, predicting `out_channels`."""
    levels = range(len(config.channels))
    attention = [level >= config.attention_from_level for level in levels]
    down = tuple("CrossAttnDownBlockSpatioTemporal" if here else "DownBlockSpatioTemporal" for here in attention)
    up = tuple("CrossAttnUpBlockSpatioTemporal" if here else "UpBlockSpatioTemporal" for here in reversed(attention))
    unet = UNetSpatioTemporalConditionModel(
        in_channels=in_channels,
        out_channels=out_channels,
        down_block_types=down,
        up_block_types=up,
        block_out_channels=tuple(config.channels),
        addition_time_embed_dim=32,
        projection_class_embeddings_input_dim=32 * TIME_IDS,
        layers_per_block=config.layers_per_level,
        cross_attention_dim=config.context_channels,
        num_attention_heads=tuple(width // config.head_channels for width in config.channels),
        num_frames=16,
    )
    nn.init.zeros_(unet.conv_out.weight)
    nn.init.zeros_(unet.conv_out.bias)
    return VideoUNet(unet)


def widen_input(model: VideoUNet, extra_channels: int) -> VideoUNet:
    """Give a network `extra_channels` more input channels, appended, whose kernels start at zero (in place).

    The widened network's output does not depend on them until it is trained. Source: Mask2IV, section
    "Trajectory-conditioned Video Generation".
    """
    old = model.unet.conv_in
    new = nn.Conv2d(old.in_channels + extra_channels, old.out_channels, old.kernel_size, padding=old.padding)
    new = new.to(old.weight.device, old.weight.dtype)
    with torch.no_grad():
        new.weight.zero_()
        new.weight[:, : old.in_channels] = old.weight
        new.bias.copy_(old.bias)
    model.unet.conv_in = new
    model.unet.register_to_config(in_channels=new.in_channels)
    return model
