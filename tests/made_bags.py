"""Bags made for tests: scripted cameras and joints whose value at any time is known in closed form."""

from dataclasses import dataclass, field
from pathlib import Path

import cv2
import numpy as np

NS = 1_000_000_000
START_NS = 1_700_000_000 * NS
UR5E_JOINTS = (
    "shoulder_pan_joint",
    "shoulder_lift_joint",
    "elbow_joint",
    "wrist_1_joint",
    "wrist_2_joint",
    "wrist_3_joint",
)
KNUCKLE = "robotiq_85_left_knuckle_joint"


def typestore():
    from rosbags.typesys import Stores, get_typestore

    return get_typestore(Stores.ROS2_JAZZY)


TYPES: dict = {}


def types():
    """The message classes of Jazzy, as rosbags has them."""
    if not TYPES:
        TYPES.update(typestore().types)
    return TYPES


def header(stamp_ns, frame_id="base"):
    made = types()
    time = made["builtin_interfaces/msg/Time"](sec=stamp_ns // NS, nanosec=stamp_ns % NS)
    return made["std_msgs/msg/Header"](stamp=time, frame_id=frame_id)


def image(pixels, stamp_ns=START_NS, encoding="rgb8", padding=0):
    """A raw image message of pixels (h w 3) or (h w), with `padding` bytes behind each row."""
    rows = pixels.reshape(pixels.shape[0], -1).view(np.uint8)
    padded = np.pad(rows, ((0, 0), (0, padding)), constant_values=77)
    return types()["sensor_msgs/msg/Image"](
        header=header(stamp_ns),
        height=pixels.shape[0],
        width=pixels.shape[1],
        encoding=encoding,
        is_bigendian=0,
        step=padded.shape[1],
        data=padded.reshape(-1),
    )


def compressed(pixels, stamp_ns=START_NS, kind="jpeg"):
    """A compressed image message of RGB pixels (h w 3)."""
    options = [cv2.IMWRITE_JPEG_QUALITY, 95] if kind == "jpeg" else []
    _, data = cv2.imencode(f".{kind}", pixels[:, :, ::-1], options)
    return types()["sensor_msgs/msg/CompressedImage"](header=header(stamp_ns), format=kind, data=data.reshape(-1))


def joints(stamp_ns, positions, names=None):
    """A JointState of name -> position; `names` gives the order."""
    names = list(positions) if names is None else [str(name) for name in names]
    empty = np.zeros(0)
    numbers = np.array([positions[name] for name in names], dtype=np.float64)
    return types()["sensor_msgs/msg/JointState"](
        header=header(stamp_ns), name=names, position=numbers, velocity=empty, effort=empty
    )


def array(numbers):
    made = types()
    layout = made["std_msgs/msg/MultiArrayLayout"](dim=[], data_offset=0)
    return made["std_msgs/msg/Float64MultiArray"](layout=layout, data=np.asarray(numbers, dtype=np.float64))


def camera_info(stamp_ns, width, height, focal_px):
    made = types()
    k = np.array([focal_px, 0, width / 2, 0, focal_px, height / 2, 0, 0, 1], dtype=np.float64)
    roi = made["sensor_msgs/msg/RegionOfInterest"](x_offset=0, y_offset=0, height=0, width=0, do_rectify=False)
    return made["sensor_msgs/msg/CameraInfo"](
        header=header(stamp_ns, "front_optical"),
        height=height,
        width=width,
        distortion_model="plumb_bob",
        d=np.zeros(5),
        k=k,
        r=np.eye(3).reshape(-1),
        p=np.zeros(12),
        binning_x=0,
        binning_y=0,
        roi=roi,
    )


def clock(stamp_ns):
    made = types()
    return made["rosgraph_msgs/msg/Clock"](
        clock=made["builtin_interfaces/msg/Time"](sec=stamp_ns // NS, nanosec=stamp_ns % NS)
    )


def picture(number, size=(64, 96)):
    """A frame that tells its number: sixteen stripes, the bits of it, dark and bright."""
    height, width = size
    bits = (number >> np.arange(16)) & 1
    row = np.repeat(40 + 170 * bits, -(-width // 16))[:width].astype(np.uint8)
    return np.broadcast_to(row[None, :, None], (height, width, 3)).copy()


def number_in(pixels):
    """The number that a `picture` tells, after any codec; pixels h w 3."""
    width = pixels.shape[1]
    stripe = -(-width // 16)
    centres = np.arange(16) * stripe + stripe // 2
    shares = pixels[:, :, 1].mean(axis=0)
    valid = centres < width
    bits = np.zeros(16, dtype=int)
    bits[valid] = shares[centres[valid]] > 125
    return int((bits << np.arange(16)).sum())


def ur5e_positions(seconds):
    """Joint positions (rad) at a time since the start: the knuckle closes at 1.5 s and opens at 3 s."""
    angles = {name: float(np.sin(0.7 * seconds + place)) for place, name in enumerate(UR5E_JOINTS)}
    angles[KNUCKLE] = 0.7929 * float(np.clip((seconds - 1.5) / 0.3, 0, 1) * np.clip((3.3 - seconds) / 0.3, 0, 1))
    return angles


@dataclass(frozen=True)
class UR5eBag:
    """A drive of the UR5e with two cameras."""

    seconds: float = 4.0
    size: tuple[int, int] = (64, 96)
    seed: int = 0
    dead_wrist_s: tuple[float, float] = (1e9, 1e9)  # from, to: the wrist camera sends nothing
    late_s: dict[str, float] = field(default_factory=dict)  # topic -> how much later than taken it arrives


def ur5e_messages(made: UR5eBag) -> list[tuple[str, str, int, object]]:
    """Topic, type, arrival (ns), message; in the order of arrival."""
    random = np.random.default_rng(made.seed)
    found = []
    front, wrist = "/front_camera/color/image_raw", "/wrist_camera/color/image_raw/compressed"
    for number in range(int(made.seconds * 30)):
        jitter = int(random.uniform(-0.002, 0.002) * NS)
        stamp = START_NS + number * NS // 30 + jitter + 20_000_000
        found.append((front, "sensor_msgs/msg/Image", stamp, image(picture(number, made.size), stamp, "rgb8", 8)))
        stamp = START_NS + number * NS // 30 + int(random.uniform(0, 0.004) * NS)
        if not made.dead_wrist_s[0] <= number / 30 < made.dead_wrist_s[1]:
            message = compressed(picture(number, made.size), stamp)
            found.append((wrist, "sensor_msgs/msg/CompressedImage", stamp, message))
    for number in range(int(made.seconds * 500)):
        stamp = START_NS + number * NS // 500
        positions = ur5e_positions(number / 500)
        order = random.permutation(list(positions))
        found.append(("/joint_states", "sensor_msgs/msg/JointState", stamp, joints(stamp, positions, order)))
    height, width = made.size
    stamp = START_NS + 1
    info = camera_info(stamp, width, height, 80.0)
    found.append(("/front_camera/color/camera_info", "sensor_msgs/msg/CameraInfo", stamp, info))
    found = [(topic, kind, at + int(made.late_s.get(topic, 0) * NS), message) for topic, kind, at, message in found]
    return sorted(found, key=lambda entry: entry[2])


def write_bag(path: Path, messages, storage="mcap") -> Path:
    """Write messages (topic, type, arrival in ns, message) as a bag."""
    from rosbags.rosbag2 import CompressionFormat, CompressionMode, StoragePlugin, Writer

    store = typestore()
    made = Writer(path, version=9, storage_plugin=StoragePlugin.MCAP if storage == "mcap" else StoragePlugin.SQLITE3)
    if storage == "sqlite3 zstd":
        made.set_compression(CompressionMode.MESSAGE, CompressionFormat.ZSTD)
    with made as writer:
        connections = {}
        for topic, kind, arrived_ns, message in messages:
            if topic not in connections:
                connections[topic] = writer.add_connection(topic, kind, typestore=store)
            writer.write(connections[topic], arrived_ns, store.serialize_cdr(message, kind))
    return path
