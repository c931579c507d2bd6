"""The shared U-Net: shapes, conditions, and widening without changing what it computes."""

import pytest
import torch

from m2iv_robot.errors import ConfigError
from m2iv_robot.models.unet import UNetConfig, build_unet, widen_input

TINY = UNetConfig(channels=[32, 32], attention_from_level=1, context_channels=8)


@pytest.fixture
def tiny():
    torch.manual_seed(0)
    model = build_unet(TINY, in_channels=5, out_channels=3)
    torch.nn.init.normal_(model.unet.conv_out.weight, std=0.1)  # starts at zero, which would hide everything
    return model.eval()


def test_an_untrained_network_predicts_zero_velocity():
    model = build_unet(TINY, in_channels=5, out_channels=3)
    assert model(torch.randn(2, 4, 5, 8, 12), torch.rand(2)).abs().max() == 0


def test_output_has_the_clip_s_shape_and_depends_on_time_and_context(tiny):
    clip = torch.randn(2, 4, 5, 8, 12)
    with torch.no_grad():
        early, late = tiny(clip, torch.zeros(2)), tiny(clip, torch.ones(2))
        spoken = tiny(clip, torch.zeros(2), torch.randn(2, 7, 8))
    assert early.shape == (2, 4, 3, 8, 12)
    assert not torch.allclose(early, late)
    assert not torch.allclose(early, spoken)


def test_frames_see_each_other(tiny):
    clip = torch.randn(1, 4, 5, 8, 8)
    changed = clip.clone()
    changed[:, 0] += 1
    with torch.no_grad():
        difference = (tiny(clip, torch.ones(1)) - tiny(changed, torch.ones(1))).abs()
    assert difference[:, 3].max() > 0


def test_widening_keeps_the_output_whatever_the_new_channels_hold(tiny):
    clip, extra = torch.randn(1, 4, 5, 8, 8), torch.randn(1, 4, 2, 8, 8)
    with torch.no_grad():
        before = tiny(clip, torch.ones(1))
        after = widen_input(tiny, 2)(torch.cat([clip, extra], dim=2), torch.ones(1))
    assert torch.allclose(before, after, atol=1e-5)


def test_widths_that_the_blocks_cannot_take_are_refused():
    with pytest.raises(ConfigError, match=r"unet\.channels"):
        UNetConfig(channels=[48, 64])
