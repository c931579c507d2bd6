"""The recorder over real DDS: a bag played into it, killed and interrupted, and fed with nonsense."""

import os
import signal
import time

import numpy as np
import pytest
from made_bags import KNUCKLE, UR5eBag, number_in, ur5e_messages, ur5e_positions, write_bag
from ros_processes import TIMEOUT_S, Recording, interrupt, node_parameters, wait_until

from m2iv_robot.data.lerobot_io import DatasetConfig, open_dataset, read_frames, read_labels
from m2iv_robot.recording import load_contract
from m2iv_robot.recording.bags import record_bag

FRONT, WRIST = "observation.images.front", "observation.images.wrist"


@pytest.fixture
def recording(client):
    return Recording(client)


def start_recorder(processes, **parameters):
    return processes.start("ros_nodes.recorder_node", *node_parameters(contract="ur5e_robotiq", **parameters))


def test_a_played_bag_gives_the_episode_that_reading_it_gives_and_a_kill_leaves_it_readable(
    processes, recording, tmp_path
):
    bag = write_bag(tmp_path / "bag", ur5e_messages(UR5eBag(seconds=12.0)))
    read = record_bag(bag, load_contract("ur5e_robotiq"), tmp_path / "read", "")
    recorder = start_recorder(processes, root=str(tmp_path / "dataset"), task="put it down", use_sim_time=True)
    processes.start("play_bag", str(bag), "0.7")
    recording.start_when_all_arrive()
    assert not recording.trigger("start").success  # one at a time
    wait_until(lambda: recording.frames > 70)
    answer = recording.trigger("stop")
    assert answer.success, answer.message
    assert not recording.trigger("stop").success
    recording.start_when_all_arrive()
    wait_until(lambda: recording.status("episodes saved") == "1", what=f"the dataset: {answer.message}")
    recorder.send_signal(signal.SIGKILL)  # in the middle of the second episode
    recorder.wait()

    dataset = open_dataset(DatasetConfig(root=str(tmp_path / "dataset")))
    assert (dataset.episode_count, dataset.task(0), dataset.robot_type) == (1, "put it down", "ur5e_robotiq")
    live = read_labels(dataset, 0)
    rows = read.values()["observation.state"].astype(np.float32)
    first = int(np.flatnonzero((rows == live.state[0].numpy()).all(axis=1))[0])
    assert live.length > 60
    for key, rows in (("observation.state", live.state), ("action", live.action)):
        wanted = read.values()[key][first : first + live.length].astype(np.float32)
        np.testing.assert_array_equal(rows.numpy(), wanted)
    for camera in (FRONT, WRIST):
        shown = [number_in(frame.permute(1, 2, 0).numpy()) for frame in read_frames(dataset, 0, camera)]
        assert shown == [number_in(frame) for frame in read.frames(camera)[first : first + live.length]]


