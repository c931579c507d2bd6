"""Whole episodes through tiny untrained networks: what is given comes back, what is far away is not touched."""

import pytest
import torch

from m2iv_robot.diffusion import DiffusionConfig
from m2iv_robot.errors import ConfigError
from m2iv_robot.generation import (
    GenerationConfig,
    SourceScene,
    WantedMasks,
    WantedVideo,
    generate_frames,
    generate_masks,
)
from m2iv_robot.generation.frames import crop_box
from m2iv_robot.models.trajectory import TrajectoryConfig, TrajectoryModel
from m2iv_robot.models.unet import UNetConfig
from m2iv_robot.models.video import VideoConfig, VideoModel
from m2iv_robot.types import MaskTrajectory, Plate

LENGTH, HEIGHT, WIDTH = 21, 40, 72
UNET = UNetConfig(channels=[32, 32], attention_from_level=1)
SMALL = GenerationConfig(mask_width_px=48, mask_height_px=32, picture_width_px=72, width_px=48, clip_frames=8)


@pytest.fixture(scope="module")
def masks():
    actor, thing = torch.zeros(2, LENGTH, HEIGHT, WIDTH, dtype=torch.bool)
    for frame in range(LENGTH):
        actor[frame, : 8 + frame // 2, 20:26] = True
        thing[frame, 24:30, 30:36] = True
    return MaskTrajectory(actor, thing & ~actor, torch.ones(LENGTH))


@pytest.fixture(scope="module")
def frames():
    return torch.randint(
        0, 256, (LENGTH, 3, HEIGHT, WIDTH), dtype=torch.uint8, generator=torch.Generator().manual_seed(1)
    )


def test_masks_that_are_given_come_back_and_every_frame_gets_some(masks, frames):
    torch.manual_seed(0)
    model = TrajectoryModel(TrajectoryConfig(unet=UNET, sampler=DiffusionConfig(steps=2))).eval()
    torch.nn.init.normal_(model.unet.unet.conv_out.weight, std=0.1)  # an untrained network says nothing otherwise
    given = torch.zeros(LENGTH, dtype=torch.bool)
    given[[0, 12]] = True
    objects = given.clone()
    objects[-1] = True
    path = torch.full((LENGTH, 2), torch.nan)
    wanted = WantedMasks(frames[0], masks.actor, given, masks.object, objects, path, masks.actor)
    made = generate_masks(model, wanted, 5, SMALL)
    assert torch.equal(made.actor[given], masks.actor[given])
    assert torch.equal(made.object[objects], masks.object[objects])
    assert not bool((made.actor & made.object).any())
    again = generate_masks(model, wanted, 5, SMALL)
    assert torch.equal(made.actor, again.actor)
    other = generate_masks(model, wanted, 6, SMALL)
    assert not torch.equal(made.actor, other.actor)


def test_given_frames_and_pixels_away_from_the_masks_stay_bit_for_bit(masks, frames):
    torch.manual_seed(0)
    model = VideoModel(VideoConfig(unet=UNET, sampler=DiffusionConfig(steps=1))).eval()
    given = torch.zeros(LENGTH, dtype=torch.bool)
    given[[0, 10, 11]] = True
    plate = Plate(frames[3], torch.ones(HEIGHT, WIDTH, dtype=torch.bool))
    wanted = WantedVideo(frames[0], masks, frames, given)
    made = generate_frames(model, SourceScene(frames, masks, plate), wanted, 5, SMALL)
    assert torch.equal(made[given], frames[given])
    assert torch.equal(made[5, :, :, 56:], plate.image[:, :, 56:])
    assert not torch.equal(made[5, :, 24:30, 30:36], plate.image[:, 24:30, 30:36])


def test_the_crop_has_the_pictures_shape_and_holds_the_region():
    region = torch.zeros(120, 200, dtype=torch.bool)
    region[100:119, 150:190] = True
    left, top, right, bottom = crop_box(region, 0.1, 32)
    assert left <= 150 and right >= 190 and top <= 100 and bottom == 120
    assert (right - left) / (bottom - top) == pytest.approx(200 / 120, rel=0.05)
    assert crop_box(torch.zeros_like(region), 0.1, 32) == (0, 0, 200, 120)


def test_sizes_that_mean_nothing_are_refused():
    with pytest.raises(ConfigError, match="clip_frames"):
        GenerationConfig(clip_frames=1)
