"""The colour of what is taken, as instructions say it."""

import numpy as np
import pytest

from m2iv_robot.segmentation.words import HUES_DEG, in_colour, told_colour


@pytest.mark.parametrize(
    ("task", "colour"),
    [
        ("Put the blue block in the green bowl", "blue"),
        ("stack blue block on red block", "blue"),
        ("put the cup on the red plate", None),
        ("Move the banana to the right", None),
        ("swap red, green things", None),
        ("", None),
    ],
)
def test_the_colour_belongs_to_what_is_taken_and_not_to_where_it_goes(task, colour):
    assert told_colour(task) == colour


def test_each_name_has_its_colour_and_grey_has_none():
    seen = {"red": (200, 30, 30), "green": (40, 150, 60), "blue": (30, 60, 180), "yellow": (230, 200, 40)}
    for name in HUES_DEG:
        for shown, rgb in seen.items():
            assert in_colour(np.full((2, 2, 3), rgb, np.uint8), name).all() == (name == shown)
        assert not in_colour(np.full((2, 2, 3), 120, np.uint8), name).any()
