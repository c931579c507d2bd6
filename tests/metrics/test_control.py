"""Control figures against what was drawn."""

import math

import pytest
import torch

from m2iv_robot.metrics import control


def square(left, top, side=8, height=48, width=64):
    mask = torch.zeros(height, width, dtype=torch.bool)
    mask[top : top + side, left : left + side] = True
    return mask


def nothing():
    return torch.zeros(48, 64, dtype=torch.bool)


def test_the_placement_error_is_the_distance_in_widths_and_infinite_for_a_lost_object():
    final = torch.stack([square(20, 20), square(26, 28), nothing()])
    requested = torch.stack([square(20, 20)] * 3)
    error = control.placement_error_widths(final, requested)
    assert error.tolist() == pytest.approx([0, 10 / 8, math.inf])


def test_width_counts_both_end_columns():
    assert control.width_px(torch.stack([square(3, 5), nothing()])).tolist() == [8, 0]


def test_contact_is_counted_in_the_carry_alone_and_needs_both_to_be_seen():
    still = square(20, 20)
    actor = torch.stack([square(40, 20), square(28, 20), square(30, 20), square(31, 20), nothing()])[None]
    object_ = still.expand(1, 5, 48, 64)
    carry = torch.tensor([[False, True, True, True, True]])
    # gaps of 0, 2 and 3 pixels: a kernel of 7 reaches three pixels far
    assert control.contact_share(actor, object_, carry).item() == pytest.approx(2 / 4)
    assert torch.isnan(control.contact_share(actor, object_, torch.zeros_like(carry))).all()


def test_a_near_second_part_is_one_object_behind_a_finger_and_a_far_one_a_double():
    whole = square(20, 20)
    split = whole.clone()
    split[:, 23:25] = False
    double = whole | square(45, 10)
    speck = whole | square(45, 10, side=2)
    object_ = torch.stack([whole, split, double, speck])[None]
    assert [control.is_doubled(mask, 64.0, 8.0) for mask in object_[0]] == [False, False, True, False]
    assert control.doubled_share(object_, whole[None]).item() == pytest.approx(1 / 4)


def test_an_object_left_behind_covers_the_place_it_should_have_vacated():
    start, requested = square(10, 10), square(14, 10)  # half of the start is still covered
    final = torch.stack([requested, start, start])
    actor = torch.stack([nothing(), nothing(), square(10, 10)])
    share = control.left_behind_share(final, torch.stack([start] * 3), torch.stack([requested] * 3), actor)
    assert share[:2].tolist() == [0, 1]
    assert torch.isnan(share[2])


def test_ghost_strength_is_the_share_with_which_the_object_was_blended_in(generator):
    plate, first = torch.rand(2, 2, 3, 48, 64, generator=generator)
    vacated = torch.stack([square(10, 10), square(30, 20)])
    strength = torch.tensor([0.0, 0.35])
    final = plate + strength[:, None, None, None] * (first - plate)
    final = torch.where(vacated[:, None], final, torch.rand(final.shape, generator=generator))
    assert control.ghost_strength(final, first, plate, vacated).tolist() == pytest.approx([0, 0.35], abs=1e-5)


def test_all_figures_of_a_perfect_carry_are_perfect():
    path = [(8 + 4 * step, 20) for step in range(8)]
    object_ = torch.stack([square(x, y) for x, y in path])[None]
    actor = torch.stack([square(x, y - 8) for x, y in path])[None]
    carry = torch.tensor([[False] + [True] * 6 + [False]])
    figures = control.measure_control(actor, object_, object_[:, 0], object_[:, -1], carry)
    assert figures.placement_error_widths.item() == 0
    assert figures.final_iou.item() == 1
    assert figures.contact_share.item() == 1
    assert figures.present_share.item() == 1
    assert figures.doubled_share.item() == 0
    assert figures.left_behind_share.item() == 0


def test_a_frozen_clip_is_seen_to_have_left_the_object_behind():
    start, requested = square(8, 20), square(40, 20)
    object_, actor = start.expand(1, 8, 48, 64), nothing().expand(1, 8, 48, 64)
    carry = torch.ones(1, 8, dtype=torch.bool)
    figures = control.measure_control(actor, object_, start[None], requested[None], carry)
    assert figures.placement_error_widths.item() == pytest.approx(32 / 8)
    assert figures.final_iou.item() == 0
    assert figures.contact_share.item() == 0
    assert figures.left_behind_share.item() == 1
