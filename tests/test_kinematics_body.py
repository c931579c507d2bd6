"""The links of an arm whose recordings know the tool alone, its fingers, and its surface."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from m2iv_robot.config import preset
from m2iv_robot.errors import KinematicsError
from m2iv_robot.kinematics import RobotConfig, build_kinematics
from m2iv_robot.kinematics.body import ArmBody, UsualPosture
from m2iv_robot.kinematics.urdf import followers

NAMES = ("x", "y", "z", "roll", "pitch", "yaw", "gripper")
FLANGE = np.array([0.0, 0.0, 0.107, 1.0])  # in the last link
LAST, LEFT, RIGHT = 7, 9, 11  # links: what joint 7 turns, and both fingers


@pytest.fixture(scope="module")
def config():
    return preset(RobotConfig, "robot", "franka_cartesian")


@pytest.fixture(scope="module")
def franka(config):
    return build_kinematics(config, NAMES, NAMES, "franka")


def path(count: int, opening: float = 0.0) -> torch.Tensor:
    """States along a path before the arm, tool down."""
    along = np.linspace(0.0, 1.0, count)
    places = np.stack([0.4 + 0.2 * along, 0.3 * along - 0.15, 0.35 - 0.1 * along], axis=1)
    angles = np.tile([np.pi, 0.1, 0.2], (count, 1))
    return torch.tensor(np.concatenate([places, angles, np.full((count, 1), opening)], axis=1))


def test_the_last_link_brings_the_tool_to_where_it_was_recorded(franka):
    states = path(12)
    links, tool = franka.link_poses(states), franka.forward(states)
    np.testing.assert_allclose((links[:, LAST] @ FLANGE)[:, :3], tool[:, :3, 3], atol=1e-6)
    np.testing.assert_allclose(links[:, LAST, :3, :3], tool[:, :3, :3], atol=1e-6)


def test_links_move_steadily_along_a_path(franka):
    links = franka.link_poses(path(60))
    steps = np.linalg.norm(np.diff(links[..., :3, 3], axis=0), axis=-1)
    assert steps.max() < 0.02  # the tool goes 38 cm in 59 steps


def test_a_redundant_arm_keeps_the_elbow_that_it_came_with(config):
    posture = UsualPosture(config)
    one = posture.angles(build_kinematics(config, NAMES, (), "franka").forward(path(20)))
    alone = posture.angles(build_kinematics(config, NAMES, (), "franka").forward(path(20)[-1:]))
    assert np.abs(np.diff(one, axis=0)).max() < 0.1
    assert np.abs(one[-1] - alone[0]).max() > 0.01  # nearest to the posture before, not to the usual one


def test_fingers_close_without_turning(franka):
    opened, closed = (franka.link_poses(path(1, gripper))[0] for gripper in (0.0, 1.0))
    for finger in (LEFT, RIGHT):
        turned = opened[finger, :3, :3].T @ closed[finger, :3, :3]
        np.testing.assert_allclose(turned, np.eye(3), atol=1e-9)
    apart = [np.linalg.norm(pose[LEFT, :3, 3] - pose[RIGHT, :3, 3]) for pose in (opened, closed)]
    assert apart[0] - apart[1] == pytest.approx(0.085, abs=0.006)  # the gripper's stroke


def test_every_link_has_a_surface(franka):
    surface = franka.surface
    assert set(surface.link.tolist()) == set(range(franka.link_poses(path(1)).shape[1]))
    assert np.linalg.norm(surface.normals, axis=1) == pytest.approx(1.0)


def test_joints_that_mimic_another_are_told_with_their_ratio():
    urdf = (
        '<robot><joint name="a"/><joint name="b"><mimic joint="a" multiplier="-2" offset="0.5"/></joint>'
        '<joint name="c"><mimic joint="b"/></joint></robot>'
    )
    assert followers(urdf, "a") == {"a": (1.0, 0.0), "b": (-2.0, 0.5)}


def test_without_a_usual_posture_links_are_not_known(config):
    bare = build_kinematics(replace(config, posture_deg=[]), NAMES, (), "franka")
    assert bare.surface is None
    with pytest.raises(KinematicsError, match="posture_deg"):
        bare.link_poses(path(2))


def test_a_posture_of_too_few_angles_is_refused(config):
    with pytest.raises(KinematicsError, match="3 angles, the arm 7 joints"):
        UsualPosture(replace(config, posture_deg=[0.0, 1.0, 2.0]))


def test_a_body_without_gripper_ends_with_the_last_joint(config):
    body = ArmBody(replace(config, gripper_joint=""))
    assert body.poses(np.zeros((2, 7)), np.zeros(2)).shape == (2, 8, 4, 4)
