"""Which closing carries the object is read off its masks; one that is pushed before or dropped after is refused."""

import numpy as np
import pytest
import torch

from m2iv_robot.errors import PlanError
from m2iv_robot.plan.picks import picked, rest_spans, resting_places
from m2iv_robot.types import EpisodePhases

FPS, LENGTH = 10.0, 120
TWICE = (EpisodePhases(30, 50), EpisodePhases(70, 90))


def masks_at(columns: list[tuple[int, int]]) -> torch.Tensor:
    """A square of 8 pixels: from each frame on at the given column."""
    masks = torch.zeros(LENGTH, 32, 96, dtype=torch.bool)
    for (first, column), (last, _) in zip(columns, [*columns[1:], (LENGTH, 0)], strict=True):
        masks[first:last, 10:18, column : column + 8] = True
    return masks


FAR = np.zeros((LENGTH, 3))  # the second closing 20 cm from the first
FAR[60:, 0] = 0.2


def pick(
    columns: list[tuple[int, int]],
    kind: str,
    phases: tuple[EpisodePhases, ...] = TWICE,
    asked: int = -1,
    tool_m: np.ndarray = FAR,
) -> int:
    """The closing that is chosen."""
    return picked(resting_places(masks_at(columns), phases, FPS), phases, tool_m, kind, asked, "lab episode 3")


@pytest.mark.parametrize("kind", ["start", "goal"])
def test_the_closing_that_moves_the_object_is_the_one(kind):
    assert pick([(0, 10), (40, 60)], kind) == 0
    assert pick([(0, 10), (80, 60)], kind) == 1


def test_what_is_taken_at_the_second_attempt_has_no_other_start_but_another_goal():
    columns, there = [(0, 10), (40, 14), (80, 70)], np.zeros((LENGTH, 3))
    with pytest.raises(PlanError, match=r"episode 3: .* in several attempts, before frame 70.*placement=goal"):
        pick(columns, "start", tool_m=there)
    assert pick(columns, "goal", tool_m=there) == 1


def test_a_pushed_object_has_no_other_start():
    with pytest.raises(PlanError, match=r"pushed by 1.2 of its size before frame 70.*placement=goal"):
        pick([(0, 10), (20, 20), (80, 70)], "start")
    assert pick([(0, 10), (20, 13), (80, 70)], "start") == 1


def test_what_moves_after_it_is_left_has_no_other_goal():
    columns = [(0, 10), (40, 60), (100, 70)]
    with pytest.raises(PlanError, match=r"after frame 49.*placement=start"):
        pick(columns, "goal")
    assert pick(columns, "start") == 0


def test_what_is_taken_again_has_no_other_goal():
    with pytest.raises(PlanError, match=r"in several attempts, after frame 49"):
        pick([(0, 10), (40, 60)], "goal", tool_m=np.zeros((LENGTH, 3)))


def test_closings_that_move_nothing_are_refused_unless_one_is_named():
    with pytest.raises(PlanError, match=r"closes 2 times.*retarget\.pick"):
        pick([(0, 10)], "start")
    assert pick([(0, 10)], "start", asked=1) == 1
    assert pick([(0, 10)], "start", TWICE[:1]) == 0
    with pytest.raises(PlanError, match=r"retarget\.pick=2 \(from 0\) is not there"):
        pick([(0, 10)], "start", asked=2)


def test_fingers_that_hide_half_of_the_object_do_not_push_it():
    masks = masks_at([(0, 10), (40, 60)])
    masks[24:30, :, 14:18] = False
    assert picked(resting_places(masks, TWICE, FPS), TWICE, FAR, "start", -1, "here") == 0


def test_an_object_that_is_not_seen_between_two_closings_is_not_said_to_move():
    masks = masks_at([(0, 10), (80, 60)])
    masks[40:75] = False
    found = resting_places(masks, TWICE, FPS)
    assert found.carried.tolist() == [0.0, 0.0]


def test_rests_are_at_least_a_frame_long():
    spans = rest_spans((EpisodePhases(1, 50), EpisodePhases(52, 119)), LENGTH, FPS)
    assert spans == [(0, 1), (50, 51), (119, 120)]
