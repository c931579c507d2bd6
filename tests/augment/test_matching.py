"""Which real frame shows the arm as planned."""

import numpy as np
import pytest

from m2iv_robot.augment.matching import JUMP_PX, OPENING_PX, arm_distance, steady_match


def test_distance_is_the_root_mean_square_of_the_points_and_the_gripper():
    planned = np.zeros((1, 2, 2))
    real = np.array([[[3.0, 4.0], [0.0, 0.0]], [[np.nan, 0.0], [0.0, 0.0]]])[:1]
    found = arm_distance(planned, real, (np.array([1.0]), np.array([0.5])))
    assert found[0, 0] == pytest.approx(np.sqrt(25 / 2 + (OPENING_PX / 2) ** 2))


def test_points_that_are_not_seen_in_some_frame_do_not_count():
    planned, real = np.zeros((1, 2, 2)), np.zeros((2, 2, 2))
    real[1, 0] = np.nan
    real[:, 1] = 2.0
    found = arm_distance(planned, real, (np.zeros(1), np.zeros(2)))
    assert found == pytest.approx(np.full((1, 2), np.sqrt(8.0)))


def test_the_nearest_frames_are_taken_in_their_order():
    distance = np.abs(np.arange(10)[:, None] - np.arange(10)[None]) * 5.0
    assert steady_match(distance, np.zeros(10, int), np.ones(10, bool)).tolist() == list(range(10))


def test_a_small_gain_is_not_worth_a_jump_and_a_large_one_is():
    episode, usable = np.array([0, 1]), np.ones(2, bool)
    small = np.array([[0.0, 9.0], [0.4 * JUMP_PX, 0.0], [0.0, 9.0]])
    assert steady_match(small, episode, usable).tolist() == [0, 0, 0]
    large = np.array([[0.0, 9.0], [2.5 * JUMP_PX, 0.0], [0.0, 9.0]])
    assert steady_match(large, episode, usable).tolist() == [0, 1, 0]


def test_frames_without_an_arm_are_never_taken():
    distance = np.array([[0.0, 5.0], [0.0, 5.0]])
    assert steady_match(distance, np.zeros(2, int), np.array([False, True])).tolist() == [1, 1]
