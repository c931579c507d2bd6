"""How things are handled in the pictures of a camera on the tool."""

import cv2
import numpy as np
import pytest

from m2iv_robot.augment.wrist import held_during, turned_in_hand


@pytest.fixture
def tool():
    """Turns about the vertical by 0.1 rad a frame, and leans a little."""
    poses = np.tile(np.eye(4), (10, 1, 1))
    for frame in range(10):
        poses[frame, :3, :3] = cv2.Rodrigues(np.array([0, 0, 0.1 * frame]))[0] @ np.diag([1.0, -1.0, -1.0])
    poses[5, :3, :3] = cv2.Rodrigues(np.array([0.2, 0, 0]))[0] @ poses[5, :3, :3]
    return poses


def test_a_thing_turns_with_the_tool_that_holds_it(tool):
    turn = turned_in_hand(tool, (3, 8))
    assert np.allclose(turn[:4], np.eye(3))
    assert np.allclose(turn[5] @ tool[3, :3, :3], tool[5, :3, :3])
    assert np.allclose(turn[7], cv2.Rodrigues(np.array([0, 0, 0.4]))[0])


def test_a_thing_that_was_left_stands_upright(tool):
    turn = turned_in_hand(tool, (3, 6))  # left while it leaned
    assert np.allclose(turn[6:, 2], [0, 0, 1])
    assert np.allclose(turn[6:, :, 2], [0, 0, 1])


def test_it_is_held_from_the_grasp_until_the_release():
    assert held_during((2, 4), 6).tolist() == [False, False, True, True, False, False]
