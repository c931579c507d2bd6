import numpy as np
import pytest
import torch

pytest.importorskip("mujoco")

from m2iv_robot.data.lerobot_io import DatasetConfig, open_dataset, read_episode, read_labels
from m2iv_robot.data.simulation import rendering
from policies_demo.assemble import assemble, average_down, repeats
from policies_demo.config import FRONT, DemoConfig
from policies_demo.rows import row_of


@pytest.fixture(scope="module")
def sets(make_dataset, tmp_path_factory):
    folder = tmp_path_factory.mktemp("sets")
    make = dict(cameras=(FRONT,), state=("observation.state", 6, "float32"), action=("action", 6, "float32"))
    return [
        make_dataset(folder / "few", lengths=(4, 5), **make),
        make_dataset(folder / "many", lengths=(3, 4, 5, 3, 4), **make),
    ]


def test_pictures_are_averaged_as_the_environment_averages_them(generator):
    frames = torch.randint(0, 256, (2, 3, 12, 18), generator=generator, dtype=torch.uint8)
    expected = [rendering.average_down(frame.permute(1, 2, 0).numpy(), 3) for frame in frames]
    found = average_down(frames, 3).permute(0, 2, 3, 1).numpy()
    assert np.abs(found.astype(int) - np.stack(expected)).max() <= 1  # halves are rounded either way


def test_a_balanced_row_repeats_its_few_episodes(sets):
    datasets = [open_dataset(DatasetConfig(root=str(path))) for path in sets]
    assert repeats(row_of("c"), datasets) == [2, 1]
    assert repeats(row_of("h"), datasets) == [1, 1]


def test_a_row_holds_every_episode_with_its_labels_and_smaller_pictures(sets, tmp_path):
    root = assemble(DemoConfig(reduce=2), row_of("f"), sets, tmp_path / "row")
    row = open_dataset(DatasetConfig(root=str(root)))
    few, many = (open_dataset(DatasetConfig(root=str(path))) for path in sets)
    origins = [(few, 0), (few, 0), (few, 1), (few, 1), *((many, index) for index in range(5))]
    assert row.episode_count == len(origins)
    for index, (origin, number) in enumerate(origins):
        expected, found = read_labels(origin, number), read_labels(row, index)
        assert torch.equal(found.state, expected.state)
        assert torch.equal(found.action, expected.action)
        assert found.task == expected.task
    seen, expected = read_episode(row, 8, FRONT).frames, average_down(read_episode(many, 4, FRONT).frames, 2)
    assert seen.shape == expected.shape
    assert (seen.float() - expected.float()).abs().mean() < 4  # grey levels; neighbouring frames are 20 apart


def test_a_row_is_assembled_once(sets, tmp_path):
    root = assemble(DemoConfig(), row_of("a"), sets[:1], tmp_path / "row")
    written = (root / "meta" / "info.json").stat().st_mtime_ns
    assert assemble(DemoConfig(), row_of("a"), sets[:1], root) == root
    assert (root / "meta" / "info.json").stat().st_mtime_ns == written
