"""Settings of ACT on keypoints."""

from dataclasses import dataclass

from lerobot.configs.policies import PreTrainedConfig
from lerobot.optim.schedulers import CosineDecayWithWarmupSchedulerConfig
from lerobot.policies.act.configuration_act import ACTConfig

ANY_NUMBER = 10**9  # LeRobot shortens a schedule that is longer than the training


@PreTrainedConfig.register_subclass("keypoint_act")
@dataclass
class KeypointActConfig(ACTConfig):
    """ACT's own settings, and those of the encoder that takes ResNet's place."""

    keypoints: int = 32  # places that each picture is described by
    encoder_width: int = 16  # channels of the first layers; the last has twice as many
    group_size: int = 8  # channels that are normalised together
    first_sharpness: float = 5.0  # of the softmaxes before training; at 1 all places begin in the picture's middle
    encoder_in_bfloat16: bool = True  # faster on processors and GPUs that know it; coordinates stay in float32
    state_noise: float = (
        0.05  # on the state in training, in its standard deviations: recordings are not to be told by it
    )
    warmup_share: float = 0.02  # of the training steps
    pretrained_backbone_weights: str | None = None

    def get_scheduler_preset(self) -> CosineDecayWithWarmupSchedulerConfig:
        """Down to a hundredth along a cosine, however many steps there are: a grasp is a matter of millimetres."""
        return CosineDecayWithWarmupSchedulerConfig(
            num_warmup_steps=round(self.warmup_share * ANY_NUMBER),
            num_decay_steps=ANY_NUMBER,
            peak_lr=self.optimizer_lr,
            decay_lr=self.optimizer_lr / 100,
        )
