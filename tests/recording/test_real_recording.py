"""A real episode made into a bag and recorded again: poses, gripper and pictures come back."""

import numpy as np
import pytest
import yaml
from made_bags import NS, START_NS, compressed, header, joints, types, write_bag
from scipy.spatial.transform import Rotation

from m2iv_robot.data.lerobot_io import DatasetConfig, WriterConfig, open_dataset, read_episode
from m2iv_robot.recording.bags import Conversion, convert_bag
from m2iv_robot.recording.contract import parse_contract

CAMERA = "observation.images.exterior_1"
CONTRACT = yaml.safe_load(
    f"""
fps: 4
robot_type: franka
reference: {CAMERA}
action_from_state_frames: 1
max_gap_s: 0.6
cameras:
  {CAMERA}: {{topic: /camera/compressed, type: sensor_msgs/msg/CompressedImage}}
values:
  observation.state:
    - {{topic: /tool, type: geometry_msgs/msg/PoseStamped, select: [x, y, z, roll, pitch, yaw]}}
    - {{topic: /gripper, select: [finger], names: [gripper], scale: [-25.0], offset: [1.0]}}
"""
)


def pose(stamp_ns, row):
    made = types()
    quaternion = Rotation.from_euler("xyz", row[3:6]).as_quat()
    place = made["geometry_msgs/msg/Point"](*(float(value) for value in row[:3]))
    turn = made["geometry_msgs/msg/Quaternion"](*(float(value) for value in quaternion))
    made_pose = made["geometry_msgs/msg/Pose"](position=place, orientation=turn)
    return made["geometry_msgs/msg/PoseStamped"](header=header(stamp_ns), pose=made_pose)


def messages_of(episode):
    """The episode as topics: a finger that is 0.04 m from the closed gripper (1) when it is open (0)."""
    found = []
    for number, (frame, row) in enumerate(zip(episode.frames, episode.state.double().numpy(), strict=True)):
        stamp = START_NS + number * NS // 4
        picture = compressed(frame.permute(1, 2, 0).numpy(), stamp + 3_000_000, "png")
        found.append(("/camera/compressed", "sensor_msgs/msg/CompressedImage", stamp + 30_000_000, picture))
        found.append(("/tool", "geometry_msgs/msg/PoseStamped", stamp, pose(stamp, row)))
        finger = {"other": 9.0, "finger": (1 - row[6]) / 25.0}
        found.append(("/gripper", "sensor_msgs/msg/JointState", stamp, joints(stamp, finger)))
    return found


@pytest.mark.parametrize("index", [0])
def test_a_real_episode_comes_back_from_a_bag(real_data, tmp_path, index):
    source = open_dataset(DatasetConfig(root=str(real_data / "droid_blocks")))
    episode = read_episode(source, index, CAMERA)
    bag = write_bag(tmp_path / "bag", messages_of(episode))
    conversion = Conversion(parse_contract(CONTRACT), tmp_path / "again", episode.task, WriterConfig(codec="h264"))
    convert_bag(bag, conversion)
    again = read_episode(open_dataset(DatasetConfig(root=str(tmp_path / "again"))), 0, CAMERA)
    assert again.state_names == episode.state_names
    assert (again.length, again.task, again.robot_type) == (episode.length - 1, episode.task, "franka")
    wanted = episode.state.double().numpy()
    for found, rows in ((again.state, wanted[:-1]), (again.action, wanted[1:])):
        difference = found.double().numpy() - rows
        difference[:, 3:6] = (difference[:, 3:6] + np.pi) % (2 * np.pi) - np.pi
        assert np.abs(difference).max() < 1e-5
    error = (again.frames.float() - episode.frames[:-1].float()).square().mean(dim=(1, 2, 3))
    assert float(10 * np.log10(255**2 / error.max())) > 35
