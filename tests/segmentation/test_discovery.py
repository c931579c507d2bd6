"""What was moved, told from shadows and from what it now hides."""

import numpy as np
import torch

from m2iv_robot.masks import iou
from m2iv_robot.segmentation.discovery import Ends, find_move
from m2iv_robot.types import Plate

HEIGHT, WIDTH, LEAST = 96, 160, 12
BOARD, PLATE, BLUE = (190, 150, 90), (215, 215, 210), (40, 60, 180)


def box(top, left, bottom, right):
    mask = torch.zeros(HEIGHT, WIDTH, dtype=torch.bool)
    mask[top:bottom, left:right] = True
    return mask


BLOCK, SHADOW = box(40, 30, 54, 44), box(40, 44, 60, 70)
DISH, BLOCK_THERE = box(30, 100, 56, 140), box(36, 112, 50, 126)


def scene(block, shadow):
    """A board with a dish; the block and a shadow where they are."""
    generator = np.random.default_rng(0)
    image = np.full((HEIGHT, WIDTH, 3), BOARD, np.float32)
    image[DISH.numpy()] = PLATE
    image[shadow.numpy()] *= 0.55
    image[block.numpy()] = BLUE
    image += generator.normal(0, 2, image.shape)
    pixels = torch.from_numpy(image.clip(0, 255).astype(np.uint8)).permute(2, 0, 1)
    return Plate(pixels, torch.ones(HEIGHT, WIDTH, dtype=torch.bool))


def moved(start, goal, start_seen, goal_seen):
    """The move between two scenes, where the network calls more than the block changed."""
    ends = Ends(scene(BLOCK, start), scene(BLOCK_THERE, goal))
    return find_move(ends, start_seen.float(), goal_seen.float(), LEAST)


def test_a_shadow_that_left_and_a_dish_that_is_hidden_are_no_part_of_the_thing():
    nothing = SHADOW & False
    move = moved(SHADOW, nothing, BLOCK | SHADOW, DISH)
    assert float(iou(move.start[None], (BLOCK | SHADOW)[None])[0]) > 0.8
    assert float(iou(move.thing[None], BLOCK[None])[0]) > 0.8
    assert float(iou(move.thing_at_goal[None], BLOCK_THERE[None])[0]) > 0.8


def test_a_thing_of_one_colour_keeps_the_networks_outline():
    nothing = SHADOW & False
    move = moved(nothing, nothing, BLOCK, BLOCK_THERE)
    assert torch.equal(move.thing, move.start)
    assert torch.equal(move.thing_at_goal, move.goal)


def test_a_place_that_only_became_brighter_is_not_where_the_thing_came_from():
    nothing = SHADOW & False
    apart = torch.roll(SHADOW, 30, 0)
    move = moved(apart, nothing, BLOCK | apart, BLOCK_THERE)
    assert float(iou(move.thing[None], BLOCK[None])[0]) > 0.7


def two_moved(colour):
    """A blue block and a larger red one are moved."""
    red, red_there = box(60, 10, 80, 30), box(66, 60, 86, 80)
    before, after = (scene(block, SHADOW & False) for block in (BLOCK, BLOCK_THERE))
    for plate, place in ((before, red), (after, red_there)):
        plate.image[:, place] = torch.tensor([200, 40, 40], dtype=torch.uint8)[:, None]
    left, came = (BLOCK | red).float(), (BLOCK_THERE | red_there).float()
    return find_move(Ends(before, after), left, came, LEAST, colour), red


def test_of_two_things_that_were_moved_the_instruction_tells_the_one():
    unsaid, red = two_moved(None)
    assert float(iou(unsaid.thing[None], red[None])[0]) > 0.7
    assert float(iou(two_moved("blue")[0].thing[None], BLOCK[None])[0]) > 0.7
    assert float(iou(two_moved("red")[0].thing[None], red[None])[0]) > 0.7


def test_a_colour_that_nothing_has_changes_nothing_but_the_certainty():
    unsaid, said = two_moved(None)[0], two_moved("green")[0]
    assert torch.equal(said.thing, unsaid.thing)
    assert said.score < unsaid.score
