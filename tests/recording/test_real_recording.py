"""A real episode made into a bag and recorded again: poses, gripper and pictures come back."""

import numpy as np
import pytest
from droid_bags import contract_of, messages_of
from made_bags import write_bag

from m2iv_robot.data.lerobot_io import DatasetConfig, WriterConfig, open_dataset, read_episode
from m2iv_robot.recording.bags import Conversion, convert_bag
from m2iv_robot.recording.contract import parse_contract

CAMERA = "observation.images.exterior_1"


@pytest.mark.parametrize("index", [0])
def test_a_real_episode_comes_back_from_a_bag(real_data, tmp_path, index):
    source = open_dataset(DatasetConfig(root=str(real_data / "droid_blocks")))
    episode = read_episode(source, index, CAMERA)
    bag = write_bag(tmp_path / "bag", messages_of(episode))
    conversion = Conversion(
        parse_contract(contract_of(CAMERA)), tmp_path / "again", episode.task, WriterConfig(codec="h264")
    )
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
