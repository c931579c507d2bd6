"""The plate and compositing on scenes whose truth is known."""

import cv2
import pytest
import torch

from m2iv_robot import background
from m2iv_robot.background import PlateConfig
from m2iv_robot.errors import ConfigError, SegmentationError
from m2iv_robot.types import MaskTrajectory, Plate

HEIGHT, WIDTH, LENGTH, TURN = 48, 64, 20, 8
EVERY = list(range(LENGTH))


@pytest.fixture
def scene():
    return torch.randint(60, 180, (3, HEIGHT, WIDTH), generator=torch.Generator().manual_seed(3), dtype=torch.uint8)


def block(left, top, size=8):
    mask = torch.zeros(HEIGHT, WIDTH, dtype=torch.bool)
    mask[top : top + size, left : left + size] = True
    return mask


def moved_block(scene, start=(8, 30), goal=(44, 30), gains=None):
    """A block lies at the start for two fifths of the video and at the goal for the rest; a bar (the actor) passes."""
    frames, actor, object_ = [], [], []
    for t in range(LENGTH):
        thing = block(*(start if t < TURN else goal))
        bar = torch.zeros(HEIGHT, WIDTH, dtype=torch.bool)
        bar[:20, 3 * t : 3 * t + 6] = True
        frame = torch.where(thing, 220, scene)
        frame = torch.where(bar, 20, frame)
        gain = 1.0 if gains is None else gains[t]
        frames.append((frame.float() * gain).round().clamp(0, 255).to(torch.uint8))
        actor.append(bar)
        object_.append(thing & ~bar)
    masks = MaskTrajectory(torch.stack(actor), torch.stack(object_), torch.ones(LENGTH))
    return torch.stack(frames), masks


def test_the_plate_shows_the_scene_where_the_object_started_and_where_it_ended(scene):
    frames, masks = moved_block(scene)
    plate = background.build_plate([frames], [masks], PlateConfig(margin_px=0))
    assert plate.known.all()
    assert torch.equal(plate.image, scene)


def test_without_masks_a_median_shows_the_object_instead(scene):
    frames, masks = moved_block(scene)
    median, views = background.masked_median(frames, torch.zeros_like(masks.actor))
    assert views.min() == LENGTH
    assert (median[:, block(44, 30)] == 220).all()


def test_pixels_that_are_never_bare_are_unknown_and_all_others_known(scene):
    frames, masks = moved_block(scene, goal=(8, 30))
    plate = background.build_plate([frames], [masks], PlateConfig(margin_px=0))
    assert torch.equal(plate.known, ~block(8, 30))
    assert torch.equal(plate.image[:, plate.known], scene[:, plate.known])


def test_another_episode_of_the_same_pose_shows_what_one_hides(scene):
    frames, masks = moved_block(scene, goal=(8, 30))
    others, other_masks = moved_block(scene, start=(30, 36), goal=(44, 36))
    plate = background.build_plate([frames, others], [masks, other_masks], PlateConfig(margin_px=0))
    assert plate.known.all()
    assert torch.equal(plate.image, scene)


def test_exposure_is_brought_to_one_level_before_the_median(scene):
    gains = torch.linspace(0.8, 1.2, LENGTH)
    frames, masks = moved_block(scene, gains=gains)
    plate = background.build_plate([frames], [masks], PlateConfig(margin_px=0))
    ratio = plate.image.float() / scene.float()
    assert ratio.std() < 0.02  # one factor for all pixels; uncorrected, start and goal place differ by a fifth
    uneven, _ = background.masked_median(frames, masks.actor | masks.object)
    assert (uneven.float() / scene.float()).std() > 2 * ratio.std()


def test_gains_are_the_inverse_of_what_was_applied(scene):
    factors = torch.tensor([0.7, 1.0, 1.3])
    frames = (scene.float()[None] * factors[:, None, None, None]).round().to(torch.uint8)
    gains = background.exposure_gains(frames, scene)
    assert torch.allclose(gains, (1 / factors)[:, None].expand(3, 3), atol=0.01)


