"""Parts of a robot that stand still are told from the steady inside of links that move."""

import pytest
import torch

from m2iv_robot.generation.records import SourceScene
from m2iv_robot.generation.still import left_standing, still_parts, with_standing
from m2iv_robot.types import MaskTrajectory, Plate

HEIGHT, WIDTH, LENGTH = 60, 80, 20
BASE = (slice(20, 50), slice(0, 12))


@pytest.fixture
def scene():
    """A base at the left edge, and a white link so wide that its middle is always seen where it swings about."""
    table = torch.full((3, HEIGHT, WIDTH), 120, dtype=torch.uint8)
    frames, actor = [], []
    for t in range(LENGTH):
        mask = torch.zeros(HEIGHT, WIDTH, dtype=torch.bool)
        mask[BASE] = True
        mask[0:15, 30 + t % 10 : 55 + t % 10] = True
        frames.append(torch.where(mask, 230, table).to(torch.uint8))
        actor.append(mask)
    masks = MaskTrajectory(torch.stack(actor), torch.zeros(LENGTH, HEIGHT, WIDTH, dtype=torch.bool), torch.ones(LENGTH))
    known = ~masks.actor.all(0)
    return SourceScene(torch.stack(frames), masks, Plate(table, known))


def test_the_base_is_still_and_the_inside_of_a_moving_link_is_not(scene):
    still = still_parts(scene)
    wanted = torch.zeros_like(still)
    wanted[BASE] = True
    assert torch.equal(still, wanted)


def test_a_base_that_flickers_or_is_left_is_not_still(scene):
    scene.frames[::2, :, BASE[0], BASE[1]] = 150
    assert not still_parts(scene).any()


def test_a_lamp_that_blinks_on_the_base_is_a_part_of_it(scene):
    scene.frames[::2, :, 30:35, 0:5] = 250
    scene.frames[1::2, :, 30:35, 0:5] = 90
    still = still_parts(scene)
    assert still[30:35, 0:5].all()


def test_what_stands_still_is_background_with_its_real_pixels_and_comes_back_in_the_masks(scene):
    still = still_parts(scene)
    left = left_standing(scene, still)
    assert not left.masks.actor[:, still].any()
    assert left.plate.known[still].all()
    assert (left.plate.image[:, still] == 230).all()
    assert torch.equal(left.plate.image[:, ~still], scene.plate.image[:, ~still])
    assert torch.equal(with_standing(left.masks, still).actor, scene.masks.actor)
    assert left_standing(scene, still & False) is scene
