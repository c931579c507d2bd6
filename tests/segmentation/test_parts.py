import torch

from m2iv_robot.segmentation.change import histogram
from m2iv_robot.segmentation.parts import held_things, lab_of, looks_of, robot_parts, same_colour_around, things_at


def masks(*boxes):
    mask = torch.zeros(1, 60, 80, dtype=torch.bool)
    for top, bottom, left, right in boxes:
        mask[0, top:bottom, left:right] = True
    return mask


ARM, HAND, BOWL = (0, 20, 30, 40), (22, 30, 28, 42), (45, 55, 10, 25)


def test_what_is_apart_from_edge_and_arm_is_no_robot():
    kept = robot_parts(masks(ARM, HAND, BOWL), 20)
    torch.testing.assert_close(kept, masks(ARM, HAND))


def test_a_robot_that_never_reaches_the_edge_is_the_largest_part():
    kept = robot_parts(masks((10, 30, 30, 50), BOWL), 20)
    torch.testing.assert_close(kept, masks((10, 30, 30, 50)))


def test_no_robot_stays_none():
    assert not robot_parts(masks(), 20).any()


def test_what_lies_where_the_object_rests_is_the_object():
    rest = masks((44, 56, 9, 26))[0]
    torch.testing.assert_close(things_at(masks(BOWL, (5, 15, 60, 70)), rest, 20), masks(BOWL))


def test_a_held_thing_is_told_by_its_colours():
    frame = torch.full((1, 3, 60, 80), 120, dtype=torch.uint8)
    robot = masks(ARM, HAND, (30, 42, 29, 41))
    frame[0][:, masks(ARM, HAND)[0]] = 235
    frame[0][:, masks((30, 42, 29, 41))[0]] = torch.tensor([[200], [30], [30]], dtype=torch.uint8)
    source = torch.full((3, 60, 80), 120, dtype=torch.uint8)
    place = masks((40, 52, 60, 72))[0]
    source[:, place] = torch.tensor([[200], [30], [30]], dtype=torch.uint8)
    looks = looks_of(source, place, frame, masks(ARM, HAND))
    held = held_things(frame, robot, looks, int(place.sum()))
    expected = masks((30, 42, 29, 41))
    assert int((held & expected).sum()) > 0.8 * int(expected.sum())
    assert int((held & ~expected).sum()) < 0.15 * int(expected.sum())
    assert histogram(lab_of(source)[place.numpy()]).sum() > 0


def test_a_click_grows_to_what_has_its_colour():
    frame = torch.full((3, 60, 80), 120, dtype=torch.uint8)
    block = masks(BOWL)[0]
    frame[:, block] = torch.tensor([[200], [30], [30]], dtype=torch.uint8)
    click = masks((48, 52, 16, 20))[0]
    grown = same_colour_around(frame, click)
    assert int((grown ^ block).sum()) < 0.35 * int(block.sum())
    everywhere = torch.full_like(frame, 90)
    torch.testing.assert_close(same_colour_around(everywhere, click), click)
