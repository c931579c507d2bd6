"""What of an arm no frame shows may be guessed in part, and no more."""

import pytest
import torch

from m2iv_robot.augment.drawable import check_seen
from m2iv_robot.augment.records import AugmentConfig
from m2iv_robot.errors import ConfigError, PlanError


def masks(*columns: int) -> torch.Tensor:
    """Frames of 20 x 40 pixels, filled up to a column."""
    filled = torch.zeros(len(columns), 20, 40, dtype=torch.bool)
    for mask, column in zip(filled, columns, strict=True):
        mask[:, :column] = True
    return filled


def test_an_arm_that_is_mostly_guessed_is_refused_and_a_smaller_guess_is_not():
    arm = masks(20, 20, 20)
    check_seen(masks(0, 7, 0), arm, AugmentConfig())
    with pytest.raises(PlanError, match=r"45% of the arm was never seen as it is in frame 1.*most_unseen_share=0\.4"):
        check_seen(masks(0, 9, 0), arm, AugmentConfig())
    check_seen(masks(0, 9, 0), arm, AugmentConfig(most_unseen_share=0.5))


def test_a_sliver_of_an_arm_at_the_border_may_be_guessed():
    sliver = masks(1)
    sliver[:, 5:] = False
    check_seen(sliver, sliver, AugmentConfig())


def test_a_share_of_nothing_is_refused():
    with pytest.raises(ConfigError, match="most_"):
        AugmentConfig(most_unseen_share=0.0)
