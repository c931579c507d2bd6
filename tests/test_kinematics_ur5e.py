"""The UR5e against its published Denavit-Hartenberg parameters, with the columns that its contract records."""

import numpy as np
import pytest
import torch

from m2iv_robot.kinematics import RobotConfig, build_kinematics
from m2iv_robot.recording import load_contract

# a (m), d (m), alpha (rad) of joints 1 to 6.
# Source: Universal Robots, "DH Parameters for calculations of kinematics and dynamics"
TABLE = [
    (0.0, 0.1625, np.pi / 2),
    (-0.425, 0.0, 0.0),
    (-0.3922, 0.0, 0.0),
    (0.0, 0.1333, np.pi / 2),
    (0.0, 0.0997, -np.pi / 2),
    (0.0, 0.0996, 0.0),
]


@pytest.fixture
def ur5e():
    contract = load_contract("ur5e_robotiq")
    names = tuple(contract.names("observation.state"))
    return build_kinematics(RobotConfig(), names, names, contract.config.robot_type)


@pytest.fixture
def motion():
    """Around a posture that reaches downwards: t 7, radians and the gripper's opening."""
    phase = np.linspace(0, 1, 40)[:, None]
    middle = np.array([0.3, -1.4, 1.8, -1.9, -1.5, 0.4, 0.5])
    return torch.tensor(middle + 0.3 * np.sin(2 * np.pi * phase * np.linspace(0.5, 1.1, 7) + np.arange(7)))


def flange_by_table(angles_rad):
    pose = np.eye(4)
    for (a, d, alpha), theta in zip(TABLE, angles_rad, strict=True):
        (ct, st), (ca, sa) = ((np.cos(angle), np.sin(angle)) for angle in (theta, alpha))
        turn = [[ct, -st * ca, st * sa, a * ct], [st, ct * ca, -ct * sa, a * st], [0, sa, ca, d], [0, 0, 0, 1]]
        pose = pose @ np.array(turn)
    return pose


def test_the_flange_is_where_the_published_parameters_put_it(ur5e, motion):
    for state, pose in zip(motion, ur5e.forward(motion), strict=True):
        np.testing.assert_allclose(pose, flange_by_table(state[:6].numpy()), atol=1e-9)


def test_states_come_back_from_poses_with_the_gripper_untouched(ur5e, motion):
    seed = motion + torch.tensor([0.05] * 6 + [0.0], dtype=torch.float64)
    result = ur5e.inverse(ur5e.forward(motion), seed)
    assert result.position_error_m.max() < 1e-5
    torch.testing.assert_close(result.states[:, 6], motion[:, 6])
    np.testing.assert_allclose(ur5e.gripper_opening(motion), motion[:, 6].numpy().clip(0, 1), atol=1e-9)
    assert ur5e.actions is not None
