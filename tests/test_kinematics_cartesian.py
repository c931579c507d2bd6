from dataclasses import replace

import numpy as np
import pyarrow.parquet as parquet
import pytest
import torch
from scipy.spatial.transform import Rotation

from m2iv_robot.config import preset
from m2iv_robot.kinematics import RobotConfig, build_kinematics

NAMES = ("x", "y", "z", "roll", "pitch", "yaw", "gripper")


@pytest.fixture
def franka():
    return build_kinematics(RobotConfig(), NAMES, NAMES, "franka")


def test_angles_turn_about_the_fixed_axes_in_order(franka):
    roll, pitch, yaw = 0.3, -0.4, 1.2
    pose = franka.forward(torch.tensor([[0.1, 0.2, 0.3, roll, pitch, yaw, 0.0]], dtype=torch.float64))[0]
    about = [Rotation.from_rotvec(vector).as_matrix() for vector in ([roll, 0, 0], [0, pitch, 0], [0, 0, yaw])]
    np.testing.assert_allclose(pose[:3, :3], about[2] @ about[1] @ about[0], atol=1e-12)
    np.testing.assert_allclose(pose[:3, 3], [0.1, 0.2, 0.3])


def test_inverse_keeps_the_turn_that_the_seed_has(franka):
    seed = torch.tensor([[0.1, 0.2, 0.3, 3.1, 0.1, 0.2, 0.4], [0.1, 0.2, 0.3, 3.2, 0.1, 0.2, 0.6]], dtype=torch.float64)
    poses = franka.forward(seed)
    result = franka.inverse(poses, seed)
    torch.testing.assert_close(result.states, seed)
    beyond = seed.clone()
    beyond[:, 3] -= 2 * np.pi
    torch.testing.assert_close(franka.inverse(poses, beyond).states, beyond)
    assert result.rotation_error_rad.max() < 1e-9


@pytest.mark.parametrize(
    ("rotation", "columns", "values"),
    [
        ("rotation_vector", ["rx", "ry", "rz"], [0.0, 3.3, 0.1]),
        ("quaternion_xyzw", ["qx", "qy", "qz", "qw"], [-0.5, 0.5, -0.5, 0.5]),
        ("none", [], []),
    ],
)
def test_other_ways_to_write_a_rotation_come_back_as_they_were(rotation, columns, values):
    config = replace(preset(RobotConfig, "robot", "franka_cartesian"), rotation=rotation, rotation_columns=columns)
    kinematics = build_kinematics(config, ("x", "y", "z", *columns, "gripper"))
    states = torch.tensor([[0.4, 0.1, 0.3, *values, 0.2]], dtype=torch.float64)
    torch.testing.assert_close(kinematics.inverse(kinematics.forward(states), states).states, states)


def test_gripper_runs_from_open_to_closed(franka):
    states = torch.zeros(3, 7)
    states[:, 6] = torch.tensor([0.0, 0.25, 1.0])
    np.testing.assert_allclose(franka.gripper_opening(states), [1.0, 0.75, 0.0])


def test_recorded_poses_are_the_flange_of_the_recorded_joints(franka, real_data):
    """Panda's Denavit-Hartenberg parameters (Craig's convention) from its manual; the flange is 0.107 m beyond."""
    lengths, turns = [0, 0, 0, 0.0825, -0.0825, 0, 0.088], [0, -1, 1, 1, -1, 1, 1]
    offsets = [0.333, 0, 0.316, 0, 0.384, 0, 0]
    path = next((real_data / "droid_blocks" / "data").glob("chunk-*/file-*.parquet"))
    table = parquet.read_table(path, columns=["observation.state", "observation.joints"]).slice(0, 40).to_pydict()
    poses = franka.forward(torch.tensor(table["observation.state"]))
    for joints, pose in zip(table["observation.joints"], poses, strict=True):
        expected = np.eye(4)
        for length, turn, offset, angle in zip(lengths, turns, offsets, joints[:7], strict=True):
            for rotation, shift in (([turn * np.pi / 2, 0, 0], [length, 0, 0]), ([0, 0, angle], [0, 0, offset])):
                step = np.eye(4)
                step[:3, :3] = Rotation.from_rotvec(rotation).as_matrix()
                step[:3, 3] = shift
                expected = expected @ step
        expected[:3, 3] += 0.107 * expected[:3, 2]
        np.testing.assert_allclose(pose, expected, atol=1e-5)
