"""Cancelling in the middle of sampling, and in the middle of anything else."""

import threading
import time

import pytest
import torch

from m2iv_robot.diffusion import DiffusionConfig, sample
from m2iv_robot.requests.cancelling import Cancel, CancelledError


@pytest.mark.parametrize("stop_at", [1, 7])
def test_sampling_stops_within_the_step_in_which_it_is_cancelled(stop_at):
    network = torch.nn.Sequential(torch.nn.Linear(4, 4), torch.nn.Linear(4, 4))
    cancel, steps = Cancel(), []

    def predict(noisy, time):
        steps.append(float(time[0]))
        if len(steps) == stop_at:
            cancel.ask()
        return network(noisy)

    with pytest.raises(CancelledError), cancel.heard():
        sample(predict, torch.zeros(1, 4), DiffusionConfig(steps=20))
    assert len(steps) == stop_at
    assert network(torch.zeros(1, 4)).shape == (1, 4)  # outside the block nothing is left of it


def add_up(seconds):
    started = time.monotonic()
    while time.monotonic() - started < seconds:
        sum(range(1000))


def test_other_work_is_interrupted_from_another_thread():
    cancel = Cancel()
    timer = threading.Timer(0.05, cancel.ask)
    started = time.monotonic()
    timer.start()
    with pytest.raises(CancelledError), cancel.heard():
        add_up(seconds=60)
    timer.join()
    assert time.monotonic() - started < 30


def test_outside_the_block_nothing_is_interrupted_but_the_next_block_does_not_begin():
    cancel = Cancel()
    cancel.ask()
    assert cancel.asked
    with pytest.raises(CancelledError), cancel.heard():
        raise AssertionError("not reached")
    cancel.forget()
    with cancel.heard():
        pass