@pytest.fixture
def feed(client):
    """Publishes good messages of all topics of the UR5e contract, changed as a test asks, and the clock that they tell.

    The clock makes a thirtieth of a second with each round, however long that takes on a busy machine.
    """
    import threading

    import made_bags
    from builtin_interfaces.msg import Time
    from rclpy.qos import QoSProfile
    from rosgraph_msgs.msg import Clock
    from sensor_msgs.msg import CompressedImage, Image, JointState

    kinds = {
        "/front_camera/color/image_raw": (Image, "sensor_msgs/msg/Image"),
        "/wrist_camera/color/image_raw/compressed": (CompressedImage, "sensor_msgs/msg/CompressedImage"),
        "/joint_states": (JointState, "sensor_msgs/msg/JointState"),
    }
    store = made_bags.typestore()
    clock = client.node.create_publisher(Clock, "/clock", 100)
    publishers = {
        topic: client.node.create_publisher(kind, topic, QoSProfile(depth=50)) for topic, (kind, _) in kinds.items()
    }

    class Feed:
        def __init__(self):
            self.changes = {}  # topic -> what makes the message from the good one
            self.running = True
            self.number = 0

        def advance(self, rounds):
            goal = self.number + rounds
            wait_until(lambda: self.number >= goal)

        def publish(self, topic, message):
            publishers[topic].publish(bytes(store.serialize_cdr(message, kinds[topic][1])))

        def run(self):
            while self.running:
                stamp = made_bags.START_NS + self.number * made_bags.NS // 30
                clock.publish(Clock(clock=Time(sec=stamp // made_bags.NS, nanosec=stamp % made_bags.NS)))
                positions = ur5e_positions(0.0) | {KNUCKLE: 0.2}
                front, wrist, joints = kinds
                good = {
                    joints: made_bags.joints(stamp, positions),
                    wrist: made_bags.compressed(made_bags.picture(self.number), stamp),
                    front: made_bags.image(made_bags.picture(self.number), stamp + 1000),
                }
                for topic, message in good.items():
                    changed = self.changes.get(topic, lambda message: message)(message)
                    if changed is not None:
                        self.publish(topic, changed)
                self.number += 1
                time.sleep(1 / 60)

    made = Feed()
    thread = threading.Thread(target=made.run)
    thread.start()
    yield made
    made.running = False
    thread.join()


def wrong_encoding(message):
    message.encoding = "bayer_secret8"
    return message


def truncated(message):
    message.data = message.data[: len(message.data) // 2]
    return message


def huge(message):
    message.height, message.width, message.step = 4_000_000_000, 4_000_000_000, 0
    return message


def not_a_number(message):
    message.position[3] = float("nan")
    return message


def nameless(message):
    message.name = [f"other_{name}" for name in message.name]
    return message


def an_hour_back(message):
    message.header.stamp.sec -= 3600
    return message


BAD = [
    ("/front_camera/color/image_raw", wrong_encoding, "bayer_secret8"),
    ("/front_camera/color/image_raw", truncated, "truncated"),
    ("/front_camera/color/image_raw", huge, "4000000000x4000000000"),
    ("/wrist_camera/color/image_raw/compressed", truncated, "truncated"),
    ("/joint_states", not_a_number, "nan"),
    ("/joint_states", nameless, "has no shoulder_pan_joint"),
    ("/joint_states", an_hour_back, "clock jumped back"),
]


def test_nonsense_is_refused_by_name_and_the_node_records_on(processes, recording, feed, tmp_path):
    recorder = start_recorder(processes, root=str(tmp_path / "dataset"), use_sim_time=True)
    for topic, change, why in BAD:
        feed.changes.clear()
        recording.start_when_all_arrive()
        feed.changes[topic] = change
        feed.advance(35)
        answer = recording.trigger("stop")
        assert not answer.success
        assert why in answer.message.lower(), (change.__name__, answer.message)
    feed.changes.clear()
    feed.advance(15)
    recording.start_when_all_arrive()
    feed.advance(10)
    assert "discarded" in recording.trigger("discard").message
    recording.start_when_all_arrive()
    feed.advance(60)
    answer = recording.trigger("stop")
    assert answer.success, answer.message
    assert recorder.poll() is None
    assert interrupt(recorder) == 0
    wait_until((tmp_path / "dataset").is_dir)
    assert open_dataset(DatasetConfig(root=str(tmp_path / "dataset"))).episode_count == 1


@pytest.mark.parametrize(
    ("parameters", "why"),
    [
        ({}, "parameter root"),
        ({"root": "/proc/none"}, "cannot be written"),
        ({"root": "x", "contract": "no_such"}, "so101, ur5e_robotiq"),
    ],
)
def test_what_cannot_work_is_said_at_the_start(processes, parameters, why):
    recorder = processes.start("ros_nodes.recorder_node", *(node_parameters(**parameters) if parameters else []))
    assert recorder.wait(TIMEOUT_S) == 1
    assert why in processes.said("ros_nodes.recorder_node")


def test_a_silent_camera_is_named_before_an_episode_begins(processes, recording, tmp_path):
    recorder = start_recorder(processes, root=str(tmp_path / "dataset"))
    answer = recording.trigger("start")
    assert not answer.success
    assert "no message on /wrist_camera/color/image_raw/compressed" in answer.message
    assert "nobody publishes it" in answer.message
    assert not recording.trigger("discard").success
    assert interrupt(recorder) == 0
    assert os.listdir(tmp_path / ".dataset.recording") in ([], [".saver"])
