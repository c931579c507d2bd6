"""Messages of numbers to named numbers."""

import math
from types import SimpleNamespace

import numpy as np
import pytest
from made_bags import array, joints
from scipy.spatial.transform import Rotation

from m2iv_robot.errors import RecordingError
from m2iv_robot.recording.values import pick, read_values

IDENTITY = ([1.0, 1.0], [0.0, 0.0])
JOINT_STATE = "sensor_msgs/msg/JointState"


def named(**values):
    return SimpleNamespace(**values)


def test_joints_are_picked_by_name_scaled_and_shifted_in_the_order_asked_for():
    found = read_values(joints(0, {"knuckle": 0.4, "elbow": 1.0, "wrist": 2.0}), JOINT_STATE)
    assert pick(found, ["wrist", "knuckle"], ([1.0, -2.5], [0.0, 1.0])).tolist() == [2.0, 0.0]


def test_a_message_of_other_joints_is_not_this_part():
    assert pick({"elbow": 1.0}, ["elbow", "wrist"], IDENTITY) is None


def test_a_joint_that_is_not_a_number_is_refused_by_name():
    with pytest.raises(RecordingError, match="wrist is nan"):
        pick({"elbow": 1.0, "wrist": math.nan}, ["elbow", "wrist"], IDENTITY)
    assert pick({"elbow": 1.0, "wrist": math.nan}, ["elbow"], ([1.0], [0.0])).tolist() == [1.0]


def test_more_names_than_numbers_are_refused():
    message = joints(0, {"a": 1.0, "b": 2.0})
    message.position = np.zeros(1)
    with pytest.raises(RecordingError, match="2 joint names but 1 numbers in position"):
        read_values(message, JOINT_STATE)
    assert read_values(message, JOINT_STATE, "velocity") == {}


def test_a_trajectory_gives_where_it_leads_to():
    points = [named(positions=[0.0, 0.0]), named(positions=[1.0, 2.0])]
    message = named(joint_names=["a", "b"], points=points)
    assert read_values(message, "trajectory_msgs/msg/JointTrajectory") == {"a": 1.0, "b": 2.0}
    with pytest.raises(RecordingError, match="no points"):
        read_values(named(joint_names=["a"], points=[]), "trajectory_msgs/msg/JointTrajectory")


def test_arrays_and_single_numbers_have_positions_for_names():
    assert read_values(array([3.0, 4.0]), "std_msgs/msg/Float64MultiArray") == {"0": 3.0, "1": 4.0}
    assert read_values(named(data=True), "std_msgs/msg/Bool") == {"data": 1.0}
    gripper = named(position=0.03, max_effort=40.0)
    assert read_values(gripper, "control_msgs/msg/GripperCommand")["position"] == 0.03


def test_the_angles_of_a_pose_are_those_of_its_quaternion():
    wanted = [0.3, -0.7, 2.0]
    x, y, z, w = 2.0 * Rotation.from_euler("xyz", wanted).as_quat()  # of any length
    pose = named(position=named(x=1.0, y=2.0, z=3.0), orientation=named(x=x, y=y, z=z, w=w))
    found = read_values(named(pose=pose), "geometry_msgs/msg/PoseStamped")
    assert [found[name] for name in ("x", "y", "z")] == [1.0, 2.0, 3.0]
    assert [found[name] for name in ("roll", "pitch", "yaw")] == pytest.approx(wanted)
    pose.orientation = named(x=0.0, y=0.0, z=0.0, w=0.0)
    with pytest.raises(RecordingError, match="no rotation"):
        read_values(named(pose=pose), "geometry_msgs/msg/PoseStamped")


def test_a_twist_is_velocity_and_turning():
    twist = named(linear=named(x=1.0, y=2.0, z=3.0), angular=named(x=4.0, y=5.0, z=6.0))
    found = read_values(named(twist=twist), "geometry_msgs/msg/TwistStamped")
    assert found == {"vx": 1.0, "vy": 2.0, "vz": 3.0, "wx": 4.0, "wy": 5.0, "wz": 6.0}
