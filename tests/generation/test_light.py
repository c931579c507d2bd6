import numpy as np
import pytest

from m2iv_robot.generation.light import unshaded

SIZE = (20, 30)


def views(count, dark):
    """The same grey picture; the left half lies in shadow in the first `dark` views."""
    pictures = np.full((count, *SIZE, 3), 120, np.float32)
    pictures[:dark, :, :15] *= 0.5
    return pictures, np.zeros((count, *SIZE), bool)


@pytest.mark.parametrize("dark", [0, 1, 5])
def test_a_shadow_that_passes_is_not_seen(dark):
    seen = unshaded(*views(10, dark))
    np.testing.assert_allclose(seen, 120)


def test_a_shadow_that_stays_is_seen():
    seen = unshaded(*views(10, 10))
    np.testing.assert_allclose(seen[:, :15], 60)


def test_hidden_pixels_are_taken_from_other_views_and_else_from_the_first():
    pictures, hidden = views(3, 0)
    pictures[0], pictures[1:] = 50, 90
    hidden[0, :10], hidden[:, 10:] = True, True
    seen = unshaded(pictures, hidden)
    np.testing.assert_allclose(seen[:10], 90)
    np.testing.assert_allclose(seen[10:], 50)
