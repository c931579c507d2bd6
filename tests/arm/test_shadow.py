"""Shadows on a table, against a light that is known."""

import numpy as np
import pytest
import torch

from m2iv_robot.arm import placed
from m2iv_robot.arm.shadow import Light, agreement, cast, find_light, thrown

FALL = np.array([0.42, -0.6])


def test_the_light_is_found_from_where_frames_are_dark(studio):
    points = [placed(studio.surface, pose) for pose in studio.links[:6]]
    lamp = Light(FALL, 0.0, 0.4)
    dark = [1 - cast(part, lamp, studio.camera) for part in points]
    hidden = [mask.numpy() for mask in studio.actor[:6]]
    found = find_light(points, dark, hidden, 0.0, studio.camera)
    np.testing.assert_allclose(found.fall, FALL, atol=0.05)
    assert found.darkness == pytest.approx(0.4, abs=0.05)


def test_no_light_is_found_in_even_pictures(studio):
    points = [placed(studio.surface, pose) for pose in studio.links[:3]]
    noise = [0.05 * torch.rand(120, 160, generator=torch.Generator().manual_seed(one)).numpy() for one in range(3)]
    assert find_light(points, noise, [mask.numpy() for mask in studio.actor[:3]], 0.0, studio.camera) is None


def test_a_point_throws_its_shadow_where_the_ray_meets_the_table(studio):
    point = np.array([[0.2, 0.0, 0.1]])
    shade = thrown(point, FALL, 0.0, studio.camera)
    wanted = studio.camera.project(np.array([[0.2 + 0.1 * FALL[0], 0.1 * FALL[1], 0.0]]))[0]
    rows, columns = np.nonzero(shade)
    np.testing.assert_allclose([columns.mean(), rows.mean()], wanted, atol=1.0)


def test_agreement_is_a_correlation(studio):
    points = [placed(studio.surface, studio.links[0])]
    shade = thrown(points[0], FALL, 0.0, studio.camera)
    nothing = np.zeros_like(shade)
    assert agreement(points, [shade.astype(float)], [nothing], (FALL, 0.0, studio.camera)) == pytest.approx(1.0)
