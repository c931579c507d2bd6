"""Recorded bags to episodes: the shipped UR5e contract on a made bag, and what a bag may lack."""

import json
from dataclasses import replace

import numpy as np
import pytest
from lerobot_training import train_two_steps
from made_bags import (
    KNUCKLE,
    NS,
    START_NS,
    UR5E_JOINTS,
    UR5eBag,
    number_in,
    picture,
    ur5e_messages,
    ur5e_positions,
    write_bag,
)

from m2iv_robot.data.lerobot_io import (
    DatasetConfig,
    WriterConfig,
    open_dataset,
    read_frames,
    read_labels,
    recorded_camera,
)
from m2iv_robot.errors import RecordingError
from m2iv_robot.recording import load_contract
from m2iv_robot.recording.bags import Conversion, convert_bag, find_bags, record_bag
from m2iv_robot.recording.save import report_path

FRONT, WRIST = "observation.images.front", "observation.images.wrist"


@pytest.fixture(scope="module")
def contract():
    return load_contract("ur5e_robotiq")


@pytest.fixture(scope="module")
def messages():
    return ur5e_messages(UR5eBag())


@pytest.fixture(scope="module")
def dataset(contract, messages, tmp_path_factory):
    folder = tmp_path_factory.mktemp("ur5e")
    bag = write_bag(folder / "bag", messages)
    root = folder / "dataset"
    convert_bag(bag, Conversion(contract, root, "put the cup on the plate", WriterConfig(codec="h264")))
    return open_dataset(DatasetConfig(root=str(root)))


def stamps_of(messages, topic):
    return [m.header.stamp.sec * NS + m.header.stamp.nanosec for name, _, _, m in messages if name == topic]


def expected_state(stamp_ns, slack_ns=5_000_000):
    """The state of a frame from the definition of the drive, not from its messages."""
    tick = (stamp_ns + slack_ns - START_NS) * 500 // NS  # 500 Hz: the last joint state up to the frame's time
    positions = ur5e_positions(tick / 500)
    return [*(positions[name] for name in UR5E_JOINTS), 1 - positions[KNUCKLE] / 0.7929]


def test_joints_in_shuffled_order_and_an_inverted_gripper_become_the_state_of_each_frame(dataset, messages):
    labels = read_labels(dataset, 0)
    stamps = stamps_of(messages, "/front_camera/color/image_raw")
    assert labels.state_names == (*UR5E_JOINTS, "gripper")
    assert labels.length == len(stamps) - 1  # the last has no state ahead of it
    wanted = np.array([expected_state(stamp) for stamp in stamps])
    np.testing.assert_allclose(labels.state.numpy(), wanted[:-1], atol=1e-6)
    np.testing.assert_allclose(labels.action.numpy(), wanted[1:], atol=1e-6)
    assert labels.state[:, 6].min() == pytest.approx(0, abs=1e-6) and labels.state[0, 6] == 1


def test_each_frame_shows_the_image_of_its_time_in_both_cameras(dataset, messages):
    front = [number_in(frame.permute(1, 2, 0).numpy()) for frame in read_frames(dataset, 0, FRONT)]
    wrist = [number_in(frame.permute(1, 2, 0).numpy()) for frame in read_frames(dataset, 0, WRIST)]
    assert front == list(range(len(front)))
    assert wrist == front  # taken up to 22 ms before the front camera's


def test_the_dataset_tells_robot_task_rate_calibration_and_how_it_was_recorded(dataset):
    assert (dataset.fps, dataset.robot_type, dataset.task(0)) == (30, "ur5e_robotiq", "put the cup on the plate")
    report = json.loads(report_path(dataset.root, 0).read_text())
    assert report["intrinsics"][FRONT]["k"][0] == 80.0
    assert (report["frames"], report["gaps"], report["trimmed_end"]) == (119, 0, 0)
    assert report["measured_fps"] == pytest.approx(30, abs=0.05)
    assert report["streams"]["observation.state[0]"]["received"] == 2000
    assert 0.012 < report["streams"][WRIST]["age_mean_s"] < 0.024


def test_the_calibration_is_found_again_by_camera(dataset):
    assert recorded_camera(dataset, FRONT).focal_share == pytest.approx(80 / 96)
    assert recorded_camera(dataset, WRIST) is None


def test_lerobot_reads_the_dataset(dataset):
    from lerobot.datasets.lerobot_dataset import LeRobotDataset

    read = LeRobotDataset(dataset.name, root=dataset.root, video_backend="pyav")
    assert (read.num_episodes, read.num_frames) == (1, 119)
    assert tuple(read[7][FRONT].shape) == (3, 64, 96)


