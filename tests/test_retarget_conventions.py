import numpy as np
import pytest

from m2iv_robot.errors import PlanError
from m2iv_robot.retarget.conventions import action_lag, detect_convention


@pytest.fixture
def paths() -> list[np.ndarray]:
    """Smooth paths of three columns, 10 frames a second."""
    time = np.arange(120) / 10
    generator = np.random.default_rng(0)
    return [
        np.stack([a * np.sin(f * time + p) for a, f, p in generator.uniform(0.5, 2, (3, 3))], axis=1) for _ in range(3)
    ]


def test_an_action_that_is_the_next_state_is_told(paths):
    actions = [np.concatenate([path[1:], path[-1:]]) for path in paths]
    assert detect_convention(paths, actions).kind == "next_state"


def test_a_leading_action_is_told_with_its_lag(paths):
    states = [path[:-3] for path in paths]
    actions = [path[3:] + 0.01 for path in paths]
    found = detect_convention(states, actions)
    assert found.kind == "absolute"
    assert found.lag_frames == pytest.approx(3.0, abs=0.05)


def test_a_lag_of_a_fraction_of_a_frame_is_found():
    time = np.arange(200) / 10
    action = np.stack([np.sin(1.3 * time), np.cos(0.7 * time)], axis=1)
    state = np.stack([np.sin(1.3 * (time - 0.14)), np.cos(0.7 * (time - 0.14))], axis=1)
    assert action_lag([state], [action]) == pytest.approx(1.4, abs=0.05)


def test_scaled_steps_are_told_with_their_gain_and_a_column_that_is_no_step(paths):
    gain = np.array([20.0, 5.0])
    actions = []
    for path in paths:
        steps = np.diff(path[:, :2], axis=0, append=path[-1:, :2]) * gain
        gripper = (path[:, 2:] > 0).astype(float)
        actions.append(np.concatenate([steps, gripper], axis=1))
    found = detect_convention(paths, actions)
    assert found.kind == "delta"
    assert found.gain[:2] == pytest.approx(gain, rel=1e-6)
    assert found.gain[2] == 0


def test_a_convention_that_does_not_fit_is_refused(paths):
    noise = [np.random.default_rng(1).normal(0, 50, path.shape) for path in paths]
    with pytest.raises(PlanError, match="action_convention"):
        detect_convention(paths, noise)
    with pytest.raises(PlanError, match="next_state"):
        detect_convention(paths, [path + 0.01 for path in paths], asked="next_state")


def test_states_and_actions_of_different_width_are_refused(paths):
    with pytest.raises(PlanError, match="3 columns and action 2"):
        detect_convention(paths, [path[:, :2] for path in paths])
