import numpy as np
import pytest

from m2iv_robot.errors import ConfigError
from m2iv_robot.kinematics import PhaseConfig, find_phases
from m2iv_robot.types import EpisodePhases


def signal(*pieces: tuple[float, int]) -> np.ndarray:
    """Opening that ramps over three frames to each level and stays there."""
    values = [pieces[0][0]] * pieces[0][1]
    for level, count in pieces[1:]:
        values += list(np.linspace(values[-1], level, 4)[1:]) + [level] * (count - 3)
    return np.array(values)


def test_one_grasp_is_held_from_the_floor_to_the_first_frame_off_it():
    opening = signal((1.0, 20), (0.4, 30), (1.0, 20))
    assert find_phases(opening, fps=10.0) == [EpisodePhases(grasp=22, release=50)]


def test_a_partial_closing_counts_against_the_episodes_own_range():
    opening = signal((0.30, 20), (0.14, 30), (0.34, 20))
    assert find_phases(opening, fps=10.0) == [EpisodePhases(grasp=22, release=50)]


def test_creeping_of_the_fingers_while_they_squeeze_is_still_held():
    opening = signal((1.0, 20), (0.42, 30), (1.0, 20))
    opening[22:50] -= np.linspace(0, 0.04, 28)
    assert find_phases(opening, fps=10.0) == [EpisodePhases(grasp=22, release=50)]


def test_two_grasps_are_told_apart_and_a_short_failed_one_is_left_out():
    opening = signal((1.0, 20), (0.4, 20), (1.0, 20), (0.35, 6), (1.0, 20), (0.4, 25), (1.0, 10))
    phases = find_phases(opening, fps=10.0)
    assert [(phase.grasp, phase.release) for phase in phases] == [(22, 40), (88, 111)]


def test_an_opening_too_short_to_let_go_is_merged():
    opening = signal((1.0, 20), (0.4, 20), (0.4, 20), (1.0, 20))
    opening[35:37] = 0.8
    assert find_phases(opening, fps=10.0) == [EpisodePhases(grasp=22, release=60)]


def test_a_grasp_that_the_episode_ends_in_is_open_ended():
    opening = signal((1.0, 20), (0.4, 30))
    assert find_phases(opening, fps=10.0) == [EpisodePhases(grasp=22, release=50)]


def test_an_episode_that_starts_closed_holds_from_its_first_frame():
    opening = signal((0.4, 20), (1.0, 30))
    assert find_phases(opening, fps=10.0) == [EpisodePhases(grasp=0, release=20)]


def test_a_gripper_that_never_closes_holds_nothing():
    assert find_phases(np.full(50, 0.9), fps=10.0) == []
    assert find_phases(0.9 + 0.01 * np.sin(np.arange(50)), fps=10.0) == []


def test_closed_all_the_way_needs_a_squeeze_in_the_command():
    opening = signal((1.0, 20), (0.03, 30), (1.0, 20))
    relaxed, squeezing = opening.copy(), np.clip(opening - 0.1 * (opening < 0.1), -0.1, 1)
    assert find_phases(opening, fps=10.0, command=relaxed) == []
    assert find_phases(opening, fps=10.0, command=squeezing) == [EpisodePhases(grasp=22, release=50)]


def test_a_closing_that_carries_nothing_anywhere_is_left_out():
    opening = signal((1.0, 20), (0.4, 20), (1.0, 20), (0.4, 20), (1.0, 20))
    path = np.zeros((100, 3))
    path[60:, 2] = np.minimum(np.arange(40) * 0.01, 0.2)
    phases = find_phases(opening, fps=10.0, tool_positions_m=path)
    assert [(phase.grasp, phase.release) for phase in phases] == [(62, 80)]


def test_thresholds_must_be_in_order():
    with pytest.raises(ConfigError, match="tolerance < travel"):
        PhaseConfig(travel=0.1, tolerance=0.2)


def test_recorded_blocks_have_their_grasps(real_data):
    """Seen in the video: one carry; one slip and one carry (with two closings on nothing); two carries."""
    import pyarrow.parquet as parquet

    path = next((real_data / "droid_blocks" / "data").glob("chunk-*/file-*.parquet"))
    table = parquet.read_table(path, columns=["observation.state", "episode_index"])
    states = np.array(table["observation.state"].to_pylist())
    episodes = np.array(table["episode_index"].to_pylist())
    expected = {0: [(33, 60)], 1: [(56, 67), (169, 185)], 2: [(48, 72), (89, 164)]}
    for index, carries in expected.items():
        rows = states[episodes == index]
        phases = find_phases(1 - rows[:, 6], fps=4.0, tool_positions_m=rows[:, :3])
        for grasp, release in carries:
            assert any(abs(phase.grasp - grasp) <= 1 and abs(phase.release - release) <= 1 for phase in phases)
