"""ACT that sees a picture as a list of places."""

import math

import torch
from einops import rearrange
from jaxtyping import Float
from lerobot.policies.act.modeling_act import ACTPolicy
from lerobot.utils.constants import OBS_STATE
from torch import Tensor, nn

from policies_demo.keypoint_act.configuration_keypoint_act import KeypointActConfig


class KeypointEncoder(nn.Module):
    """Where in the picture each of `keypoints` learned things is: means of spatial softmaxes.

    It takes the place of ResNet in LeRobot's ACT, so its output is a feature map: of one cell, with the coordinates
    (columns then rows, in [-1, 1]) as channels. An encoder that can say nothing but places learns from tens of episodes
    what a general one learns from hundreds.

    Source: Levine et al. 2016, "End-to-End Training of Deep Visuomotor Policies", section 5.2.
    """

    def __init__(self, config: KeypointActConfig) -> None:
        super().__init__()
        width, group = config.encoder_width, config.group_size
        self.layers = nn.Sequential(
            nn.Conv2d(3, width, 5, stride=2, padding=2),
            nn.GroupNorm(max(1, width // group), width),
            nn.ReLU(inplace=True),
            *_block(width, width, 2, group),
            *_block(width, 2 * width, 4, group),
            nn.Conv2d(2 * width, config.keypoints, 1),
        )
        self.log_sharpness = nn.Parameter(torch.tensor(math.log(config.first_sharpness)))
        self.in_bfloat16 = config.encoder_in_bfloat16

    def forward(self, images: Float[Tensor, "b 3 h w"]) -> dict[str, Float[Tensor, "b c 1 1"]]:
        """Normalised pictures to coordinates, under the name by which ACT asks for them."""
        with torch.autocast(images.device.type, torch.bfloat16, enabled=self.in_bfloat16):
            scores = self.layers(images.contiguous(memory_format=torch.channels_last))  # b k h/2 w/2
        rows, columns = scores.shape[-2:]
        shares = rearrange(scores.float() * self.log_sharpness.exp(), "b k h w -> b k (h w)").softmax(-1)
        shares = rearrange(shares, "b k (h w) -> b k h w", h=rows)
        across = torch.linspace(-1, 1, columns, device=images.device)
        down = torch.linspace(-1, 1, rows, device=images.device)
        places = torch.cat([shares.sum(2) @ across, shares.sum(3) @ down], dim=1)  # b 2k
        return {"feature_map": rearrange(places, "b c -> b c 1 1")}


def _block(channels: int, more: int, dilation: int, group: int) -> list[nn.Module]:
    return [
        nn.Conv2d(channels, more, 3, padding=dilation, dilation=dilation),
        nn.GroupNorm(max(1, more // group), more),
        nn.ReLU(inplace=True),
    ]


class KeypointActPolicy(ACTPolicy):
    """LeRobot's ACT with the small encoder and some noise on the state in training; everything else is its own."""

    config_class = KeypointActConfig
    name = "keypoint_act"

    def __init__(self, config: KeypointActConfig, **kwargs: object) -> None:  # LeRobot hands statistics along
        super().__init__(config, **kwargs)
        self.model.backbone = KeypointEncoder(config)
        self.model.encoder_img_feat_input_proj = nn.Conv2d(2 * config.keypoints, config.dim_model, 1)

    def forward(self, batch: dict[str, Tensor]) -> tuple[Tensor, dict]:
        """ACT's loss, on a state that is not quite exact."""
        state = batch[OBS_STATE]
        noise = self.config.state_noise if self.training else 0.0
        return super().forward({**batch, OBS_STATE: state + noise * torch.randn_like(state)})
