"""A real episode of DROID as topics: camera, tool pose, gripper; and the contract that records them again."""

import yaml
from made_bags import NS, START_NS, compressed, header, joints, types
from scipy.spatial.transform import Rotation

FPS = 4


def contract_of(camera: str) -> dict:
    """The contract; there is no command topic, so the action is the next state."""
    return yaml.safe_load(
        f"""
fps: {FPS}
robot_type: franka
reference: {camera}
action_from_state_frames: 1
max_gap_s: 0.6
cameras:
  {camera}: {{topic: /camera/compressed, type: sensor_msgs/msg/CompressedImage}}
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
        stamp = START_NS + number * NS // FPS
        picture = compressed(frame.permute(1, 2, 0).numpy(), stamp + 3_000_000, "png")
        found.append(("/camera/compressed", "sensor_msgs/msg/CompressedImage", stamp + 30_000_000, picture))
        found.append(("/tool", "geometry_msgs/msg/PoseStamped", stamp, pose(stamp, row)))
        finger = {"other": 9.0, "finger": (1 - row[6]) / 25.0}
        found.append(("/gripper", "sensor_msgs/msg/JointState", stamp, joints(stamp, finger)))
    return found
