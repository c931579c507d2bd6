"""The map of the table."""

import numpy as np
import pytest

from m2iv_robot.wrist import Floor, filled_from, floor_below
from m2iv_robot.wrist.floor import FloorLayer


def laid(drawn, footage, spoil=None):
    layer = FloorLayer(0.4, 0.0)
    for number, tool in enumerate(footage[0].motion.tool):
        camera = drawn.mount.camera(tool)
        picture, known = drawn.floor.seen_by(camera)
        hidden = ~known
        if spoil is not None:
            picture, hidden = spoil(number, picture.copy(), hidden)
        layer.add(camera, picture.astype(np.float32), hidden)
    return layer.laid()


def apart(floor, truth):
    """Levels between two maps of one table, where the first is known."""
    rows, columns = np.nonzero(floor.known)
    places = np.stack([columns, rows], 1) * floor.texel_m + floor.corner_m
    x, y = np.round(truth.texels(places)).astype(int).T
    return np.abs(floor.colours[rows, columns] - truth.colours[y, x])


def test_what_was_seen_is_laid_where_it_is(drawn, footage):
    floor = laid(drawn, footage)
    assert floor.known.mean() > 0.1
    assert np.median(apart(floor, drawn.floor)) < 4


def test_hidden_pixels_tell_nothing(drawn, footage):
    def spoil(number, picture, hidden):
        picture[60:], hidden[60:] = 255, True
        return picture, hidden

    assert np.percentile(apart(laid(drawn, footage, spoil), drawn.floor), 95) < 15


def test_a_brighter_picture_is_brought_to_the_others(drawn, footage):
    def spoil(number, picture, hidden):
        return (0.6 * picture if number % 2 else picture), hidden

    assert np.median(apart(laid(drawn, footage, spoil), drawn.floor)) < 5


def test_a_camera_sees_the_map_as_the_table(drawn, footage):
    floor = laid(drawn, footage)
    camera = drawn.mount.camera(footage[0].motion.tool[5])
    seen, known = floor.seen_by(camera)
    true, _ = drawn.floor.seen_by(camera)
    assert known.mean() > 0.9
    assert np.abs(seen - true)[known].mean() < 5


def test_what_is_lacking_comes_from_the_fixed_camera_at_the_map_s_exposure(drawn, footage):
    floor = laid(drawn, footage)
    above = drawn.mount.camera(np.block([[np.diag([1.0, -1.0, -1.0]), np.array([[0.2], [0.0], [0.9]])], [0, 0, 0, 1]]))
    picture, known = drawn.floor.seen_by(above)
    wide = floor_below(above, (0.5 * picture).astype(np.uint8), known, floor)
    both = filled_from(floor, wide)
    assert both.known.sum() > 1.5 * floor.known.sum()
    new = both.known & ~floor.known
    assert both.colours[new].mean() == pytest.approx(drawn.floor.colours.mean(), rel=0.1)
    assert np.array_equal(both.colours[floor.known], floor.colours[floor.known])


def test_beyond_what_is_known_colours_go_on():
    known = np.zeros((4, 4), bool)
    known[:, 0] = True
    other = Floor(np.full((4, 4, 3), 90, np.float32), known, np.zeros(2), 0.1, 0.0)
    blank = Floor(np.zeros((4, 4, 3), np.float32), ~np.ones((4, 4), bool), np.zeros(2), 0.1, 0.0)
    assert (filled_from(blank, other).colours == 90).all()
