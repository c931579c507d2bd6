import numpy as np
import pytest
import torch

pytest.importorskip("mujoco")

from m2iv_robot.data.simulation import SimulationConfig, film_replay, simulate_episode

LAB = SimulationConfig(width=48, height=36, wrist_width=0, scene_seed=4, fps=5)
SEED = 3


def test_the_recorded_actions_film_the_recorded_episode():
    recorded = simulate_episode(LAB, SEED)
    filmed = film_replay(LAB, SEED, recorded.start_xy, recorded.episode.action.numpy())
    assert torch.equal(filmed.episode.frames, recorded.episode.frames)
    assert torch.equal(filmed.episode.state, recorded.episode.state)
    assert torch.equal(filmed.masks.object, recorded.masks.object)
    assert (filmed.grasp_frame, filmed.release_frame, filmed.success) == (
        recorded.grasp_frame, recorded.release_frame, recorded.success
    )  # fmt: skip


def test_an_object_elsewhere_is_filmed_there_and_not_grasped():
    recorded = simulate_episode(LAB, SEED)
    start = (recorded.start_xy[0], -recorded.start_xy[1])
    filmed = film_replay(LAB, SEED, start, recorded.episode.action.numpy()[:4])
    assert np.allclose(filmed.object_positions_m[:, :2], start, atol=0.002)
    assert len(filmed.episode.frames) == 4
    assert (filmed.success, filmed.grasp_frame) == (False, -1)
