"""The whole way, nothing left out: a real episode over DDS, recorder, augmenter, LeRobot; each a process."""

import os

import pytest
import yaml
from augmenter_client import ACTIVATE, CONFIGURE, AugmenterClient
from droid_bags import contract_of, messages_of
from lerobot_training import train_two_steps
from made_bags import write_bag
from ros_processes import TIMEOUT_S, Recording, interrupt, node_parameters, wait_until

from m2iv_robot.data.lerobot_io import DatasetConfig, open_dataset, read_episode

CAMERA = "observation.images.exterior_2"
EPISODE = 2  # a blue block is put onto a red one
BESIDE_PX = (128.0, 124.0)  # on the table, some way before where the blue block was first put down
TASK = "Put the blue block on the table before the red one"
MOST_S = 25 * TIMEOUT_S  # for annotating, planning and making on a busy machine


@pytest.mark.skipif("M2IV_LONG_TESTS" not in os.environ, reason="takes minutes; set M2IV_LONG_TESTS to run it")
def test_a_real_bag_is_recorded_augmented_and_trained_on(real_data, processes, client, tmp_path):
    from lerobot.datasets.lerobot_dataset import LeRobotDataset

    source = read_episode(open_dataset(DatasetConfig(root=str(real_data / "droid_blocks"))), EPISODE, CAMERA)
    bag = write_bag(tmp_path / "bag", messages_of(source))
    contract = tmp_path / "contract.yaml"
    contract.write_text(yaml.safe_dump(contract_of(CAMERA)))
    (tmp_path / "made").mkdir()

    record = {"contract": str(contract), "root": str(tmp_path / "data" / "blocks"), "task": source.task}
    recorder = processes.start("ros_nodes.recorder_node", *node_parameters(**record, use_sim_time=True))
    recording = Recording(client)
    processes.start("play_bag", str(bag), "2.0")
    recording.start_when_all_arrive()
    wait_until(lambda: "played" in processes.said("play_bag"), TIMEOUT_S * 4, "the bag's end")
    wait_until(lambda: recording.frames > 0.8 * source.length, what="the bag's frames")
    answer = recording.trigger("stop")
    assert answer.success, answer.message
    wait_until(lambda: recording.status("episodes saved") == "1", what="the dataset")
    assert interrupt(recorder) == 0
    recorded = open_dataset(DatasetConfig(root=record["root"]))
    assert (recorded.episode_count, recorded.fps) == (1, source.fps)

    places = {"data_root": str(tmp_path / "data"), "output_root": str(tmp_path / "made"), "dataset": "blocks"}
    wanted = {"camera": CAMERA, "kind": "goal", "task": TASK, "renderer": "cut_and_paste", "gate": False}
    node = processes.start("ros_nodes.augmenter_node", *node_parameters(**places, **wanted, device="cpu"))
    augmenter = AugmenterClient(client)
    assert augmenter.change(CONFIGURE) and augmenter.change(ACTIVATE)
    augmenter.point_at_goal(*BESIDE_PX)
    assert augmenter.call("augment").message == "request 1"
    wait_until(lambda: augmenter.status("request 1").split(";")[0] in ("done", "failed"), MOST_S)
    assert augmenter.status("request 1").startswith("done; 1 written"), augmenter.status("request 1")
    assert interrupt(node) == 0

    made = LeRobotDataset("synthetic", root=tmp_path / "made" / "synthetic", video_backend="pyav")
    first = made[0]
    assert made.num_episodes == 1
    assert first["task"] == TASK
    assert first[CAMERA].shape == source.frames.shape[1:]
    assert "step:2" in train_two_steps(made.root, tmp_path / "trained")
