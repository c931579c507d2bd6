import xml.etree.ElementTree as ElementTree
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from scipy.spatial.transform import Rotation

from m2iv_robot.config import preset
from m2iv_robot.errors import ConfigError, KinematicsError
from m2iv_robot.kinematics import ImagePlaneOnly, JointKinematics, RobotConfig, build_kinematics, choose_robot
from m2iv_robot.kinematics.urdf import read_urdf

JOINTS = ("shoulder_pan", "shoulder_lift", "elbow_flex", "wrist_flex", "wrist_roll")
SO101 = (*(f"{name}.pos" for name in JOINTS), "gripper.pos")
POSE = ("x", "y", "z", "roll", "pitch", "yaw", "gripper")


@pytest.fixture
def so101():
    return build_kinematics(RobotConfig(), SO101, SO101, "so101_follower")


@pytest.fixture
def motion():
    """A smooth motion within the arm's range: t 6, degrees and gripper percent."""
    phase = np.linspace(0, 1, 60)[:, None]
    middle, swing = np.array([10, -20, 30, 60, 5, 50]), np.array([30, 25, 25, 20, 40, 30])
    rates, shifts = np.array([0.7, 1.1, 0.9, 0.6, 0.5, 1.0]), np.arange(6)
    return torch.tensor(middle + swing * np.sin(2 * np.pi * phase * rates + shifts))


def chain_by_hand(angles_rad: dict[str, float], tip: str) -> np.ndarray:
    """Pose of a link by multiplying the URDF's origins and turns, upwards from the tip."""
    root = ElementTree.fromstring(read_urdf("so101.urdf"))
    by_child = {joint.find("child").get("link"): joint for joint in root.iter("joint")}
    pose, link = np.eye(4), tip
    while link in by_child:
        joint = by_child[link]
        origin, turn = np.eye(4), np.eye(4)
        numbers = {key: [float(part) for part in joint.find("origin").get(key).split()] for key in ("xyz", "rpy")}
        origin[:3, :3] = Rotation.from_euler("xyz", numbers["rpy"]).as_matrix()
        origin[:3, 3] = numbers["xyz"]
        turn[:3, :3] = Rotation.from_rotvec([0, 0, angles_rad.get(joint.get("name"), 0.0)]).as_matrix()
        pose, link = origin @ turn @ pose, joint.find("parent").get("link")
    return pose


def test_forward_equals_the_product_of_the_urdf_transforms(so101, motion):
    poses = so101.forward(motion)
    for state, pose in zip(motion[::10], poses[::10], strict=True):
        angles = dict(zip(JOINTS, np.radians(state[:5].numpy()), strict=True))
        np.testing.assert_allclose(pose, chain_by_hand(angles, "gripper_frame_link"), atol=1e-9)


def test_inverse_undoes_forward_from_a_seed_that_is_off(so101, motion, generator):
    seed = motion + 8 * torch.randn(motion.shape, generator=generator, dtype=torch.float64)
    result = so101.inverse(so101.forward(motion), seed)
    assert result.position_error_m.max() < 1e-6
    assert result.rotation_error_rad.max() < 1e-4
    torch.testing.assert_close(result.states[:, :5], motion[:, :5], atol=1e-2, rtol=0)
    torch.testing.assert_close(result.states[:, 5], seed[:, 5])  # the gripper is not touched


def test_inverse_reaches_shifted_positions_smoothly_within_the_limits(so101, motion):
    poses = so101.forward(motion)
    poses[:, :3, 3] += [0.03, 0.04, 0.02]
    result = so101.inverse(poses, motion)
    assert result.position_error_m.max() < 1e-4
    reached = so101.forward(result.states)[:, :3, 3]
    np.testing.assert_allclose(reached, poses[:, :3, 3], atol=1e-4)
    assert np.abs(np.diff(result.states.numpy(), axis=0)).max() < 2 * np.abs(np.diff(motion.numpy(), axis=0)).max()
    assert (result.states.numpy() >= so101.limits.lower - 1e-6).all()
    assert (result.states.numpy() <= so101.limits.upper + 1e-6).all()


