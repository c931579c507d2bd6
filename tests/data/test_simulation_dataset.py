import dataclasses

import numpy as np
import pytest
import torch

pytest.importorskip("mujoco")

from m2iv_robot.data.lerobot_io import DatasetConfig, open_dataset, read_episode, read_labels
from m2iv_robot.data.simulation import (
    RecordingConfig,
    SimulationConfig,
    load_truth,
    record_all,
    record_dataset,
    simulate_episode,
    truth_path,
)
from m2iv_robot.errors import ConfigError, DatasetError, WriteError

TINY = SimulationConfig(width=96, height=72, wrist_width=64, wrist_height=48, scene_seed=4)


@pytest.fixture(scope="module")
def recorded(tmp_path_factory):
    root = tmp_path_factory.mktemp("simulated") / "lab"
    record_all(TINY, root, 1, seed=20)
    record_all(TINY, root, 2, seed=20)  # continues
    return root


def test_the_recording_is_what_was_simulated(recorded):
    dataset = open_dataset(DatasetConfig(root=str(recorded)))
    assert dataset.episode_count == 2
    assert dataset.robot_type == "so101_follower"
    assert dataset.fps == 10
    assert set(dataset.cameras) == {"observation.images.front", "observation.images.wrist"}
    simulated = simulate_episode(TINY, 21)
    labels = read_labels(dataset, 1)
    assert torch.equal(labels.state, simulated.episode.state)
    assert torch.equal(labels.action, simulated.episode.action)
    assert labels.state_names == simulated.episode.state_names
    assert labels.task == simulated.episode.task
    frames = read_episode(dataset, 1, "observation.images.front").frames
    error = (frames.double() - simulated.episode.frames.double()).square().mean()
    assert 10 * torch.log10(255**2 / error) > 34  # sensor noise included


def test_truth_reads_back_bit_for_bit(recorded):
    simulated, truth = simulate_episode(TINY, 20), load_truth(recorded, 0)
    assert truth.config == TINY
    assert truth.seed == 20
    assert torch.equal(truth.masks.actor, simulated.masks.actor)
    assert torch.equal(truth.masks.object, simulated.masks.object)
    assert torch.equal(truth.plate.image, simulated.plate.image)
    for entry in dataclasses.fields(truth):
        if isinstance(getattr(truth, entry.name), np.ndarray):
            assert np.array_equal(getattr(truth, entry.name), getattr(simulated, entry.name)), entry.name
    assert (truth.start_xy, truth.goal_xy) == (simulated.start_xy, simulated.goal_xy)
    assert (truth.grasp_frame, truth.release_frame) == (simulated.grasp_frame, simulated.release_frame)


def test_episodes_without_truth_are_named(recorded):
    with pytest.raises(DatasetError, match="episode_000007"):
        load_truth(recorded, 7)


def test_another_lab_is_not_mixed_in(recorded):
    with pytest.raises(WriteError, match="simulation"):
        record_all(dataclasses.replace(TINY, scene_seed=9), recorded, 3, seed=20)


def test_nothing_is_left_to_do_the_second_time(recorded):
    assert list(record_dataset(TINY, recorded, RecordingConfig(count=2, seed=20))) == []
    assert truth_path(recorded, 1).is_file()


def test_processes_make_the_same_dataset(tmp_path):
    tiny = dataclasses.replace(TINY, width=32, height=24, wrist_width=0)
    for name, workers in (("one", 1), ("two", 2)):
        record_all(tiny, tmp_path / name, 2, seed=30, workers=workers)
    for index in range(2):
        one, two = (read_labels(open_dataset(DatasetConfig(root=str(tmp_path / n))), index) for n in ("one", "two"))
        assert torch.equal(one.action, two.action)
        assert torch.equal(
            load_truth(tmp_path / "one", index).masks.actor, load_truth(tmp_path / "two", index).masks.actor
        )


def test_a_bad_count_is_refused():
    with pytest.raises(ConfigError, match="count"):
        RecordingConfig(count=0)
