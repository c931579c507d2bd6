from dataclasses import replace

import pytest
import torch

from m2iv_robot.errors import DatasetError, PlanError
from m2iv_robot.labelling import LabelTrustConfig
from m2iv_robot.learned_labels import LEAST_EPISODES, LearnedLabels, check_measured, fitting_sizes, held_out
from m2iv_robot.models.labeller import Labeller, LabellerConfig
from m2iv_robot.types import Episode


def episode(place: float, fps: float = 10.0) -> Episode:
    """Labels that stay around `place`."""
    labels = place + torch.linspace(-0.1, 0.1, 12)[:, None].repeat(1, 3)
    frames = torch.zeros(12, 3, 8, 8, dtype=torch.uint8)
    return Episode("places", 0, "front", frames, labels, labels[:, :2], ("a",) * 3, ("a",) * 2, fps, "", None)


def test_one_end_is_held_out_as_the_outside_and_the_middle_as_the_inside():
    places = [0.3, 9.0, 0.1, 0.5, 0.2, 8.0, 0.4, 0.6, 0.7, 0.0]
    parts = held_out([episode(place) for place in places])
    assert parts.outside == (1, 5)
    assert [places[number] for number in parts.inside] == [pytest.approx(0.3, abs=0.11)]
    assert sorted(parts.taught + parts.inside + parts.outside) == list(range(10))


def test_too_few_episodes_leave_nothing_to_measure_on():
    assert held_out([episode(float(place)) for place in range(LEAST_EPISODES - 1)]) is None


def test_a_step_lasts_as_long_at_any_frame_rate():
    strides = [fitting_sizes(LabellerConfig(step_s=0.25), [episode(0.0, fps)]).stride for fps in (4.0, 10.0, 30.0)]
    assert strides == [1, 2, 8]


def test_there_are_as_many_columns_as_labels():
    only_actions = replace(episode(0.0), state=None)
    sizes = fitting_sizes(LabellerConfig(), [only_actions])
    assert (sizes.state_size, sizes.action_size) == (0, 2)
    with pytest.raises(DatasetError, match="neither state nor action"):
        fitting_sizes(LabellerConfig(), [replace(only_actions, action=None)])
    with pytest.raises(DatasetError, match="one robot"):
        fitting_sizes(LabellerConfig(), [only_actions, episode(0.0)])


def test_beyond_the_recorded_places_labels_are_refused_where_the_error_there_is_large():
    learned = LearnedLabels(Labeller(LabellerConfig(parts=2)), 0.05, 0.6, LabelTrustConfig())
    with pytest.raises(PlanError, match="beyond the recorded places learned labels are wrong by 60 %"):
        learned.read(episode(0.0), recorded_place=False)


def test_an_error_that_was_not_measured_is_too_large():
    with pytest.raises(PlanError, match="cannot be measured"):
        check_measured(None, 0.2, "here")
    check_measured(0.2, 0.2, "here")
