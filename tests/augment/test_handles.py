"""Points of an arm in the picture by which it is bent."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from m2iv_robot.augment.handles import AROUND_M, links_px
from m2iv_robot.camera import Camera, CameraFit
from m2iv_robot.config import preset
from m2iv_robot.kinematics import RobotConfig, build_kinematics

NAMES = ("x", "y", "z", "roll", "pitch", "yaw", "gripper")
LINKS, CORNERS = 8, 7  # the base and seven joints; six sides and the middle


@pytest.fixture(scope="module")
def franka():
    return build_kinematics(preset(RobotConfig, "robot", "franka_cartesian"), NAMES, (), "franka")


@pytest.fixture(scope="module")
def states():
    rows = [[0.4, -0.1, 0.3], [0.5, 0.0, 0.25], [0.55, 0.1, 0.3]]
    return torch.tensor([[*row, np.pi, 0.0, 0.0, 0.0] for row in rows], dtype=torch.float64)


@pytest.fixture(scope="module")
def fit():
    """Two metres above the table, looking straight down."""
    rotation = np.array([[0.0, -1.0, 0.0], [-1.0, 0.0, 0.0], [0.0, 0.0, -1.0]])
    camera = Camera(200.0, 320, 240, rotation, -rotation @ np.array([0.4, 0.0, 2.0]))
    nothing = np.zeros((0, 2)), np.zeros(0, dtype=bool), np.zeros((10, 10))
    return CameraFit(camera, np.zeros(3), np.array([0.0, 0.0, 0.165]), {}, *nothing, whole_arm=True)


def test_the_base_stands_and_the_last_link_moves_with_the_tool(franka, states, fit):
    points = links_px(franka, states, fit).reshape(len(states), LINKS, CORNERS, 2)
    assert np.ptp(points[:, 0], axis=0).max() < 1e-6
    flange = fit.camera.project(franka.forward(states)[:, :3, 3])
    last = fit.camera.project(franka.link_poses(states)[:, 7, :3, 3])
    np.testing.assert_allclose(points[:, 7, -1], last, atol=1e-6)
    assert np.linalg.norm(np.diff(points[:, 7, -1], axis=0), axis=1) == pytest.approx(
        np.linalg.norm(np.diff(flange, axis=0), axis=1), rel=0.2
    )


def test_corners_stand_around_the_middle_of_each_link(franka, states, fit):
    points = links_px(franka, states, fit).reshape(len(states), LINKS, CORNERS, 2)
    away = np.linalg.norm(points[:, :, :-1] - points[:, :, -1:], axis=-1)
    nearest_m = 2.0 - franka.link_poses(states)[..., 2, 3].max() - AROUND_M
    assert away.max() <= 1.05 * AROUND_M * fit.camera.focal_px / nearest_m


def test_links_are_not_used_where_the_camera_does_not_show_them_in_their_place(franka, states, fit):
    assert links_px(franka, states, replace(fit, whole_arm=False)).shape == (3, 0, 2)
    shapeless = replace(preset(RobotConfig, "robot", "franka_cartesian"), surface="")
    assert links_px(build_kinematics(shapeless, NAMES, (), "franka"), states, fit).shape == (3, 0, 2)
