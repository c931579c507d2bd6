"""Pictures of an arm in other postures: painted links keep their paint, and lie where the surface has them."""

import numpy as np
import pytest
import torch

from m2iv_robot.arm import ArmFilm, ArmFootage, placed, splat

PAINT = np.array(
    [[200, 30, 30], [30, 200, 30], [30, 30, 200], [200, 200, 30], [30, 200, 200], [200, 30, 200], [240, 240, 240]]
)


@pytest.fixture(scope="module")
def film(studio):
    pictures = [painted(studio, pose) for pose in studio.links]
    frames = torch.as_tensor(np.stack(pictures)).permute(0, 3, 1, 2).contiguous()
    opening = studio.kinematics.gripper_opening(studio.states)
    nothing = torch.zeros_like(studio.actor)
    gains = np.ones((len(frames), 3))
    return ArmFilm(
        ArmFootage(frames, studio.actor, nothing, studio.links, opening, gains, studio.surface, studio.camera)
    )


def painted(studio, pose):
    """The arm with each link in its own colour on grey."""
    shown = splat(placed(studio.surface, pose), studio.camera, studio.surface.spacing_m)
    colours = PAINT[studio.surface.link[shown]]
    return np.where(shown[..., None] >= 0, colours, 90).astype(np.uint8)


def test_a_posture_that_was_seen_comes_back_as_it_was(film, studio):
    shot = film.shoot(studio.links[3], float(film.footage.opening[3]), 3)
    inside = shot.cover > 0.99
    assert shot.unseen.sum() < 0.05 * inside.sum()
    real = film.footage.frames[3].permute(1, 2, 0).numpy().astype(float)
    assert np.abs(shot.colours - real)[inside].mean() < 2.0
    assert (inside & ~studio.actor[3].numpy()).sum() == 0


def test_a_new_posture_is_drawn_where_it_is_with_its_links_colours(film, studio):
    between = (0.5 * studio.states[4] + 0.5 * studio.states[5])[None]
    pose = studio.kinematics.link_poses(between)
    opening = studio.kinematics.gripper_opening(between)
    first = int(film.differences(pose, opening)[0].argmin())
    shot = film.shoot(pose[0], float(opening[0]), first)
    true = painted(studio, pose[0])
    arm = splat(placed(studio.surface, pose[0]), studio.camera, studio.surface.spacing_m) >= 0
    drawn = shot.cover > 0.5
    assert (drawn & arm).sum() / (drawn | arm).sum() > 0.85
    right = (np.abs(shot.colours - true).max(-1) < 60)[drawn & arm]
    assert right.mean() > 0.75


def test_the_depth_is_the_surfaces(film, studio):
    shot = film.shoot(studio.links[0], float(film.footage.opening[0]), 0)
    points = placed(studio.surface, studio.links[0])
    shown = splat(points, studio.camera, studio.surface.spacing_m)
    np.testing.assert_allclose(shot.depth_m[shown >= 0], studio.camera.depth_m(points)[shown[shown >= 0]], rtol=1e-6)
    assert np.isinf(shot.depth_m[shown < 0]).all()


def test_a_posture_seen_from_another_side_is_told_apart(film, studio):
    turned = studio.states[2:3].clone()
    turned[0, 0] += 30.0  # the arm turns on its base: every moving link is seen from 30 degrees aside
    there = film.angles(studio.kinematics.link_poses(turned))[0, 2]
    assert there[0] == pytest.approx(0.0, abs=1e-4)  # but not the base
    assert 10.0 < there[1] < 31.0
