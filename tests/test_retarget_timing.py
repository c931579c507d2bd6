import numpy as np
import pytest

from m2iv_robot.retarget.timing import (
    MotionLimits,
    limits_from,
    sample,
    slowdown,
    smooth_upper,
    stretched_times,
)
from m2iv_robot.retarget.tracks import delayed


def test_a_span_that_needs_no_stretch_keeps_its_frames():
    assert np.array_equal(stretched_times(7, np.ones(5)), np.arange(7.0, 13.0))


def test_a_stretched_span_ends_on_a_whole_source_frame_after_whole_output_frames():
    times = stretched_times(3, np.array([1.0, 1.7, 2.4, 1.2]))
    assert times[0] == 3
    assert times[-1] == 7
    assert len(times) == 1 + int(np.ceil(1.0 + 1.7 + 2.4 + 1.2))
    assert np.all(np.diff(times) > 0)
    assert np.all(np.diff(times) <= 1 + 1e-9)


def test_slowdown_is_the_ratio_of_speed_to_limit():
    path = np.array([[0.0], [1.0], [2.0], [3.0]])  # 10 units a second at 10 fps
    limits = MotionLimits(speed=np.array([4.0]), acceleration=np.array([1e9]))
    assert slowdown(path, 10.0, limits) == pytest.approx([2.5, 2.5, 2.5])


def test_slowdown_by_acceleration_goes_with_the_square_root():
    path = np.array([[0.0], [0.0], [0.9], [1.8]])  # from 0 to 9 units a second within 0.1 s: 90 per second squared
    limits = MotionLimits(speed=np.array([1e9]), acceleration=np.array([10.0]))
    assert slowdown(path, 10.0, limits) == pytest.approx([3.0, 3.0, 1.0])


def test_a_column_that_hardly_moved_gets_a_share_of_the_fastest():
    time = np.linspace(0, 1, 101)
    states = [np.stack([10 * time, 1e-3 * time], axis=1)]
    limits = limits_from(states, fps=100.0, margin=2.0, floor=0.5)
    assert limits.speed == pytest.approx([20.0, 10.0])


def test_a_smooth_curve_lies_on_or_above_its_values():
    values = np.random.default_rng(0).uniform(1, 3, 50)
    assert np.all(smooth_upper(values, 3) >= values - 1e-12)
    assert len(smooth_upper(values, 3)) == 50


def test_sampling_is_exact_at_whole_frames_and_never_overshoots():
    values = np.array([[0.0], [0.0], [1.0], [1.0]])
    assert np.array_equal(sample(values, np.array([0.0, 2.0, 9.0])), [[0.0], [1.0], [1.0]])
    between = sample(values, np.linspace(0, 3, 61))
    assert between.min() >= 0
    assert between.max() <= 1


def test_a_delayed_time_is_the_time_so_many_frames_before():
    time = np.array([0.0, 1.0, 1.5, 2.0, 3.0])
    assert delayed(time, 1.0) == pytest.approx([-1.0, 0.0, 1.0, 1.5, 2.0])
    assert delayed(time, 0.5) == pytest.approx([-0.5, 0.5, 1.25, 1.75, 2.5])