def test_inverse_reports_how_far_off_an_unreachable_pose_stays(so101, motion):
    poses = so101.forward(motion[:3])
    poses[:, :3, 3] = [2.0, 0.0, 0.1]
    result = so101.inverse(poses, motion[:3])
    missed = np.linalg.norm(so101.forward(result.states)[:, :3, 3] - poses[:, :3, 3], axis=1)
    np.testing.assert_allclose(result.position_error_m, missed, atol=1e-6)
    assert missed.min() > 1.4  # the arm is half a metre long


def test_states_keep_their_type(so101, motion):
    result = so101.inverse(so101.forward(motion.float()), motion.float())
    assert result.states.dtype == torch.float32


def test_unit_sign_and_offset_of_a_joint(motion):
    plain = build_kinematics(preset(RobotConfig, "robot", "so101"), SO101)
    turned = replace(
        plain.config,
        joint_units=["radian"],
        joint_signs=[-1.0, 1.0, 1.0, 1.0, 1.0],
        joint_offsets_deg=[15.0, 0.0, 0.0, 0.0, 0.0],
    )
    recorded = torch.deg2rad(motion)
    recorded[:, 0] = -torch.deg2rad(motion[:, 0] - 15.0)
    other = build_kinematics(turned, SO101)
    np.testing.assert_allclose(other.forward(recorded), plain.forward(motion), atol=1e-9)
    assert other.limits.upper[1] == pytest.approx(np.radians(plain.limits.upper[1]))


def test_range_unit_spans_the_joint_limits(motion):
    ranged = build_kinematics(replace(preset(RobotConfig, "robot", "so101"), joint_units=["range100"]), SO101)
    np.testing.assert_allclose(ranged.limits.lower[:5], -100)
    np.testing.assert_allclose(ranged.limits.upper[:5], 100)


@pytest.mark.parametrize(
    ("robot_type", "names", "chosen"),
    [
        ("so101_follower", SO101, "so101"),
        ("so100_follower", SO101, "so100"),
        ("so100", tuple(f"main_{name}" for name in (*JOINTS, "gripper")), "so100"),
        (None, SO101, "so101"),
        ("franka", POSE, "franka_cartesian"),
        ("another_arm", POSE, "franka_cartesian"),
        ("so101", POSE, "franka_cartesian"),
        ("widowx", (), "none"),
        ("aloha", ("waist", "shoulder"), "none"),
    ],
)
def test_robot_is_chosen_by_type_then_by_names(robot_type, names, chosen):
    assert choose_robot(RobotConfig(), robot_type, names).name == chosen


@pytest.mark.parametrize("robot_type", ["bi_so100_follower", "bi_so_follower", "biso101", None])
def test_two_arms_are_refused(robot_type):
    names = tuple(f"{side}_{name}" for side in ("left", "right") for name in SO101)
    with pytest.raises(KinematicsError, match="two arms"):
        choose_robot(RobotConfig(), robot_type, names)


def test_action_kinematics_only_where_the_action_has_the_columns():
    assert build_kinematics(RobotConfig(), SO101, SO101[:3], "so101").actions is None
    both = build_kinematics(RobotConfig(), SO101, SO101[::-1], "so101")
    states = torch.tensor([[5.0, -30.0, 40.0, 50.0, 0.0, 20.0]])
    np.testing.assert_allclose(both.actions.forward(states.flip(1)), both.forward(states), atol=1e-12)


def test_urdf_that_does_not_match_the_state_names_the_joints(tmp_path):
    config = replace(preset(RobotConfig, "robot", "so101"), joint_names=["waist", "shoulder_lift"], joint_columns=[])
    with pytest.raises(KinematicsError, match="1 of 2 joints are not in it: waist; it has 6"):
        build_kinematics(config, ("waist", "shoulder_lift", "gripper"))
    with pytest.raises(KinematicsError, match=r"2 are not there: wrist_flex, wrist_roll; the state has 4"):
        build_kinematics(
            preset(RobotConfig, "robot", "so101"), ("shoulder_pan", "shoulder_lift", "elbow_flex", "gripper")
        )
    with pytest.raises(KinematicsError, match="no link 'hand'"):
        build_kinematics(replace(preset(RobotConfig, "robot", "so101"), tool_frame="hand"), SO101)
    with pytest.raises(KinematicsError, match="neither a file nor shipped"):
        build_kinematics(replace(preset(RobotConfig, "robot", "so101"), urdf=str(tmp_path / "arm.urdf")), SO101)
    broken = tmp_path / "broken.urdf"
    broken.write_text("<robot name='a'>")
    with pytest.raises(KinematicsError, match="not readable XML"):
        build_kinematics(replace(preset(RobotConfig, "robot", "so101"), urdf=str(broken)), SO101)


