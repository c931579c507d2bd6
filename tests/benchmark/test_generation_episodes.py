"""Simulated episodes in the generation benchmark: what the stages are shown, and the measure on the real thing."""

from dataclasses import replace

import pytest
import torch

from m2iv_robot.background import build_plate
from m2iv_robot.benchmark.generation.episodes import Lab, Stages, generate, measure
from m2iv_robot.data.simulation import SimulationConfig, simulate_episode
from m2iv_robot.diffusion import DiffusionConfig
from m2iv_robot.models.trajectory import TrajectoryConfig, TrajectoryModel
from m2iv_robot.models.unet import UNetConfig
from m2iv_robot.models.video import VideoConfig, VideoModel

SETTINGS = SimulationConfig(fps=5, width=128, height=96, wrist_width=0)


@pytest.fixture(scope="module")
def lab():
    shown, wanted = (simulate_episode(SETTINGS, seed) for seed in (0, 3))
    return Lab(shown, wanted, build_plate([shown.episode.frames], [shown.masks]))


@pytest.fixture(scope="module")
def stages():
    torch.manual_seed(0)
    unet, sampler = UNetConfig(channels=[32, 32], head_channels=32, context_channels=8), DiffusionConfig(steps=1)
    models = (
        TrajectoryModel(TrajectoryConfig(unet=unet, sampler=sampler)),
        VideoModel(VideoConfig(unet=unet, sampler=sampler)),
    )
    for model in models:
        torch.nn.init.normal_(model.unet.unet.conv_out.weight, std=0.1)
    return Stages(*(model.eval() for model in models))


class Knowing:
    """A segmenter that returns the simulator's masks."""

    def __init__(self, masks):
        self.masks = masks

    def segment(self, episode, plate=None, prompt=None, phases=()):
        return self.masks


def test_the_real_episode_is_where_it_was_asked_to_be_and_held_all_the_way(lab):
    scores = measure(lab, "real", None, Knowing(lab.wanted.masks), 0).scores
    assert (scores["place_error_percent"], scores["final_iou"]) == (0, 1)
    assert scores["contact_percent"] >= 95


def test_the_tools_path_ends_at_the_gripper(lab):
    """At the moment of the grasp the tool is over the object."""
    x, y = lab.path_px[lab.wanted.grasp_frame].tolist()
    rows, columns = torch.nonzero(lab.wanted.masks.object[0], as_tuple=True)
    assert columns.min() - 8 <= x <= columns.max() + 8
    assert rows.min() - 12 <= y <= rows.max() + 8


@pytest.mark.parametrize("mode", ["guided", "unguided"])
def test_nothing_but_the_request_is_shown(lab, stages, mode):
    frames, masks = generate(lab, mode, stages, 1)
    wanted = lab.wanted
    assert torch.equal(frames[0], wanted.episode.frames[0])
    assert torch.equal(masks.object[-1], wanted.masks.object[-1])
    others = wanted.episode.frames.clone()
    others[1:] = 255 - others[1:]
    actor, object_ = wanted.masks.actor.clone(), wanted.masks.object.clone()
    actor[1:] = False
    if mode == "unguided":
        object_[1:-1] = False
    blind = replace(
        wanted,
        episode=replace(wanted.episode, frames=others),
        masks=replace(wanted.masks, actor=actor, object=object_),
    )
    again, _ = generate(replace(lab, wanted=blind), mode, stages, 1)
    assert torch.equal(frames, again)
