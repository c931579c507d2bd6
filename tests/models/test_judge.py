"""The judge: no distance between equal pictures, none outside the region, and a gradient to the picture alone."""

import torch

from m2iv_robot.models.efficientnet import Encoder, EncoderConfig
from m2iv_robot.models.judge import Judge


def test_only_the_region_counts_and_only_the_picture_learns():
    torch.manual_seed(0)
    encoder = Encoder(EncoderConfig())
    judge = Judge(encoder)
    real = torch.rand(1, 2, 3, 64, 64)
    drawn = torch.rand(1, 2, 3, 64, 64, requires_grad=True)
    region = torch.zeros(1, 2, 64, 64, dtype=torch.bool)
    region[..., 16:48, 16:48] = True
    assert judge.distance(real, real, region) == 0
    assert judge.distance(drawn, real, torch.zeros_like(region)) == 0
    distance = judge.distance(drawn, real, region)
    assert distance > 0
    distance.backward()
    gradient = drawn.grad.abs().sum((0, 1, 2))
    assert gradient[16:48, 16:48].min() > 0
    assert gradient[:16].max() == 0
    assert all(parameter.grad is None for parameter in encoder.parameters())
    assert encoder.frozen_stages == EncoderConfig().frozen_stages
