"""Exemplars: what lies under a warped mask is copied, what may not be used is not, what nothing reaches is unknown."""

import numpy as np
import torch

from m2iv_robot.exemplar import bend, build_exemplar, cut_and_paste
from m2iv_robot.types import MaskTrajectory, Plate

SIZE = (60, 96)


def picture(left: int, top: int, level: int):
    """A striped object of 12 x 10 pixels, no actor."""
    mask = torch.zeros(1, *SIZE, dtype=torch.bool)
    mask[0, top : top + 10, left : left + 12] = True
    frame = torch.full((1, 3, *SIZE), 30, dtype=torch.uint8)
    stripes = (torch.arange(12) % 3 * 20 + level).to(torch.uint8)
    frame[0, :, top : top + 10, left : left + 12] = stripes
    return frame, mask


def masks_of(object_: torch.Tensor, actor: torch.Tensor | None = None) -> MaskTrajectory:
    return MaskTrajectory(torch.zeros_like(object_) if actor is None else actor, object_, torch.ones(len(object_)))


def test_a_moved_object_keeps_its_colours_pixel_by_pixel():
    frame, mask = picture(10, 20, 100)
    wanted_frame, wanted = picture(50, 33, 100)
    found = build_exemplar(frame, masks_of(mask), masks_of(wanted))
    assert torch.equal(found.known, wanted)
    assert torch.equal(found.image[0][:, wanted[0]], wanted_frame[0][:, wanted[0]])
    assert found.object_frame.tolist() == [0]
    assert found.actor_frame.tolist() == [-1]


def test_frames_that_are_not_allowed_are_not_used():
    frames, masks = zip(picture(50, 33, 100), picture(10, 20, 180), strict=True)
    frames, masks = torch.cat(frames), torch.cat(masks)
    allowed = torch.tensor([[False, True]])
    found = build_exemplar(frames, masks_of(masks), masks_of(masks[:1]), allowed)
    assert found.object_frame.tolist() == [1]
    assert int(found.image[0, 0][masks[0]].min()) >= 180
    nothing = build_exemplar(frames, masks_of(masks), masks_of(masks[:1]), torch.zeros(1, 2, dtype=torch.bool))
    assert not nothing.known.any()


def test_cut_and_paste_shows_the_plate_elsewhere_and_the_exemplar_inside():
    frame, mask = picture(10, 20, 100)
    plate = Plate(torch.full((3, *SIZE), 30, dtype=torch.uint8), torch.ones(SIZE, dtype=torch.bool))
    drawn = cut_and_paste(plate, build_exemplar(frame, masks_of(mask), masks_of(mask)))
    assert torch.equal(drawn[0][:, mask[0]], frame[0][:, mask[0]])
    assert (drawn[0][:, :15] == 30).all()


def test_bending_keeps_the_root_at_the_border_and_brings_the_tip():
    arm = np.zeros(SIZE, bool)
    arm[25:33, :50] = True
    bent = bend(arm, np.array([49.0, 29.0]), np.array([45.0, 45.0]))
    rows, columns = np.nonzero(bent)
    tip = columns >= columns.max() - 1
    assert abs(rows[tip].mean() - 45) < 5
    assert abs(columns.max() - 46) < 5
    assert abs(np.nonzero(bent[:, 0])[0].mean() - 28.5) < 3