def test_gains_do_not_follow_what_is_hidden(scene):
    hidden = torch.zeros(1, HEIGHT, WIDTH, dtype=torch.bool)
    hidden[:, :, : WIDTH * 3 // 5] = True
    frame = torch.where(hidden[0], scene // 2, scene)[None]
    assert torch.allclose(background.exposure_gains(frame, scene, hidden), torch.ones(1, 3))


def test_masks_of_another_size_are_refused(scene):
    frames, masks = moved_block(scene)
    with pytest.raises(SegmentationError, match="plate, video 0: actor masks are"):
        background.build_plate([frames[:, :, :40]], [masks])
    with pytest.raises(SegmentationError, match="1 videos and 2 mask"):
        background.build_plate([frames], [masks, masks])


def test_bad_plate_settings_are_refused():
    with pytest.raises(ConfigError, match="min_views"):
        PlateConfig(min_views=0)


def test_compositing_shows_the_region_whole_and_keeps_what_is_far_bit_for_bit(scene):
    back = scene[None]
    front = torch.full_like(back, 255)
    region = block(28, 20)[None]
    result = background.composite(back, front, region, edge_px=2.0)
    assert (result[0][:, region[0]] == 255).all()
    rows, columns = torch.where(region[0])
    y, x = torch.meshgrid(torch.arange(HEIGHT), torch.arange(WIDTH), indexing="ij")
    nearest = ((y[..., None] - rows) ** 2 + (x[..., None] - columns) ** 2).amin(-1).float().sqrt()
    assert torch.equal(result[0][:, nearest >= 6], scene[:, nearest >= 6])
    assert (result[0][:, (nearest > 0) & (nearest < 5)] > scene[:, (nearest > 0) & (nearest < 5)]).all()


def test_compositing_brings_a_smaller_picture_to_the_source_size(scene):
    back = scene[None]
    small = torch.full((1, 3, HEIGHT // 2, WIDTH // 2), 200, dtype=torch.uint8)
    result = background.composite(back, small, torch.ones(1, HEIGHT, WIDTH, dtype=torch.bool))
    assert torch.equal(result, torch.full_like(back, 200))


def test_without_a_region_nothing_changes(scene):
    back = scene[None]
    region = torch.zeros(1, HEIGHT, WIDTH, dtype=torch.bool)
    assert torch.equal(background.composite(back, torch.full_like(back, 255), region), back)


def test_frames_are_spread_over_all_with_both_ends():
    assert background.spread(5, 9) == [0, 1, 2, 3, 4]
    assert background.spread(101, 3) == [0, 50, 100]


def test_a_thing_that_stands_elsewhere_in_one_episode_is_in_its_plate_alone(scene):
    episodes, dish = [], block(24, 22, 10)
    for place in (None, (4, 36), None):
        frames, masks = moved_block(scene)
        if place is not None:
            dish = block(*place, 10)
            frames = torch.where(dish & ~(masks.actor | masks.object)[:, None], 20, frames)
        episodes.append((frames, masks))
    common = background.build_plate([frames for frames, _ in episodes], [masks for _, masks in episodes])
    assert torch.equal(common.image[:, dish], scene[:, dish])
    hidden = background.hidden_by(episodes[1][1], 2, EVERY)
    own, differs = background.own_plate(episodes[1][0], hidden, common)
    assert (own.image[:, dish] == 20).all()
    assert torch.equal(own.image[:, ~differs], common.image[:, ~differs])
    assert differs[dish].all()
    assert not differs[~torch.from_numpy(grown(dish))].any()
    other, nothing = background.own_plate(episodes[0][0], background.hidden_by(episodes[0][1], 2, EVERY), common)
    assert not nothing.any()
    assert torch.equal(other.image, common.image)


def test_a_passing_shadow_is_no_thing_of_its_own(scene):
    frames, masks = moved_block(scene)
    common = background.build_plate([frames], [masks])
    shaded = frames.clone()
    shaded[: LENGTH // 2, :, 24:40, 20:40] = shaded[: LENGTH // 2, :, 24:40, 20:40] // 2
    shaded[LENGTH // 2 + 2 :, :, 24:40, 20:40] = shaded[LENGTH // 2 + 2 :, :, 24:40, 20:40] // 3
    assert not background.own_plate(shaded, background.hidden_by(masks, 2, EVERY), common)[1].any()


def test_frames_of_another_episode_show_the_scene_that_they_are_brought_into(scene):
    frames, masks = moved_block(scene, gains=[0.8] * LENGTH)
    dish = block(50, 6)
    here = Plate(torch.where(dish, 220, scene), torch.ones(HEIGHT, WIDTH, dtype=torch.bool))
    there = Plate(scene, torch.ones(HEIGHT, WIDTH, dtype=torch.bool))
    hidden = background.hidden_by(masks, 0, EVERY)
    moved = background.brought_into(frames, hidden, there, here)
    seen = dish & ~hidden[0]
    assert (moved[0][:, seen].float() - 176).abs().max() <= 2
    assert torch.equal(moved.permute(0, 2, 3, 1)[hidden], frames.permute(0, 2, 3, 1)[hidden])
    assert background.brought_into(frames, hidden, here, here) is frames


def grown(mask):
    return cv2.dilate(mask.numpy().astype("uint8"), cv2.getStructuringElement(cv2.MORPH_RECT, (9, 9))) > 0
