"""How different two pictures look to a trained encoder: a training signal that does not reward blur.

Source: Zhang et al. 2018, "The Unreasonable Effectiveness of Deep Features as a Perceptual Metric", equation 1, with
all channels weighing the same. The encoder is the segmenter's; it descends from the ImageNet features that the
substitute metric of `metrics/features.py` uses, so that metric is not independent of this loss.
"""

import copy

import torch
from jaxtyping import Bool, Float
from torch import Tensor
from torch.nn import functional

from m2iv_robot.models.efficientnet import Encoder

LEVELS = 4  # strides 2, 4, 8 and 16


class Judge:
    """A frozen encoder; not a module, so that it is no part of the network that it judges."""

    def __init__(self, encoder: Encoder) -> None:
        self.encoder = copy.deepcopy(encoder).eval().requires_grad_(False)
        self.encoder.frozen_stages = 0  # gradients run through to the picture

    def distance(
        self,
        drawn: Float[Tensor, "b t 3 h w"],
        real: Float[Tensor, "b t 3 h w"],
        region: Bool[Tensor, "b t h w"],
    ) -> Float[Tensor, ""]:
        """Mean feature distance in the region of pictures in [0, 1]; outside it the drawn ones are taken to be real."""
        self.encoder.to(real.device)
        shown = torch.where(region.unsqueeze(2), drawn, real).flatten(0, 1)
        with torch.no_grad():
            wanted = self.encoder(real.flatten(0, 1), [])[:LEVELS]
        found = self.encoder(shown, [])[:LEVELS]
        share = region.flatten(0, 1).unsqueeze(1).float()
        total = shown.new_zeros(())
        for one, other in zip(found, wanted, strict=True):
            gap = (functional.normalize(one, dim=1) - functional.normalize(other, dim=1)).square().sum(1, keepdim=True)
            weight = functional.interpolate(share, size=gap.shape[-2:], mode="area")
            total = total + (gap * weight).sum() / weight.sum().clamp(min=1)
        return total / len(found)
