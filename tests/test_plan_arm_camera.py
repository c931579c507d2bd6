"""Where an object lies in the hand, from where it was seen."""

import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from m2iv_robot.camera import Camera
from m2iv_robot.plan.arm_camera import in_hand


def test_an_object_seen_beside_the_tool_lies_there_in_the_hand():
    rotation = np.array([[1.0, 0.0, 0.0], [0.0, -1.0, 0.0], [0.0, 0.0, -1.0]])  # looks straight down
    camera = Camera(400.0, 320, 240, rotation, np.array([0.0, 0.0, 1.0]))
    tool = np.eye(4)
    tool[:3, :3] = Rotation.from_euler("xyz", [180, 0, 30], degrees=True).as_matrix()
    tool[:3, 3] = [0.1, -0.05, 0.02]
    lies = np.array([-0.02, 0.005, 0.0])  # in the tool's frame, level with its tip
    seen = camera.project((tool[:3, :3] @ lies + tool[:3, 3])[None])[0]
    assert in_hand(tool, seen, camera, np.zeros(3)) == pytest.approx(lies, abs=1e-9)


def test_what_is_held_by_fingertips_before_the_tool_lies_at_their_height():
    rotation = np.array([[1.0, 0.0, 0.0], [0.0, -0.6, -0.8], [0.0, 0.8, -0.6]])  # looks down at a slant
    camera = Camera(400.0, 320, 240, rotation, np.array([0.0, 0.1, 1.0]))
    tool = np.eye(4)
    tool[:3, :3] = Rotation.from_euler("xyz", [180, 0, 30], degrees=True).as_matrix()
    tool[:3, 3] = [0.02, -0.05, 0.18]
    lies = np.array([-0.01, 0.005, 0.165])
    seen = camera.project((tool[:3, :3] @ lies + tool[:3, 3])[None])[0]
    assert in_hand(tool, seen, camera, np.array([0.0, 0.0, 0.165])) == pytest.approx(lies, abs=1e-9)
