"""The benchmark's own measures, on a small simulated lab with exact masks."""

from dataclasses import replace

import numpy as np
import pytest

from m2iv_robot.benchmark.camera_labs import FITS, OBJECT, UNVISITED_M, lab_row, phases_of, true_camera, unvisited
from m2iv_robot.data.simulation import SimulationConfig, simulate_episode

LAB = SimulationConfig(fps=6, width=160, height=120, wrist_width=0, start_y_max=0.0)


@pytest.fixture(scope="module")
def episodes():
    return [simulate_episode(LAB, seed) for seed in (0, 3, 9)]


def test_phases_are_the_simulators(episodes):
    for simulated in episodes:
        phase = phases_of(simulated.episode)[1][0]
        assert abs(phase.grasp - simulated.grasp_frame) <= 1
        assert abs(phase.release - simulated.release_frame) <= 1


@pytest.mark.parametrize("fit", FITS)
def test_three_episodes_leave_less_than_two_centimetres_where_nothing_has_been(episodes, fit):
    row = lab_row("lab 0", "exact", fit, episodes, [simulated.masks for simulated in episodes])
    assert row["median_cm"] < 2.0
    assert row["places"] > 100


def test_unvisited_places_are_away_from_every_place_of_the_object(episodes):
    kinematics, _ = phases_of(episodes[0].episode)
    places = unvisited(episodes, kinematics, true_camera(episodes[0]))
    been = np.concatenate([simulated.object_positions_m for simulated in episodes])
    nearest = np.linalg.norm(places[:, None, :2] - been[None, :, :2], axis=2).min(1)
    assert nearest.min() > UNVISITED_M


def test_a_wrong_camera_shows_in_the_table_error(episodes):
    """Masks mirrored left to right belong to another camera than the true one."""
    mirrored = [
        replace(simulated.masks, actor=simulated.masks.actor.flip(2), object=simulated.masks.object.flip(2))
        for simulated in episodes
    ]
    wrong = lab_row("lab 0", "exact", OBJECT, episodes, mirrored)
    assert wrong["median_cm"] > 5.0
