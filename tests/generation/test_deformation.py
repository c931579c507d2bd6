"""Bending a picture by handles, against similarities that are known."""

import numpy as np
import pytest

from m2iv_robot.generation.deformation import bend_field, bend_points, pull, scale_field

HANDLES = np.array([[10.0, 12.0], [40.0, 8.0], [25.0, 30.0], [50.0, 40.0]])


def similarity(points, angle, scale, shift):
    turn = scale * np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    return points @ turn.T + shift


@pytest.mark.parametrize(("angle", "scale"), [(0.0, 1.0), (0.4, 1.0), (-1.2, 1.1), (2.0, 0.9)])
def test_handles_that_move_as_one_body_move_every_point_with_them(angle, scale):
    points = np.random.default_rng(0).uniform(0, 60, (50, 2))
    shift = np.array([7.0, -3.0])
    moved = bend_points(points, HANDLES, similarity(HANDLES, angle, scale, shift))
    assert np.abs(moved - similarity(points, angle, scale, shift)).max() < 1e-6


def test_a_handle_that_stays_holds_what_is_around_it_while_another_goes():
    goals = HANDLES.copy()
    goals[0] += (6.0, 2.0)
    moved = bend_points(HANDLES, HANDLES, goals) - HANDLES
    assert np.linalg.norm(moved[0] - (6.0, 2.0)) < 3.0
    assert np.linalg.norm(moved[3]) < 1.5


def test_the_field_says_where_a_pixel_of_the_bent_picture_comes_from():
    goals = HANDLES + np.array([5.0, -2.0])
    field = bend_field(HANDLES, goals, 50, 70)
    assert field.shape == (50, 70, 2)
    assert np.allclose(field[20, 30], (25.0, 22.0), atol=1e-3)


def test_a_scaled_and_moved_picture_shows_its_centre_at_the_new_place():
    picture = np.zeros((40, 60), np.float32)
    picture[15:20, 20:25] = 1.0
    field = scale_field((22.0, 17.0), (10.0, 5.0), 2.0, 40, 60)
    seen = pull(picture, field.astype(np.float32))
    rows, columns = np.nonzero(seen > 0.5)
    assert (columns.mean(), rows.mean()) == pytest.approx((32.0, 22.0), abs=0.6)
    assert len(rows) == pytest.approx(4 * 25, rel=0.25)