@pytest.mark.parametrize("storage", ["mcap", "sqlite3", "sqlite3 zstd"])
def test_storage_and_order_of_arrival_do_not_change_the_episode(contract, messages, tmp_path, storage):
    late = UR5eBag(late_s={"/joint_states": 0.11, "/wrist_camera/color/image_raw/compressed": 0.2})
    bag = write_bag(tmp_path / "bag", ur5e_messages(late), storage)
    straight = write_bag(tmp_path / "straight", messages)
    found = record_bag(bag, contract, tmp_path / "late", "")
    wanted = record_bag(straight, contract, tmp_path / "plain", "")
    for camera in (FRONT, WRIST):
        np.testing.assert_array_equal(found.frames(camera), wanted.frames(camera))
    for name, rows in wanted.values().items():
        np.testing.assert_array_equal(found.values()[name], rows)
    assert found.key == wanted.key


def test_the_same_bag_again_changes_nothing_and_another_is_appended(contract, tmp_path):
    root = tmp_path / "dataset"
    conversion = Conversion(contract, root, "", WriterConfig(codec="h264"))
    bags = [write_bag(tmp_path / f"bag{n}", ur5e_messages(UR5eBag(seconds=1.5 + n, seed=n))) for n in range(2)]
    assert [convert_bag(bag, conversion)[0] for bag in (bags[0], bags[1], bags[0])] == [0, 1, 0]
    dataset = open_dataset(DatasetConfig(root=str(root)))
    assert [dataset.length(index) for index in range(dataset.episode_count)] == [44, 74]
    assert not list(tmp_path.glob(".dataset.recording/*"))


def test_an_episode_whose_camera_died_is_refused_and_says_which(contract, tmp_path):
    bag = write_bag(tmp_path / "bag", ur5e_messages(UR5eBag(dead_wrist_s=(1.0, 2.5))))
    with pytest.raises(RecordingError, match=r"a stream died: observation.images.wrist .* 4\d frames"):
        record_bag(bag, contract, tmp_path / "spool", "")
    assert not (tmp_path / "spool").exists()


@pytest.mark.parametrize(("dead", "numbers"), [((1.0, 1.5), (45, 119)), ((2.5, 9.0), (0, 75))])
def test_an_episode_may_be_trimmed_to_its_longest_whole_part(contract, tmp_path, dead, numbers):
    bag = write_bag(tmp_path / "bag", ur5e_messages(UR5eBag(dead_wrist_s=dead)))
    trimming = replace(contract, config=replace(contract.config, when_dead="trim"))
    episode = record_bag(bag, trimming, tmp_path / "spool", "")
    shown = [number_in(frame) for frame in episode.frames(FRONT)]
    assert shown == list(range(shown[0], shown[-1] + 1))
    assert shown[0] == numbers[0] and abs(shown[-1] + 1 - numbers[1]) <= 1  # one frame may take the image before
    assert episode.report["trimmed_start"] == numbers[0]
    np.testing.assert_array_equal(episode.frames(FRONT)[0], picture(numbers[0]))


def test_a_bag_without_a_topic_is_refused_with_what_it_holds(contract, messages, tmp_path):
    bag = write_bag(tmp_path / "bag", [entry for entry in messages if entry[0] != "/joint_states"])
    with pytest.raises(RecordingError, match=r"no topic /joint_states; the bag holds /front_camera"):
        record_bag(bag, contract, tmp_path / "spool", "")


def test_a_truncated_bag_is_refused(contract, messages, tmp_path):
    bag = write_bag(tmp_path / "bag", messages[:200])
    file = next(bag.glob("*.mcap"))
    file.write_bytes(file.read_bytes()[:20000])
    with pytest.raises(RecordingError, match="cannot be read"):
        record_bag(bag, contract, tmp_path / "spool", "")


def test_bags_are_found_by_folder_by_file_and_below_a_folder(messages, tmp_path):
    bag = write_bag(tmp_path / "many" / "one", messages[:20])
    other = write_bag(tmp_path / "many" / "two", messages[:20])
    file = next(bag.glob("*.mcap"))
    assert find_bags([str(bag), str(file)]) == [bag, file]
    assert find_bags([str(tmp_path / "many")]) == [bag, other]
    with pytest.raises(RecordingError, match="no bag there"):
        find_bags([str(tmp_path)])


def test_lerobot_trains_on_the_dataset(dataset, tmp_path):
    assert "step:2" in train_two_steps(dataset.root, tmp_path / "trained")