def test_urdf_without_limits_turns_freely(tmp_path):
    path = tmp_path / "arm.urdf"
    path.write_text(
        """<robot name="pendulum"><link name="base"/><link name="arm"/><link name="tip"/>
        <joint name="swing" type="continuous"><parent link="base"/><child link="arm"/><axis xyz="0 0 1"/></joint>
        <joint name="end" type="fixed"><parent link="arm"/><child link="tip"/><origin xyz="1 0 0"/></joint></robot>"""
    )
    config = RobotConfig(kind="joints", urdf=str(path), tool_frame="tip", joint_names=["swing"])
    kinematics = build_kinematics(config, ("swing", "gripper"))
    states = torch.tensor([[0.0, 1.0], [90.0, 1.0], [270.0, 1.0]])
    expected = [[1, 0, 0], [0, 1, 0], [0, -1, 0]]
    np.testing.assert_allclose(kinematics.forward(states)[:, :3, 3], expected, atol=1e-9)


def test_bad_numbers_in_the_state_are_named(so101, motion):
    motion[7, 2] = float("nan")
    with pytest.raises(KinematicsError, match=r"frame 7: elbow_flex\.pos is nan"):
        so101.forward(motion)
    with pytest.raises(KinematicsError, match="7 columns, but 6 names"):
        so101.forward(torch.zeros(2, 7))


def test_config_refuses_what_cannot_be():
    with pytest.raises(ConfigError, match=r"robot\.kind must be one of"):
        RobotConfig(kind="legs")
    with pytest.raises(ConfigError, match=r"robot\.joint_signs must be 1 or -1"):
        replace(preset(RobotConfig, "robot", "so101"), joint_signs=[0.5])
    with pytest.raises(ConfigError, match=r"robot\.joint_units needs 1 or 5"):
        replace(preset(RobotConfig, "robot", "so101"), joint_units=["degree", "radian"])
    with pytest.raises(ConfigError, match=r"robot\.rotation_columns needs 4"):
        replace(preset(RobotConfig, "robot", "franka_cartesian"), rotation="quaternion_xyzw")


def test_without_kinematics_the_run_says_what_it_costs():
    nothing = build_kinematics(RobotConfig(), (), (), "widowx")
    assert isinstance(nothing, ImagePlaneOnly)
    assert not nothing.metric
    assert "image plane only" in nothing.cost
    assert "widowx" in nothing.cost
    with pytest.raises(KinematicsError, match="no tool pose"):
        nothing.forward(torch.zeros(3, 0))
    assert nothing.within_reach(np.zeros((2, 3))).all()


def test_gripper_opening_without_kinematics(motion):
    config = replace(preset(RobotConfig, "robot", "none"), gripper_open=50.0)
    nothing = build_kinematics(config, SO101)
    np.testing.assert_allclose(nothing.gripper_opening(motion), np.clip(motion[:, 5] / 50, 0, 1))


def test_reach_is_a_ring_inside_a_box(so101):
    points = np.array([[0.25, 0.0, 0.05], [0.02, 0.0, 0.05], [0.25, 0.0, 0.9], [0.44, 0.3, 0.05]])
    assert so101.within_reach(points).tolist() == [True, False, False, False]


def test_so101_agrees_with_lerobots_kinematics(motion):
    kinematics = pytest.importorskip("lerobot.model.kinematics")
    import configs.robot

    path = Path(next(iter(configs.robot.__path__))) / "so101.urdf"
    other = kinematics.RobotKinematics(str(path), "gripper_frame_link", list(JOINTS))
    ours = JointKinematics(preset(RobotConfig, "robot", "so101"), SO101)
    for state in motion[::15]:
        expected = other.forward_kinematics(state.numpy())
        np.testing.assert_allclose(ours.forward(state[None])[0], expected, atol=1e-6)
