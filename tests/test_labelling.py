from dataclasses import replace
from pathlib import Path

import pytest
import torch

from m2iv_robot.errors import DatasetError, PlanError
from m2iv_robot.labelling import (
    LabelEstimate,
    LabelTrustConfig,
    WindowSamples,
    check_trusted,
    collate_windows,
    estimate_labels,
    fuse,
    load_labeller,
    new_labeller,
    window_rows,
)
from m2iv_robot.models.labeller import LabellerConfig
from m2iv_robot.training import TrainingConfig, train
from m2iv_robot.types import Episode

TINY = LabellerConfig(
    state_size=2, action_size=2, window=3, stride=1, height=24, width=32, channels=8, hidden=32, heads=2
)


def dot_episode(index: int, length: int = 30) -> Episode:
    """A white dot that wanders over a dark picture; the state is where it is, the action where it will be."""
    generator = torch.Generator().manual_seed(index)
    ends = torch.rand(4, 2, generator=generator) * torch.tensor([26.0, 18.0]) + 3
    share = torch.linspace(0, 2.999, length)
    segment = share.long()
    path = ends[segment] + (share - segment)[:, None] * (ends[segment + 1] - ends[segment])
    y, x = torch.meshgrid(torch.arange(24.0), torch.arange(32.0), indexing="ij")
    distance = ((x - path[:, 0, None, None]) ** 2 + (y - path[:, 1, None, None]) ** 2) / 8
    frames = (20 + 220 * torch.exp(-distance)).to(torch.uint8)[:, None].expand(length, 3, 24, 32).contiguous()
    action = torch.cat([path[1:], path[-1:]])
    return Episode("dots", index, "front", frames, path, action, ("x", "y"), ("x", "y"), 10.0, "", None)


def test_fusing_weighs_windows_by_their_precision_and_orders_by_frame():
    rows = torch.tensor([[2, 0], [0, 1]])
    means = torch.tensor([[[6.0], [1.0]], [[4.0], [5.0]]])
    variances = torch.tensor([[[1.0], [1.0]], [[3.0], [2.0]]])
    labels, variance = fuse(means, variances, rows, 3)
    assert labels[:, 0].tolist() == pytest.approx([(1.0 + 4.0 / 3) / (1 + 1 / 3), 5.0, 6.0])
    assert variance[:, 0].tolist() == pytest.approx([2 / (1 + 1 / 3), 2.0, 1.0])


def test_windows_repeat_the_ends_of_an_episode():
    config = replace(TINY, window=5, stride=2)
    assert window_rows(torch.tensor([0, 9]), 10, config).tolist() == [[0, 0, 0, 2, 4], [5, 7, 9, 9, 9]]


def test_it_learns_to_read_the_labels_of_an_unseen_episode(tmp_path: Path):
    episodes = [dot_episode(index) for index in range(12)]
    model = new_labeller(episodes, TINY)
    settings = TrainingConfig(
        steps=250, batch_size=16, learning_rate=5e-3, average_decay=0.9, device="cpu", log_every_steps=1000
    )
    weights = train(model, WindowSamples(episodes, TINY, seed=0), collate_windows, settings, tmp_path)
    unseen = dot_episode(100)
    estimate = estimate_labels(load_labeller(weights), unseen.frames)
    error = (estimate.state - unseen.state).norm(dim=1).median()
    guess = (unseen.state - torch.cat([episode.state for episode in episodes]).mean(0)).norm(dim=1).median()
    assert float(error) < 0.3 * float(guess)
    assert bool((estimate.state_sigma > 0).all())


def test_labels_that_the_network_is_unsure_of_are_refused():
    model = new_labeller([dot_episode(0)], TINY)
    sure = torch.full((4, 2), 0.01) * model.spread[:2]
    estimate = LabelEstimate(torch.zeros(4, 2), torch.zeros(4, 2), sure, sure)
    check_trusted(estimate, model, LabelTrustConfig(), "dots episode 0")
    with pytest.raises(PlanError, match="50 % of the columns"):
        check_trusted(replace(estimate, action_sigma=100 * sure), model, LabelTrustConfig(), "dots episode 0")


def test_an_episode_without_labels_is_named():
    bare = replace(dot_episode(3), state=None)
    with pytest.raises(DatasetError, match="episode 3"):
        WindowSamples([dot_episode(0), bare], TINY, seed=0)
