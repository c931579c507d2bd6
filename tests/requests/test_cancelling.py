"""Cancelling in the middle of sampling."""

import threading

import pytest
import torch

from m2iv_robot.diffusion import DiffusionConfig, sample
from m2iv_robot.requests.cancelling import CancelledError, cancellable


@pytest.mark.parametrize("stop_at", [1, 7])
def test_sampling_stops_within_the_step_in_which_it_is_cancelled(stop_at):
    network = torch.nn.Sequential(torch.nn.Linear(4, 4), torch.nn.Linear(4, 4))
    cancelled, steps = threading.Event(), []

    def predict(noisy, time):
        steps.append(float(time[0]))
        if len(steps) == stop_at:
            cancelled.set()
        return network(noisy)

    with pytest.raises(CancelledError), cancellable(cancelled):
        sample(predict, torch.zeros(1, 4), DiffusionConfig(steps=20))
    assert len(steps) == stop_at
    assert network(torch.zeros(1, 4)).shape == (1, 4)  # outside the block nothing is left of it
