"""Motion scores against known displacements."""

import numpy as np
import pytest
import torch

from m2iv_robot.data.motion_score import flow_motion_score, keep_moving, mask_motion_score
from m2iv_robot.types import MaskTrajectory


def moving_square(steps: list[tuple[int, int]], size=(90, 120)) -> torch.Tensor:
    masks = torch.zeros(len(steps), *size, dtype=torch.bool)
    for mask, (x, y) in zip(masks, steps, strict=True):
        mask[y : y + 20, x : x + 20] = True
    return masks


def test_mask_score_is_the_path_length_in_diagonals():
    path = [(0, 0), (3, 4), (6, 8), (6, 18)]  # 5 + 5 + 10 px
    empty = torch.zeros(4, 90, 120, dtype=torch.bool)
    masks = MaskTrajectory(moving_square(path), empty, torch.ones(4))
    assert mask_motion_score(masks) == pytest.approx(20 / 150)
    both = MaskTrajectory(moving_square(path), moving_square([(80, 40), (84, 43), (80, 40), (80, 40)]), torch.ones(4))
    assert mask_motion_score(both) == pytest.approx(30 / 150)


def test_frames_in_which_the_object_is_not_seen_count_as_no_motion():
    hidden = moving_square([(0, 0), (50, 50), (6, 8)])
    hidden[1] = False
    masks = MaskTrajectory(torch.zeros_like(hidden), hidden, torch.ones(3))
    assert mask_motion_score(masks) == 0


def textured(generator: torch.Generator, height: int, width: int) -> torch.Tensor:
    coarse = torch.randint(0, 256, (1, 3, height // 6, width // 6), generator=generator).float()
    return torch.nn.functional.interpolate(coarse, (height, width), mode="bicubic")[0].clamp(0, 255).to(torch.uint8)


def test_flow_score_measures_a_moving_patch_on_a_still_scene(generator):
    scene, patch = textured(generator, 90, 120), textured(generator, 36, 36)
    frames = scene.expand(6, -1, -1, -1).clone()
    for number, frame in enumerate(frames):
        frame[:, 20:56, 20 + 3 * number : 56 + 3 * number] = patch
    assert flow_motion_score(frames) == pytest.approx(5 * 3 / 150, rel=0.2)  # the patch covers over a tenth


def test_flow_score_of_a_still_scene_and_of_a_shaking_camera_is_small(generator):
    scene = textured(generator, 90, 140)
    assert flow_motion_score(scene.expand(4, -1, -1, -1)) < 1e-3
    shaken = torch.stack([scene[:, :, start : start + 120] for start in (0, 2, 1, 3)])
    assert flow_motion_score(shaken) < 0.5 * (2 + 1 + 2) / 150


def test_the_lowest_twentieth_is_dropped():
    scores = np.random.default_rng(0).permutation(100).astype(float)
    keep = keep_moving(scores)
    assert sorted(scores[~keep]) == [0, 1, 2, 3, 4]
    assert keep_moving([0.3]).tolist() == [True]
    assert keep_moving([]).tolist() == []
    assert keep_moving([1.0, 1.0, 1.0]).all()


def test_real_episodes_all_move(real_data):
    from m2iv_robot.data.lerobot_io import DatasetConfig, open_dataset, read_frames

    dataset = open_dataset(DatasetConfig(root=str(real_data / "droid_blocks")))
    frames = read_frames(dataset, 0, dataset.cameras[0])
    assert flow_motion_score(frames) > 5 * flow_motion_score(frames[:1].expand(88, -1, -1, -1).clone()) + 0.1
