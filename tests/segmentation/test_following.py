import dataclasses

import pytest
import torch
from drawn_scene import BLUE, GREY, HELD, LENGTH, START, draw, table, tip_at

from m2iv_robot.masks import components, dilate, iou
from m2iv_robot.segmentation.following import follow_object
from m2iv_robot.segmentation.prediction import Target
from m2iv_robot.types import MaskTrajectory, Plate


@pytest.fixture(scope="module")
def scene():
    image = torch.from_numpy(table().clip(0, 255)).byte().permute(2, 0, 1)
    return Plate(image, torch.ones(image.shape[1:], dtype=torch.bool))


def spoiled(truth):
    """Half of the object missed while it is held, and called a part of the robot or of the table beside it."""
    actor, object_ = truth.actor.clone(), truth.object.clone()
    for t in range(HELD.grasp, HELD.release):
        columns = object_[t].any(0).nonzero()
        left = torch.zeros_like(object_[t])
        left[:, : int(columns.float().mean())] = True
        actor[t] |= object_[t] & left
        object_[t] &= ~left
        object_[t, 80:90, 20:40] = True
    return MaskTrajectory(actor, object_, truth.confidence)


def test_what_was_missed_is_put_in_and_what_is_elsewhere_is_taken_out(scene):
    episode, truth = draw()
    given = spoiled(truth)
    found = follow_object(episode.frames, given, scene, (HELD,))
    held = slice(HELD.grasp, HELD.release)
    before, after = (iou(masks.object[held], truth.object[held]).mean() for masks in (given, found))
    assert before < 0.35
    assert after > 0.8
    assert not found.object[held, 80:90, 20:40].any()
    assert not (found.actor & found.object).any()
    assert iou(found.object[: HELD.grasp], truth.object[: HELD.grasp]).mean() > 0.8


def test_a_rim_around_the_object_does_not_become_the_robots(scene):
    episode, truth = draw()
    edge = dilate(truth.object, 3) & ~truth.object & ~dilate(truth.actor, 3)
    frames = episode.frames.clone()
    frames.permute(0, 2, 3, 1)[edge] = 30  # as dark as the robot
    given = dataclasses.replace(truth, object=truth.object | edge)
    found = follow_object(frames, given, scene, (HELD,))
    apart = [part for mask in found.actor[: HELD.grasp - 5] for part in components(mask)[1:]]
    assert not apart


def test_without_phases_the_object_is_followed_from_the_first_quarter_to_the_last(scene):
    episode, truth = draw()
    found = follow_object(episode.frames, spoiled(truth), scene, ())
    assert iou(found.object, truth.object).mean() > 0.75


def test_an_object_in_the_robots_colours_is_left_to_the_network(scene):
    episode, truth = draw()
    frames = episode.frames.clone()
    either = truth.actor | truth.object
    frames.permute(0, 2, 3, 1)[either] = torch.tensor([55, 55, 60], dtype=torch.uint8)
    given = spoiled(truth)
    assert follow_object(frames, given, scene, (HELD,)) is given


def test_a_resting_object_that_looks_like_a_shadow_is_left_to_the_network(scene):
    """Where it starts the table is so bright that the block is only a darker table."""
    episode, truth = draw()
    image = scene.image.clone()
    x, y = START
    image[:, y - 10 : y + 10, x - 10 : x + 10] = torch.tensor(BLUE, dtype=torch.uint8)[:, None, None] + 40
    found = follow_object(episode.frames, spoiled(truth), Plate(image, scene.known), (HELD,))
    assert iou(found.object[: HELD.grasp - 2], truth.object[: HELD.grasp - 2]).mean() > 0.9


def test_what_is_known_of_the_object_tells_it_from_a_thing_that_the_network_takes_along(scene):
    """At rest the network calls the red block that never moves the object too: twice the object's size."""
    episode, truth = draw()
    object_ = truth.object.clone()
    object_[:, 76:90, 50:75] = True
    given = MaskTrajectory(truth.actor, object_ & ~truth.actor, truth.confidence)
    image = scene.image.clone()
    image[:, 76:90, 50:75] = scene.image[:, 76:90, 30:55]  # and so its place in the scene is empty
    without = Plate(image, scene.known)
    target = Target(episode.frames[0], truth.object[0], truth.object[0])
    found = follow_object(episode.frames, given, without, (HELD,), target)
    assert not found.object[HELD.release :, 76:90, 50:75].any(0).all()
    assert iou(found.object, truth.object).mean() > 0.7


def test_a_part_of_the_robot_in_the_objects_colours_is_not_the_object(scene):
    """A motor on the arm, all of which is seen, while fingers hide half of what they hold."""
    episode, truth = draw()
    frames, object_ = episode.frames.clone(), truth.object.clone()
    for t in range(LENGTH):
        x, y = (round(value) for value in tip_at(t))
        motor = frames[t, :, max(y - 28, 0) : max(y - 16, 0), x - 5 : x + 5]
        motor[:] = torch.tensor(BLUE, dtype=torch.uint8)[:, None, None]
        if HELD.grasp <= t < HELD.release:
            hidden = object_[t].clone()
            hidden[:, x:] = False
            frames[t, :, hidden] = torch.tensor(GREY, dtype=torch.uint8)[:, None]
            object_[t] &= ~hidden
    given = MaskTrajectory(truth.actor | (truth.object & ~object_), object_, truth.confidence)
    found = follow_object(frames, given, scene, (HELD,))
    held = slice(HELD.grasp, HELD.release)
    assert iou(found.object[held], object_[held]).min() > 0.6


@pytest.mark.parametrize("missing", ["object", "actor"])
def test_empty_masks_stay_as_they_are(scene, missing):
    episode, truth = draw()
    given = dataclasses.replace(truth, **{missing: torch.zeros_like(truth.object)})
    assert follow_object(episode.frames, given, scene, (HELD,)) is given


def test_colours_that_contradict_the_network_are_not_trusted(scene):
    """The network follows the red block, whose colours no part of the moving picture has."""
    episode, truth = draw()
    block = torch.zeros_like(truth.object)
    block[:, 78:88, 60:70] = True
    given = MaskTrajectory(truth.actor, block, torch.ones(LENGTH))
    assert follow_object(episode.frames, given, scene, (HELD,)) is given
