"""The manner of taking hold, read off grasps whose tilt and finger direction are known."""

import numpy as np
import pytest
import torch
from scipy.spatial.transform import Rotation

from m2iv_robot.kinematics import RobotConfig, build_kinematics
from m2iv_robot.retarget.manner import Manner, recorded_manners
from m2iv_robot.retarget.robot import arm_axes

JOINTS = ("shoulder_pan", "shoulder_lift", "elbow_flex", "wrist_flex", "wrist_roll", "gripper")
NAMES = tuple(f"{joint}.pos" for joint in JOINTS)
FPS, HELD, LENGTH = 10.0, (12, 40), 60


@pytest.fixture(scope="module")
def kinematics():
    return build_kinematics(RobotConfig(), NAMES, NAMES, "so101_follower")


@pytest.fixture(scope="module")
def axes(kinematics):
    return arm_axes(kinematics, np.array([0.0, -20.0, 40.0, 60.0, 0.0, 0.0]))


def recording(kinematics, axes, reach_m: float, azimuth: float, tilt: float, turn: float) -> np.ndarray:
    """States of an episode that stands still over its grasp: out at `reach_m`, tool tilted, fingers turned besides."""
    pose = np.eye(4)
    level = Rotation.from_euler("z", azimuth) * Rotation.from_euler("y", np.pi - tilt) * Rotation.from_euler("z", turn)
    pose[:3, :3] = level.as_matrix()
    pose[:3, 3] = (*(np.asarray(axes.pivot_xy) + reach_m * np.array([np.cos(azimuth), np.sin(azimuth)])), 0.05)
    seed = torch.tensor([[0.0, -20.0, 40.0, 60.0, 0.0, 0.0]], dtype=torch.float64)
    found = kinematics.inverse(pose[None], seed)
    assert found.position_error_m[0] < 1e-3
    states = np.repeat(found.states.numpy(), LENGTH, axis=0)
    states[:, 5] = 60.0
    states[HELD[0] : HELD[1], 5] = 20.0
    return states


def manners_of(kinematics, axes, turns_back: float, count: int = 6) -> dict[str, Manner]:
    reaches = np.linspace(0.22, 0.30, count)[np.random.default_rng(0).permutation(count)]
    azimuths = np.linspace(-0.5, 0.3, count)
    states = [
        recording(kinematics, axes, reach, azimuth, 0.2 + 3.0 * (reach - 0.22), turns_back * azimuth)
        for reach, azimuth in zip(reaches, azimuths, strict=True)
    ]
    return recorded_manners(states, FPS, kinematics, axes)


def test_tilt_over_distance_and_fingers_that_follow_the_arm_are_read_off_the_grasps(kinematics, axes):
    manner = manners_of(kinematics, axes, turns_back=0.0)["start"]
    assert manner.follows_arm
    assert manner.tilt_change(0.24, 0.28) == pytest.approx(0.12, abs=0.02)
    assert manner.tilt_change(0.28, 0.24) == pytest.approx(-0.12, abs=0.02)
    assert manner.tilt_change(0.30, 0.60) == manner.tilt_change(0.30, 0.40)


def test_fingers_that_keep_to_a_direction_on_the_table_do_not_follow_the_arm(kinematics, axes):
    assert not manners_of(kinematics, axes, turns_back=1.0)["start"].follows_arm


def test_a_few_grasps_or_grasps_at_one_place_tell_nothing(kinematics, axes):
    assert manners_of(kinematics, axes, turns_back=0.0, count=3)["start"] == Manner()
    same = [recording(kinematics, axes, 0.25, 0.1, 0.3, 0.0)] * 6
    manner = recorded_manners(same, FPS, kinematics, axes)["start"]
    assert not manner.follows_arm
    assert manner.tilt_change(0.2, 0.3) == 0.0


def test_an_arm_that_holds_any_orientation_has_no_manner(kinematics):
    assert recorded_manners([], FPS, kinematics, None) == {"start": Manner(), "goal": Manner()}
