"""Motions in the picture alone: the arm that is nearest, and nothing but the arm."""

import numpy as np
import pytest
import torch

from m2iv_robot.augment.drawable import ArmCheck
from m2iv_robot.augment.records import AugmentConfig
from m2iv_robot.augment.sketch import sketch_motion, tips_and_roots
from m2iv_robot.data.lerobot_io import EpisodeLabels
from m2iv_robot.errors import PlanError
from m2iv_robot.masks import centroid, shift
from m2iv_robot.plan import Plan
from m2iv_robot.plan.records import SourceEpisode
from m2iv_robot.types import MaskTrajectory, Placement

LENGTH, HEIGHT, WIDTH, GRASP, RELEASE = 30, 60, 100, 10, 20
START_X, GOAL_X = 20, 70


def source() -> SourceEpisode:
    """An arm from the upper border that comes to a block, carries it to the right, and leaves; a speck in a corner."""
    actor, block = (torch.zeros(LENGTH, HEIGHT, WIDTH, dtype=torch.bool) for _ in range(2))
    places = np.concatenate([
        np.linspace(80, START_X, GRASP), np.linspace(START_X, GOAL_X, RELEASE - GRASP), np.linspace(GOAL_X, 40, 10)
    ]).round().astype(int)  # fmt: skip
    for frame, x in enumerate(places):
        actor[frame, :38, x - 3 : x + 3] = True
        at = START_X if frame < GRASP else GOAL_X if frame >= RELEASE else x
        block[frame, 40:48, at - 4 : at + 4] = True
    actor[:, 55:, 95:] = True
    labels = EpisodeLabels("drawn", 0, None, None, (), (), 10.0, "move the block", None, LENGTH)
    masks = MaskTrajectory(actor, block, torch.ones(LENGTH))
    return SourceEpisode(labels, masks, None, (), block[0], block[-1])


def moved(one: SourceEpisode, shift_px: tuple[float, float]) -> Plan:
    placement = Placement("start", shift(one.start, shift_px, 1.0), one.goal, shift_px, 1.0, None, 0.0, None)
    return Plan(0, placement, None)


def test_tip_and_root_are_those_of_the_arm_and_not_of_a_speck_elsewhere():
    one = source()
    tips, roots = tips_and_roots(one.masks.actor)
    assert abs(tips[GRASP] - [START_X - 0.5, 37]).max() < 2
    assert roots[GRASP][1] < 0


def test_the_arm_of_each_frame_is_the_nearest_one_of_its_own_phase():
    one = source()
    motion, bend = sketch_motion(moved(one, (15.0, 0.0)), one)
    held = range(GRASP + 1, RELEASE)
    assert all(GRASP <= motion.actor_frame[frame] <= RELEASE for frame in held)
    assert motion.actor_frame[GRASP + 1] > GRASP + 1  # carried on from where the block lies now
    assert bend[motion.shown].max() < 8
    at = motion.object_goal_px[GRASP]
    assert np.linalg.norm(at - centroid(one.start).numpy() - np.array([15.0, 0.0])) < 2


def test_a_place_that_no_arm_was_seen_at_is_refused_while_planning():
    one = source()
    check = ArmCheck(AugmentConfig())
    check(moved(one, (15.0, 0.0)), [one], None, None)
    with pytest.raises(PlanError, match="never seen nearly so"):
        check(moved(one, (0.0, 30.0)), [one], None, None)
