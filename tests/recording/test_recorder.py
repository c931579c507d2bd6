"""Recording from live messages without ROS: start, stop, discard, and the process that writes."""

import threading
import time

import pytest
from made_bags import NS, START_NS, UR5eBag, ur5e_messages, write_bag

from m2iv_robot.data.lerobot_io import DatasetConfig, open_dataset
from m2iv_robot.errors import RecordingError
from m2iv_robot.recording import load_contract
from m2iv_robot.recording.bags import record_bag
from m2iv_robot.recording.recorder import Recorder
from m2iv_robot.recording.spool import spool_folder

WRITTEN_WITHIN_S = 300


@pytest.fixture(scope="module")
def messages():
    return ur5e_messages(UR5eBag(seconds=2.0))


@pytest.fixture
def feed(messages):
    def give(recorder, first_s, last_s):
        for topic, _, arrived_ns, message in messages:
            if first_s <= (arrived_ns - START_NS) / NS < last_s:
                while recorder.status().queued > 100:
                    time.sleep(0.01)
                for name, stream in recorder.contract.streams.items():
                    if stream.topic == topic:
                        recorder.message(name, message, arrived_ns)

    return give


def test_episodes_are_recorded_saved_discarded_and_taken_over_from_an_earlier_process(feed, messages, tmp_path):
    contract, root = load_contract("ur5e_robotiq"), tmp_path / "dataset"
    left = record_bag(write_bag(tmp_path / "bag", messages), contract, spool_folder(root) / "live-0", "left behind")
    (spool_folder(root) / "live-1").mkdir()  # of a recording that was interrupted
    saved, all_saved = [], threading.Event()

    def note(episode):
        saved.append(episode)
        if len(saved) == 2:
            all_saved.set()

    recorder = Recorder(contract, root, "h264", note)
    try:
        with pytest.raises(RecordingError, match="no message on /joint_states"):
            recorder.start("", START_NS)
        with pytest.raises(RecordingError, match="no episode is being recorded"):
            recorder.stop(START_NS)
        feed(recorder, 0.0, 0.1)
        with pytest.raises(RecordingError, match=r"stamps on .* are -9\.\d s off this node's clock"):
            recorder.start("", START_NS + 9 * NS + NS // 10)
        recorder.start("second", START_NS + NS // 10)
        with pytest.raises(RecordingError, match="an episode is being recorded"):
            recorder.start("", START_NS)
        feed(recorder, 0.1, 1.7)
        episode = recorder.stop(START_NS + 17 * NS // 10).result(60)
        assert (episode.task, episode.length) == ("second", 47)  # images of 0.12 s to 1.69 s; the last has no action
        feed(recorder, 1.7, 2.0)
        recorder.start("third", START_NS + 2 * NS)
        assert recorder.discard().startswith("discarded the episode that was being recorded")
        assert all_saved.wait(WRITTEN_WITHIN_S)
        with pytest.raises(RecordingError, match="no episode to discard"):
            recorder.discard()
    finally:
        closed = recorder.close(60.0)
    assert closed
    assert [(entry.index, entry.error) for entry in saved] == [(0, ""), (1, "")]
    dataset = open_dataset(DatasetConfig(root=str(root)))
    assert [dataset.task(index) for index in range(2)] == ["left behind", "second"]
    assert [dataset.length(index) for index in range(2)] == [left.length, 47]
    assert [path.name for path in spool_folder(root).iterdir()] == [".saver"]
