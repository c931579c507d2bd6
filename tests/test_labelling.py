from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from m2iv_robot.errors import PlanError
from m2iv_robot.labelling import (
    LabelEstimate,
    LabelTrustConfig,
    check_trusted,
    estimate_labels,
    fit_labeller,
    load_labeller,
    usual_error,
    watch,
)
from m2iv_robot.labelling.reading import LASTING_FRAMES, fuse
from m2iv_robot.models.checkpoint import load_segmenter, save_model
from m2iv_robot.models.labeller import LabellerConfig, describe, shrink_frames, step_numbers
from m2iv_robot.models.segmenter import Segmenter
from m2iv_robot.types import Episode

TINY = LabellerConfig(state_size=2, action_size=2, stride=1, pixels=12288, parts=12, heads=3)


@pytest.fixture(scope="module")
def eyes() -> Segmenter:
    return load_segmenter()


def dot_episode(index: int, length: int = 30) -> Episode:
    """A white dot that wanders over a dark picture; the state is where it is, the action where it will be."""
    generator = torch.Generator().manual_seed(index)
    ends = torch.rand(4, 2, generator=generator) * torch.tensor([88.0, 56.0]) + 20
    share = torch.linspace(0, 2.999, length)
    segment = share.long()
    path = ends[segment] + (share - segment)[:, None] * (ends[segment + 1] - ends[segment])
    y, x = torch.meshgrid(torch.arange(96.0), torch.arange(128.0), indexing="ij")
    distance = ((x - path[:, 0, None, None]) ** 2 + (y - path[:, 1, None, None]) ** 2) / 60
    frames = (20 + 220 * torch.exp(-distance)).to(torch.uint8)[:, None].expand(length, 3, 96, 128).contiguous()
    action = torch.cat([path[1:], path[-1:]])
    return Episode("dots", index, "front", frames, path, action, ("x", "y"), ("x", "y"), 10.0, "", None)


def test_it_reads_the_labels_of_an_unseen_episode_and_survives_the_disk(tmp_path: Path, eyes):
    episodes = [watch(eyes, dot_episode(index, 26 + index), TINY) for index in range(8)]
    save_model(tmp_path / "labeller.safetensors", fit_labeller(episodes, TINY, eyes), {}, half=False)
    model, unseen = load_labeller(tmp_path / "labeller.safetensors"), dot_episode(100)
    estimate = estimate_labels(model, unseen.frames)
    error = (estimate.state - unseen.state).norm(dim=1).median()
    guess = (unseen.state - torch.cat([episode.labels[:, :2] for episode in episodes]).mean(0)).norm(dim=1).median()
    assert float(error) < 0.3 * float(guess)
    assert usual_error(model, [watch(eyes, unseen, TINY)]) < 0.3
    assert bool((estimate.state_sigma > 0).all())


def test_a_part_is_where_its_look_is():
    look = torch.nn.functional.normalize(torch.randn(1, 16, generator=torch.Generator().manual_seed(0)))
    seen = torch.zeros(2, 16, 5, 9)
    seen[0, :, 2, 8], seen[1, :, 0, 4] = 40 * look[0], 40 * look[0]
    x, y, likeness = describe(seen, look).T
    assert x.tolist() == pytest.approx([1.0, 0.0], abs=0.02)
    assert y.tolist() == pytest.approx([0.0, -1.0], abs=0.02)
    assert bool((likeness > 0.9).all())


def test_steps_are_read_from_the_mean_speed_around_them():
    speeds = step_numbers(3.0 * torch.arange(20.0)[:, None], replace(TINY, stride=2, reach=2))
    assert speeds.shape == (18, 4)
    assert speeds[8].tolist() == [6.0, 6.0, 6.0, 3.0 * 9]


def test_fusing_minimises_the_weighted_misfit_to_levels_and_steps():
    generator = torch.Generator().manual_seed(0)
    levels, steps = torch.randn(9, 1, generator=generator), torch.randn(7, 1, generator=generator)
    fused = fuse(levels, steps, torch.tensor([0.5]), torch.tensor([0.2]))
    rows = [np.eye(9) / (LASTING_FRAMES**0.5 * 0.5), (np.eye(9)[2:] - np.eye(9)[:-2]) / 0.2]
    wanted = np.concatenate([levels[:, 0] / (LASTING_FRAMES**0.5 * 0.5), steps[:, 0] / 0.2])
    assert np.allclose(fused[:, 0], np.linalg.lstsq(np.concatenate(rows), wanted, rcond=None)[0], atol=1e-4)


def test_frames_keep_their_aspect_and_fit_the_eyes():
    assert shrink_frames(torch.zeros(1, 3, 480, 640, dtype=torch.uint8), LabellerConfig()).shape[-2:] == (192, 256)
    assert shrink_frames(torch.zeros(1, 3, 180, 320, dtype=torch.uint8), LabellerConfig()).shape[-2:] == (160, 288)


def test_labels_that_the_labeller_is_unsure_of_are_refused(eyes):
    model = fit_labeller([watch(eyes, dot_episode(index), TINY) for index in range(2)], TINY, eyes)
    sure = torch.full((4, 2), 0.01) * model.spread[:2]
    estimate = LabelEstimate(torch.zeros(4, 2), torch.zeros(4, 2), sure, sure)
    check_trusted(estimate, model, LabelTrustConfig(), "dots episode 0")
    with pytest.raises(PlanError, match="50 % of the columns"):
        check_trusted(replace(estimate, action_sigma=100 * sure), model, LabelTrustConfig(), "dots episode 0")
