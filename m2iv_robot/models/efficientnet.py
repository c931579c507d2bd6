"""EfficientNet-Lite features at any size, with batch normalisation folded into the convolutions.

Folding makes a pretrained network's normalisation constant: it trains with batches of any size and answers the same
alone or in company. Source: Tan & Le 2019, "EfficientNet", and the Lite variants (ReLU6, no squeeze-and-excitation).
"""

from dataclasses import dataclass, field

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional

from m2iv_robot.errors import CheckpointError, ConfigError

KERNELS = (3, 3, 5, 3, 5, 5, 3)
STRIDES = (1, 2, 2, 2, 1, 2, 1)
EXPANSIONS = (1, 6, 6, 6, 6, 6, 6)
OUTPUT_STAGES = (0, 1, 2, 4, 6)  # the last stage at each of the strides 2, 4, 8, 16, 32
BATCH_NORM_EPSILON = 1e-3


@dataclass(frozen=True)
class EncoderConfig:
    """Widths and depths of the stem and the seven stages; the defaults are EfficientNet-Lite0's."""

    stem_channels: int = 32
    channels: list[int] = field(default_factory=lambda: [16, 24, 40, 80, 112, 192, 320])
    depths: list[int] = field(default_factory=lambda: [1, 2, 2, 3, 3, 4, 1])
    frozen_stages: int = 2  # with the stem: run without gradients; at least the one before the first cue

    def __post_init__(self) -> None:
        if len(self.channels) != len(KERNELS) or len(self.depths) != len(KERNELS):
            raise ConfigError(f"encoder: channels and depths need {len(KERNELS)} numbers each")

    @property
    def output_channels(self) -> tuple[int, ...]:
        """Channels at strides 2, 4, 8, 16 and 32."""
        return tuple(self.channels[stage] for stage in OUTPUT_STAGES)


class InvertedBottleneck(nn.Module):
    """Expand, filter each channel, project; added to the input where shapes allow."""

    def __init__(self, channels_in: int, channels_out: int, stage: int, stride: int) -> None:
        super().__init__()
        middle = channels_in * EXPANSIONS[stage]
        kernel = KERNELS[stage]
        self.expand = nn.Conv2d(channels_in, middle, 1) if middle != channels_in else nn.Identity()
        self.filter = nn.Conv2d(middle, middle, kernel, stride, kernel // 2, groups=middle)
        self.project = nn.Conv2d(middle, channels_out, 1)
        self.residual = stride == 1 and channels_in == channels_out

    def forward(self, features: Float[Tensor, "b c h w"]) -> Float[Tensor, "b d i j"]:
        """One block."""
        hidden = features if isinstance(self.expand, nn.Identity) else functional.relu6(self.expand(features))
        hidden = self.project(functional.relu6(self.filter(hidden)))
        return features + hidden if self.residual else hidden


class Encoder(nn.Module):
    """RGB to features at strides 2, 4, 8, 16 and 32; `cues` are added to those from stride 4 on."""

    def __init__(self, config: EncoderConfig) -> None:
        super().__init__()
        self.frozen_stages = config.frozen_stages
        self.stem = nn.Conv2d(3, config.stem_channels, 3, 2, 1)
        self.stages = nn.ModuleList()
        channels = config.stem_channels
        for stage, (width, depth) in enumerate(zip(config.channels, config.depths, strict=True)):
            blocks = []
            for index in range(depth):
                blocks.append(InvertedBottleneck(channels, width, stage, STRIDES[stage] if index == 0 else 1))
                channels = width
            self.stages.append(nn.Sequential(*blocks))
        for part in [self.stem, *self.stages[: config.frozen_stages]] if config.frozen_stages else []:
            part.requires_grad_(False)

    def forward(
        self, image: Float[Tensor, "b 3 h w"], cues: list[Float[Tensor, "b _ _ _"]]
    ) -> list[Float[Tensor, "b _ _ _"]]:
        """Features of an RGB image in [0, 1]; `cues[i]` joins the features at stride 4 * 2 ** i."""
        frozen = self.frozen_stages
        with torch.set_grad_enabled(torch.is_grad_enabled() and frozen == 0):
            hidden = functional.relu6(self.stem((image - 127 / 255) * (255 / 128)))  # b c h/2 w/2
        outputs: list[Tensor] = []
        for stage, blocks in enumerate(self.stages):
            with torch.set_grad_enabled(torch.is_grad_enabled() and stage >= frozen):
                hidden = blocks(hidden)
            if stage in OUTPUT_STAGES:
                if 1 <= len(outputs) <= len(cues):
                    hidden = hidden + cues[len(outputs) - 1]
                outputs.append(hidden)
        return outputs


def fold(
    weight: Float[Tensor, "o i k l"], state: dict[str, Tensor], norm: str
) -> tuple[Float[Tensor, "o i k l"], Float[Tensor, " o"]]:
    """A convolution's weight and bias with the batch normalisation `norm` behind it folded in."""
    scale = state[f"{norm}.weight"] / torch.sqrt(state[f"{norm}.running_var"] + BATCH_NORM_EPSILON)
    bias = state[f"{norm}.bias"] - state[f"{norm}.running_mean"] * scale
    return weight * scale[:, None, None, None], bias


def load_imagenet(encoder: Encoder, state: dict[str, Tensor]) -> None:
    """Copy the weights of the published EfficientNet-Lite0 checkpoint (layout of EfficientNet-PyTorch) into an encoder.

    Raises:
        CheckpointError: the checkpoint is of another size.
    """
    pairs = [(encoder.stem, "_conv_stem", "_bn0")]
    blocks = [block for stage in encoder.stages for block in stage]
    for index, block in enumerate(blocks):
        name = f"_blocks.{index}."
        if isinstance(block.expand, nn.Conv2d):
            pairs.append((block.expand, f"{name}_expand_conv", f"{name}_bn0"))
        pairs.append((block.filter, f"{name}_depthwise_conv", f"{name}_bn1"))
        pairs.append((block.project, f"{name}_project_conv", f"{name}_bn2"))
    with torch.no_grad():
        for layer, convolution, norm in pairs:
            weight = state.get(f"{convolution}.weight")
            if weight is None or weight.shape != layer.weight.shape:
                raise CheckpointError(
                    f"{convolution}: expected {tuple(layer.weight.shape)}, the checkpoint has "
                    f"{None if weight is None else tuple(weight.shape)}; use the EfficientNet-Lite0 sizes"
                )
            folded, bias = fold(weight, state, norm)
            layer.weight.copy_(folded)
            layer.bias.copy_(bias)
