"""A camera brought back onto an arm's masks, against the camera that made them."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from scipy.spatial.transform import Rotation

from m2iv_robot.arm import align
from m2iv_robot.masks import dilate, erode

TURN = Rotation.from_rotvec([0.03, -0.01, 0.02]).as_matrix()


def table_error_m(found, studio) -> float:
    """How far off a point of the table comes back, at worst."""
    grid = np.stack(np.meshgrid([0.15, 0.25, 0.35], [-0.2, 0.0, 0.2], [0.0]), axis=-1).reshape(-1, 3)
    back = found.unproject(studio.camera.project(grid), 0.0)
    return float(np.linalg.norm(back - grid, axis=1).max())


def nothing(studio):
    return torch.zeros_like(studio.actor)


@pytest.fixture(scope="module")
def moved(studio):
    """The camera turned by two degrees, shifted by a centimetre, its lens a little longer."""
    camera = studio.camera
    shift = np.array([0.008, -0.006, 0.01])
    return replace(
        camera,
        focal_px=1.02 * camera.focal_px,
        rotation=TURN @ camera.rotation,
        translation=TURN @ camera.translation + shift,
    )


def test_a_camera_that_is_off_in_every_way_is_brought_back(studio, moved):
    assert table_error_m(moved, studio) > 0.02
    assert table_error_m(align(moved, studio.surface, studio.links, (studio.actor, nothing(studio))), studio) < 0.004


@pytest.mark.parametrize("change", [erode, dilate])
def test_masks_may_be_too_small_or_too_large_all_around(studio, moved, change):
    masks = (change(studio.actor, 3), nothing(studio))
    assert table_error_m(align(moved, studio.surface, studio.links, masks), studio) < 0.006


def test_a_shadow_taken_for_the_arm_in_some_frames_does_no_harm(studio, moved):
    shaded = studio.actor.clone()
    shaded[::3] |= studio.actor[::3].roll(12, dims=2)
    masks = (shaded, nothing(studio))
    assert table_error_m(align(moved, studio.surface, studio.links, masks), studio) < 0.006


def test_where_no_arm_is_seen_the_camera_stays(studio, moved):
    assert align(moved, studio.surface, studio.links, (nothing(studio), nothing(studio))) == moved
