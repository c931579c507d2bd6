"""How like true wrist pictures others are."""

import pytest
import torch

from m2iv_robot.benchmark.wrist import BEST_DB, WristBenchmarkConfig, likeness_db
from m2iv_robot.errors import ConfigError

GREY = torch.full((3, 3, 40, 60), 100, dtype=torch.uint8)


def test_ten_levels_apart_are_28_db():
    assert likeness_db(GREY, GREY + 10) == pytest.approx(28.13, abs=0.01)


def test_the_same_pictures_are_as_alike_as_can_be():
    assert likeness_db(GREY, GREY) == BEST_DB


def test_of_no_frames_nothing_is_said():
    assert likeness_db(GREY[:0], GREY[:0]) is None


def test_a_lab_without_episodes_is_refused():
    with pytest.raises(ConfigError, match="episodes"):
        WristBenchmarkConfig(episodes=0)
