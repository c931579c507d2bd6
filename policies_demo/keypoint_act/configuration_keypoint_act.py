"""Settings of ACT on keypoints."""

from dataclasses import dataclass

from lerobot.configs.policies import PreTrainedConfig
from lerobot.policies.act.configuration_act import ACTConfig


@PreTrainedConfig.register_subclass("keypoint_act")
@dataclass
class KeypointActConfig(ACTConfig):
    """ACT's own settings, and those of the encoder that takes ResNet's place."""

    keypoints: int = 32  # places that each picture is described by
    encoder_width: int = 16  # channels of the first layers; the last has twice as many
    group_size: int = 8  # channels that are normalised together
    pretrained_backbone_weights: str | None = None
