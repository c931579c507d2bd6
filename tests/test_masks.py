"""Masks against closed forms, inverses and OpenCV."""

import cv2
import numpy as np
import pytest
import torch

from m2iv_robot import masks
from m2iv_robot.errors import SegmentationError
from m2iv_robot.types import MaskTrajectory


def rectangle(height, width, left, top, right, bottom):
    mask = torch.zeros(height, width, dtype=torch.bool)
    mask[top:bottom, left:right] = True
    return mask


@pytest.fixture
def noise():
    return torch.rand(3, 40, 60, generator=torch.Generator().manual_seed(1)) > 0.8


def test_area_and_centroid_of_a_rectangle_are_its_sides_product_and_its_middle():
    mask = rectangle(20, 30, 4, 6, 14, 9)
    assert masks.area(mask) == 30
    assert masks.centroid(mask).tolist() == [8.5, 7.0]


def test_the_centroid_of_an_empty_mask_is_not_a_number():
    assert torch.isnan(masks.centroid(torch.zeros(2, 5, 5, dtype=torch.bool))).all()


def test_a_whole_pixel_shift_moves_every_pixel_and_loses_those_outside(noise):
    moved = masks.shift(noise, (7.0, -3.0))
    assert torch.equal(moved[:, :-3, 7:], noise[:, 3:, :-7])
    assert not moved[:, -3:].any()
    assert not moved[:, :, :7].any()


def test_shifting_back_undoes_the_shift():
    mask = rectangle(40, 60, 10, 12, 31, 22)
    assert torch.equal(masks.shift(masks.shift(mask, (9.0, 5.0)), (-9.0, -5.0)), mask)


def test_scaling_keeps_the_centroid_and_squares_into_the_area():
    mask = rectangle(200, 200, 60, 70, 100, 100)
    scaled = masks.shift(mask, (11.0, -4.0), scale=1.5)
    assert masks.area(scaled).item() == pytest.approx(1200 * 2.25, rel=0.03)
    assert masks.centroid(scaled).tolist() == pytest.approx([79.5 + 11, 84.5 - 4], abs=0.3)


def test_iou_of_half_overlapping_squares_is_one_third_and_of_nothing_is_one():
    first, second = rectangle(20, 20, 0, 0, 10, 10), rectangle(20, 20, 5, 0, 15, 10)
    assert masks.iou(first, second).item() == pytest.approx(1 / 3)
    empty = torch.zeros_like(first)
    assert masks.iou(empty, empty).item() == 1
    assert masks.iou(first, empty).item() == 0


@pytest.mark.parametrize("kernel_px", [1, 3, 7])
def test_dilation_and_erosion_agree_with_opencv(noise, kernel_px):
    kernel = np.ones((kernel_px, kernel_px), np.uint8)
    for mask in noise:
        image = mask.numpy().astype(np.uint8)
        assert np.array_equal(masks.dilate(mask, kernel_px).numpy(), cv2.dilate(image, kernel) > 0)
        assert np.array_equal(masks.erode(~mask, kernel_px).numpy(), cv2.erode(1 - image, kernel) > 0)


def test_the_contact_map_of_two_touching_blocks_is_a_band_of_the_kernels_reach():
    actor, object_ = rectangle(40, 60, 10, 10, 30, 30), rectangle(40, 60, 30, 10, 50, 30)
    band = masks.contact_map(actor, object_, kernel_px=7)
    assert torch.equal(band, rectangle(40, 60, 27, 10, 33, 30))


def test_there_is_no_contact_beyond_the_kernels_reach():
    assert not masks.contact_map(rectangle(40, 60, 0, 0, 10, 10), rectangle(40, 60, 14, 0, 20, 10)).any()


def test_components_come_largest_first_and_join_back_to_the_mask(noise):
    parts = masks.components(noise[0])
    sizes = masks.area(parts).tolist()
    assert sizes == sorted(sizes, reverse=True)
    assert torch.equal(parts.any(0), noise[0])
    assert parts.sum(0).max() == 1
    assert torch.equal(masks.largest_component(noise[0]), parts[0])


def test_specks_go_and_small_holes_close():
    mask = rectangle(40, 60, 10, 10, 40, 30)
    damaged = mask.clone()
    damaged[15:17, 20:22] = False
    damaged[2, 2] = True
    assert torch.equal(masks.fill_holes(masks.remove_specks(damaged, 5), 4), mask)
    assert not masks.fill_holes(damaged, 3)[15, 20]


def test_colours_come_back_as_the_masks_they_were(noise):
    actor, object_ = noise, noise.roll(5, -1)
    given = masks.trajectory(actor, object_, torch.ones(3))
    assert not (given.actor & given.object).any()
    video = masks.colour_code(given)
    assert torch.equal(video[:, 0] > 0, given.object)
    back = masks.colour_decode(video)
    assert torch.equal(back.actor, given.actor)
    assert torch.equal(back.object, given.object)
    assert torch.equal(back.confidence, torch.ones(3))


def test_labels_come_back_as_the_masks_they_were(noise):
    labels = masks.to_labels(noise, noise.roll(5, -1))
    actor, object_, ignored = masks.from_labels(labels)
    assert torch.equal(actor, noise)
    assert torch.equal(object_, noise.roll(5, -1) & ~noise)
    assert not ignored.any()


def test_an_unknown_label_is_named():
    with pytest.raises(SegmentationError, match="value 7"):
        masks.from_labels(torch.full((4, 4), 7, dtype=torch.uint8))


def test_resizing_by_a_whole_factor_and_back_changes_nothing():
    mask = rectangle(24, 32, 4, 6, 20, 18)
    larger = masks.resize(mask, 48, 64)
    assert torch.equal(larger, mask.repeat_interleave(2, 0).repeat_interleave(2, 1))
    assert torch.equal(masks.resize(larger, 24, 32), mask)


def test_masks_of_another_size_are_refused_with_both_sizes():
    empty = torch.zeros(2, 10, 12, dtype=torch.bool)
    frames = torch.zeros(2, 3, 10, 14, dtype=torch.uint8)
    with pytest.raises(SegmentationError, match=r"episode 3: actor masks are \(2, 10, 12\).*\(2, 10, 14\)"):
        masks.check_fits(MaskTrajectory(empty, empty, torch.ones(2)), frames, "episode 3")


def test_pixels_without_a_number_take_the_nearest_ones():
    numbers = np.full((4, 6), -1)
    numbers[0, 0], numbers[3, 5] = 7, 0
    filled = masks.from_nearest(numbers)
    assert filled[1, 1] == 7
    assert filled[2, 4] == 0
    assert (filled[numbers >= 0] == numbers[numbers >= 0]).all()


def test_the_main_part_has_near_pieces_and_no_far_ones():
    mask = torch.zeros(40, 60, dtype=torch.bool)
    mask[10:20, 5:12] = mask[10:20, 16:19] = True
    whole = mask.clone()
    mask[30:33, 50:53] = True
    assert torch.equal(masks.main_part(mask), whole)
    assert not bool(masks.main_part(mask & False).any())
