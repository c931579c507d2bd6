import dataclasses
import os
import signal
import subprocess
import sys
import textwrap
import time
from dataclasses import dataclass

import pytest
import torch
from torch import nn
from torch.utils.data import Dataset

from m2iv_robot.errors import CheckpointError, ConfigError
from m2iv_robot.models.checkpoint import load_tensors
from m2iv_robot.training import CHECKPOINT_NAME, MixedDataset, TrainingConfig, learning_rate_share, train


@dataclass(frozen=True)
class LineConfig:
    inputs: int = 3


class Line(nn.Module):
    """Least squares with noise drawn from the loop's generator."""

    def __init__(self, config=None):
        super().__init__()
        self.config = config or LineConfig()
        torch.manual_seed(5)
        self.layer = nn.Linear(self.config.inputs, 1)

    def loss(self, batch, generator):
        noise = torch.randn(batch["x"].shape, generator=generator)
        return (self.layer(batch["x"] + 0.01 * noise) - batch["y"]).square().mean()


class Points(Dataset):
    def __len__(self):
        return 10**6

    def __getitem__(self, index):
        x = torch.randn(3, generator=torch.Generator().manual_seed(index))
        return {"x": x, "y": (x * torch.tensor([1.0, -2.0, 0.5])).sum()[None] + 0.3}


def collate(samples):
    return {name: torch.stack([sample[name] for sample in samples]) for name in samples[0]}


CONFIG = TrainingConfig(
    steps=40,
    batch_size=4,
    learning_rate=0.05,
    warmup_steps=4,
    average_decay=0.9,
    checkpoint_every_steps=10,
    device="cpu",
)


def test_training_finds_the_line(tmp_path):
    path = train(Line(), Points(), collate, dataclasses.replace(CONFIG, steps=200, weight_decay=0.0), tmp_path)
    tensors, metadata = load_tensors(path)
    torch.testing.assert_close(tensors["layer.weight"].float(), torch.tensor([[1.0, -2.0, 0.5]]), atol=0.05, rtol=0)
    assert metadata["steps"] == "200"


class Interrupted(Points):
    def __init__(self, last):
        self.last = last

    def __getitem__(self, index):
        if index >= self.last:
            raise KeyboardInterrupt
        return super().__getitem__(index)


@pytest.mark.parametrize("last_sample", [50, 80, 159])
def test_interrupted_and_resumed_equals_uninterrupted(tmp_path, last_sample):
    straight = train(Line(), Points(), collate, CONFIG, tmp_path / "a")
    with pytest.raises(KeyboardInterrupt):
        train(Line(), Interrupted(last_sample), collate, CONFIG, tmp_path / "b")
    resumed = train(Line(), Points(), collate, CONFIG, tmp_path / "b")
    for first, second in ((straight, resumed), (tmp_path / "a" / CHECKPOINT_NAME, tmp_path / "b" / CHECKPOINT_NAME)):
        one, other = load_tensors(first)[0], load_tensors(second)[0]
        assert one.keys() == other.keys()
        for name, value in one.items():
            torch.testing.assert_close(value, other[name], atol=0, rtol=0)


def test_a_killed_run_leaves_a_readable_checkpoint_and_goes_on(tmp_path):
    code = textwrap.dedent(
        f"""
        import sys
        sys.path.insert(0, {os.path.dirname(__file__)!r})
        import dataclasses, pathlib
        from test_training import CONFIG, Line, Points, collate
        from m2iv_robot.training import train
        config = dataclasses.replace(CONFIG, steps=100000, checkpoint_every_steps=1)
        train(Line(), Points(), collate, config, pathlib.Path({str(tmp_path)!r}))
        """
    )
    process = subprocess.Popen([sys.executable, "-c", code], stderr=subprocess.DEVNULL)
    limit = time.monotonic() + 60
    while not (tmp_path / CHECKPOINT_NAME).exists() and time.monotonic() < limit:
        time.sleep(0.02)
    time.sleep(0.3)
    process.send_signal(signal.SIGKILL)
    process.wait()
    _, metadata = load_tensors(tmp_path / CHECKPOINT_NAME)
    step = int(metadata["step"])
    path = train(Line(), Points(), collate, dataclasses.replace(CONFIG, steps=step + 3), tmp_path)
    assert load_tensors(path)[1]["steps"] == str(step + 3)


def test_another_seed_does_not_continue_a_run(tmp_path):
    train(Line(), Points(), collate, dataclasses.replace(CONFIG, steps=2), tmp_path)
    with pytest.raises(CheckpointError, match=r"training\.seed=0"):
        train(Line(), Points(), collate, dataclasses.replace(CONFIG, seed=1), tmp_path)


def test_a_time_limit_stops_with_a_checkpoint(tmp_path):
    train(Line(), Points(), collate, dataclasses.replace(CONFIG, max_minutes=1e-9), tmp_path)
    assert load_tensors(tmp_path / CHECKPOINT_NAME)[1]["step"] == "1"


class Broken(Line):
    def loss(self, batch, generator):
        return super().loss(batch, generator) * float("nan")


def test_a_loss_that_is_not_finite_is_an_error(tmp_path):
    with pytest.raises(CheckpointError, match="learning_rate"):
        train(Broken(), Points(), collate, CONFIG, tmp_path)


def test_learning_rate_warms_up_and_ends_low():
    config = TrainingConfig(steps=100, warmup_steps=10, final_share=0.1)
    assert learning_rate_share(0, config) == pytest.approx(0.1)
    assert learning_rate_share(10, config) == pytest.approx(1.0)
    assert learning_rate_share(55, config) == pytest.approx(0.55)
    assert learning_rate_share(100, config) == pytest.approx(0.1)


class Constant(Dataset):
    def __init__(self, value, length):
        self.value, self.length = value, length

    def __len__(self):
        return self.length

    def __getitem__(self, index):
        assert 0 <= index < self.length
        return {"x": torch.tensor(self.value)}


def test_mixed_datasets_are_drawn_by_weight_and_by_index_alone():
    mixed = MixedDataset([Constant(0.0, 5), Constant(1.0, 3)], [3.0, 1.0], seed=1)
    drawn = torch.stack([mixed[index]["x"] for index in range(2000)])
    assert float(drawn.mean()) == pytest.approx(0.25, abs=0.03)
    assert [float(mixed[i]["x"]) for i in (7, 3, 7)] == [float(drawn[7]), float(drawn[3]), float(drawn[7])]


def test_bad_numbers_are_refused():
    with pytest.raises(ConfigError, match="batch_size"):
        TrainingConfig(batch_size=0)
    with pytest.raises(ConfigError, match="weight"):
        MixedDataset([Constant(0.0, 1)], [0.0], seed=0)
