"""A hand in one piece: it comes back with what no surface has, moves as a whole, and leaves its base in the scene."""

import numpy as np
import pytest
import torch

from m2iv_robot.arm import ArmFilm, ArmFootage, placed, splat

HAND = 5  # the last of the SO-101's arm joints, and the jaw behind it
HOSE = np.array([250, 250, 10])


def link_picture(studio, pose):
    shown = splat(placed(studio.surface, pose), studio.camera, studio.surface.spacing_m)
    return np.where(shown >= 0, studio.surface.link[shown], -1)


@pytest.fixture(scope="module")
def pictures(studio):
    """Arm and hand in two colours, and beside the hand a hose, in masks and pictures alone."""
    frames, actors = [], []
    for pose in studio.links:
        link = link_picture(studio, pose)
        picture = np.full((*link.shape, 3), 90)
        picture[(link >= 0) & (link < HAND)] = [200, 30, 30]
        picture[link >= HAND] = [30, 30, 200]
        hose = np.zeros(link.shape, bool)
        y, x = np.nonzero(link >= HAND)
        if len(y):
            row = int(np.median(y))
            right = int(x[y == row].max()) if (y == row).any() else int(x.max())
            hose[row - 1 : row + 2, right + 1 : right + 5] = True
        hose &= link < 0
        picture[hose] = HOSE
        frames.append(picture.astype(np.uint8))
        actors.append((link >= 0) | hose)
    return torch.as_tensor(np.stack(frames)).permute(0, 3, 1, 2).contiguous(), torch.as_tensor(np.stack(actors))


@pytest.fixture(scope="module")
def film(studio, pictures):
    frames, actor = pictures
    opening, gains = studio.kinematics.gripper_opening(studio.states), np.ones((len(frames), 3))
    nothing = torch.zeros_like(actor)
    return ArmFilm(
        ArmFootage(frames, actor, nothing, studio.links, opening, gains, studio.surface, studio.camera, hand=HAND)
    )


@pytest.fixture(scope="module")
def clear(film):
    """The frame that shows most of its hand, with the hose."""
    return int(np.argmin(film.hand.hidden + [0 if cut.any() else 1 for cut, _ in film.hand.cuts]))


def test_a_seen_hand_comes_back_with_what_its_surface_lacks(film, studio, pictures, clear):
    shot = film.shoot(studio.links[clear], float(film.footage.opening[clear]), clear, clear)
    real = pictures[0][clear].permute(1, 2, 0).numpy()
    hand, hose = link_picture(studio, studio.links[clear]) >= HAND, (real == HOSE).all(-1)
    assert (shot.cover[hand | hose] > 0.5).mean() > 0.9
    assert np.abs(shot.colours - real)[hand & (shot.cover > 0.9)].mean() < 25


def test_the_base_stays_in_the_scene(film, studio, clear):
    shot = film.shoot(studio.links[clear], float(film.footage.opening[clear]), clear, clear)
    link = link_picture(studio, studio.links[clear])
    assert (shot.cover[link == 0] > 0.5).mean() < 0.3


def test_a_moved_hand_lies_where_its_surface_does(film, studio, clear):
    turned = studio.states[clear : clear + 1].clone()
    turned[0, 0] += 8.0
    pose = studio.kinematics.link_poses(turned)[0]
    hand = link_picture(studio, pose) >= HAND
    shot = film.hand.shoot(pose, clear, pictured(film, clear))
    drawn = shot.cover > 0.5
    assert (drawn & hand).sum() / hand.sum() > 0.75
    assert np.isfinite(shot.depth_m[drawn]).all()


def pictured(film, frame):
    return film.footage.frames[frame].permute(1, 2, 0).numpy().astype(np.float32)


def test_a_nearer_hand_with_the_same_opening_is_preferred(film, studio, clear):
    pose, opening = studio.links[clear][None], film.footage.opening[clear : clear + 1]
    apart = film.hand_differences(pose, opening)[0]
    assert int(apart.argmin()) == clear
    shut = film.hand_differences(pose, opening - 0.5)[0]
    assert shut[clear] == pytest.approx(apart[clear] + 30.0)


def test_what_is_before_the_hand_hides_it(film, studio, clear):
    arm = film.shoot(studio.links[clear], float(film.footage.opening[clear]), clear, clear)
    hand = film.hand.shoot(studio.links[clear], clear, pictured(film, clear))
    near = np.full_like(arm.depth_m, 0.05)
    hidden = film.hand.over(
        type(arm)(np.zeros_like(arm.colours), np.ones_like(arm.cover), near, np.zeros_like(arm.unseen)), hand
    )
    assert hidden.colours.max() == 0


def test_some_frames_alone_give_the_same_cuts(film, clear):
    few = film.only(np.array([clear, (clear + 1) % len(film.footage.frames)]))
    assert len(few.footage.frames) == 2
    assert few.hand.cuts[0] is film.hand.cuts[clear]


def test_a_hand_behind_the_camera_is_like_no_frame_but_not_endlessly(film, studio, clear):
    behind = studio.links[clear][None].copy()
    behind[..., :3, 3] += 3 * (studio.camera.position_m - behind[0, HAND, :3, 3])
    found = film.hand_differences(behind, film.footage.opening[clear : clear + 1])[0]
    assert np.isfinite(found).all()
    assert found.min() > film.hand_differences(studio.links[clear][None], film.footage.opening[clear : clear + 1]).min()
