"""What a person is shown of a new episode."""

import pytest
import torch

from m2iv_robot.augment.films import GAP_PX, side_by_side
from m2iv_robot.types import Candidate, Episode, MaskTrajectory, Placement, Provenance

HEIGHT, WIDTH, LENGTH = 24, 32, 3


@pytest.fixture
def candidate():
    frames = torch.full((LENGTH, 3, HEIGHT, WIDTH), 60, dtype=torch.uint8)
    nothing = torch.zeros(LENGTH, HEIGHT, WIDTH, dtype=torch.bool)
    episode = Episode("lab", 0, "front", frames, None, None, (), (), 10.0, "", None)
    placement = Placement("start", nothing[0], nothing[0], (0.0, 0.0), 1.0, None, 0.0, None)
    about = Provenance("lab", 0, "front", "start", (0.0, 0.0), None, 0, {})
    wrist = torch.full((LENGTH, 3, 10, 10), 200, dtype=torch.uint8)
    return Candidate(
        episode, MaskTrajectory(nothing, nothing, torch.ones(LENGTH)), placement, None, about, {"w": wrist}
    )


def test_the_camera_on_the_tool_is_below_source_and_new_episode(candidate):
    source = torch.full((LENGTH, 3, HEIGHT, WIDTH), 20, dtype=torch.uint8)
    before = torch.full((LENGTH, 3, 20, 20), 100, dtype=torch.uint8)
    film = side_by_side(source, candidate, {"w": before})
    assert film.shape == (LENGTH, 3, 2 * HEIGHT + GAP_PX, 3 * WIDTH + 2 * GAP_PX)
    middles = [WIDTH // 2, WIDTH + GAP_PX + WIDTH // 2, 2 * (WIDTH + GAP_PX) + WIDTH // 2]
    assert film[0, 0, HEIGHT // 2, middles].tolist() == [20, 60, 60]
    assert film[0, 0, HEIGHT + GAP_PX + HEIGHT // 2, middles].tolist() == [100, 200, 255]
    assert film[0, 0, -1, 0] == 255  # a square picture has white beside it


def test_with_one_camera_there_is_one_row(candidate):
    source = candidate.episode.frames
    alone = Candidate(candidate.episode, candidate.masks, candidate.placement, None, candidate.provenance)
    assert side_by_side(source, alone, {}).shape[-2] == HEIGHT
