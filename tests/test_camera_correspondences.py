"""From masks and tool poses to correspondences, on drawn arms and objects."""

import cv2
import numpy as np
import pytest
import torch

from m2iv_robot.camera import OBJECT, TIP, Camera, correspondences, tip_correspondences
from m2iv_robot.camera.object_centre import outline_of, whole_centre
from m2iv_robot.camera.tip import arm_tips, steps_from
from m2iv_robot.errors import CameraError
from m2iv_robot.types import EpisodePhases, MaskTrajectory

SIZE = (240, 320)
GRASP, RELEASE, LENGTH = 10, 40, 60


@pytest.fixture
def camera():
    """Looks straight down from one metre: x to the right, y upwards in the image."""
    rotation = np.diag([1.0, -1.0, -1.0])
    return Camera(300.0, SIZE[1], SIZE[0], rotation, -rotation @ np.array([0.0, 0.0, 1.0]))


def disc(centre: np.ndarray, radius: float) -> np.ndarray:
    y, x = np.mgrid[: SIZE[0], : SIZE[1]]
    return (x - centre[0]) ** 2 + (y - centre[1]) ** 2 <= radius**2


@pytest.fixture
def carry(camera):
    """Poses and masks of a disc carried along x; the fingers hide its upper third while it is held."""
    share = np.clip((np.arange(LENGTH) - GRASP) / (RELEASE - 1 - GRASP), 0, 1)
    object_at = np.stack([-0.2 + 0.4 * share, 0.05 * np.sin(np.pi * share), np.zeros(LENGTH)], axis=1)
    tool_at = object_at.copy()
    tool_at[RELEASE:, 1] += 0.02 * np.arange(1, LENGTH - RELEASE + 1)  # the empty hand leaves
    poses = np.tile(np.eye(4), (LENGTH, 1, 1))
    poses[:, :3, 3] = tool_at
    pixels = camera.project(object_at)
    actor, objects = [], []
    for frame in range(LENGTH):
        whole = disc(pixels[frame], 9)
        fingers = np.zeros(SIZE, bool)
        if GRASP <= frame < RELEASE:
            fingers[: int(pixels[frame, 1]) - 3, int(pixels[frame, 0]) - 14 : int(pixels[frame, 0]) + 15] = True
        actor.append(fingers)
        objects.append(whole & ~fingers)
    masks = MaskTrajectory(torch.tensor(np.array(actor)), torch.tensor(np.array(objects)), torch.ones(LENGTH))
    return masks, poses, pixels


def test_held_frames_and_resting_places_belong_to_the_tools_poses(carry):
    masks, poses, pixels = carry
    data = correspondences(masks, poses, [EpisodePhases(GRASP, RELEASE)], 10.0)
    assert set(data.frame) == set(range(GRASP, RELEASE))
    assert (data.kind == OBJECT).all()
    np.testing.assert_allclose(data.poses, poses[data.frame])
    error = np.linalg.norm(data.pixels - pixels[data.frame], axis=1)
    assert np.median(error) < 0.75
    assert error.max() < 1.5


def test_the_whole_outline_gives_the_centre_behind_the_fingers():
    whole = disc(np.array([150.0, 100.0]), 12)
    fingers = np.zeros(SIZE, bool)
    fingers[:97, 130:170] = True
    visible = whole & ~fingers
    seen = np.argwhere(visible).mean(0)[::-1]
    centre, misfit = whole_centre(visible, fingers, outline_of(whole))
    assert np.linalg.norm(seen - [150, 100]) > 3
    np.testing.assert_allclose(centre, [150, 100], atol=0.5)
    assert misfit < 0.1


def test_the_outline_is_scaled_to_an_object_that_comes_nearer():
    near = disc(np.array([80.0, 60.0]), 12)
    centre, misfit = whole_centre(near, np.zeros(SIZE, bool), outline_of(disc(np.array([150.0, 100.0]), 10)))
    np.testing.assert_allclose(centre, [80, 60], atol=0.5)
    assert misfit < 0.15


def test_a_closing_beside_the_object_gives_nothing(carry):
    masks, poses, _ = carry
    still = MaskTrajectory(masks.actor, masks.object[:1].expand(LENGTH, -1, -1).clone(), masks.confidence)
    assert len(correspondences(still, poses, [EpisodePhases(GRASP, RELEASE)], 10.0)) == 0


def test_an_object_that_is_pushed_by_the_opening_fingers_is_not_believed_at_rest(carry):
    masks, poses, pixels = carry
    moved = masks.object.clone()
    moved[RELEASE:] = torch.tensor(disc(pixels[-1] + [25, 0], 9))
    data = correspondences(
        MaskTrajectory(masks.actor, moved, masks.confidence), poses, [EpisodePhases(GRASP, RELEASE)], 10.0
    )
    assert np.linalg.norm(data.pixels - pixels[data.frame], axis=1).max() < 1.5


def test_frames_in_which_the_object_is_hidden_are_left_out(carry):
    masks, poses, _ = carry
    hidden = masks.object.clone()
    hidden[20:25] = False
    data = correspondences(
        MaskTrajectory(masks.actor, hidden, masks.confidence), poses, [EpisodePhases(GRASP, RELEASE)], 10.0
    )
    assert not set(range(20, 25)) & set(data.frame)


def test_two_grasps_are_two_groups(carry):
    masks, poses, _ = carry
    phases = [EpisodePhases(GRASP, 22), EpisodePhases(27, RELEASE)]
    data = correspondences(masks, poses, phases, 10.0)
    assert data.group[data.frame < 22].max() == 0
    assert data.group[data.frame >= 27].min() == 1


def test_masks_of_another_episode_are_refused(carry):
    masks, poses, _ = carry
    with pytest.raises(CameraError, match="59 tool poses for 60 frames"):
        correspondences(masks, poses[:-1], [EpisodePhases(GRASP, RELEASE)], 10.0)


def arm_mask(tip: tuple[int, int]) -> np.ndarray:
    """An arm from a base at the bottom left over an elbow at the top to its tip."""
    canvas = np.zeros(SIZE, np.uint8)
    cv2.rectangle(canvas, (20, 200), (60, 230), 1, -1)
    cv2.line(canvas, (40, 200), (70, 60), 1, 15)
    cv2.line(canvas, (70, 60), tip, 1, 9)
    return canvas > 0


def test_the_tip_is_at_the_far_end_of_the_arm_not_at_its_elbow():
    tips = [(200 + 4 * step, 120 + 2 * step) for step in range(20)]
    masks = torch.tensor(np.array([arm_mask(tip) for tip in tips]))
    found = arm_tips(masks)
    away = np.linalg.norm(found - np.array(tips), axis=1)
    assert away.max() < 7  # the line's round end
    offset = found - np.array(tips)
    assert offset.std(0).max() < 1.5


def test_a_tip_outside_the_image_is_not_reported():
    masks = torch.tensor(np.array([arm_mask((319, 120))] * 3 + [arm_mask((250, 120))]))
    assert np.isnan(arm_tips(masks)[:3]).all()
    assert np.isfinite(arm_tips(masks)[3]).all()


def test_steps_go_round_corners():
    mask = np.zeros((30, 30), bool)
    mask[2, 2:20] = mask[2:20, 19] = True
    root = np.zeros_like(mask)
    root[2, 2] = True
    assert steps_from(mask, root)[2, 19] == 17
    assert steps_from(mask, root)[19, 19] in range(33, 35)
    assert steps_from(mask, root)[25, 25] == -1


def test_a_sweep_gives_tips_with_their_poses(camera):
    path = np.array([(200 + 4 * step, 120 + 2 * step) for step in range(20)])
    masks = torch.tensor(np.array([arm_mask(tuple(tip)) for tip in path.tolist()]))
    poses = np.tile(np.eye(4), (20, 1, 1))
    poses[:, :3, 3] = camera.unproject(path.astype(float), 0.0)
    sweep = MaskTrajectory(masks, torch.zeros_like(masks), torch.ones(20))
    wanted = np.arange(20) % 2 == 0
    data = tip_correspondences(sweep, poses, wanted)
    assert (data.kind == TIP).all()
    assert set(data.frame) == set(np.flatnonzero(wanted))
    assert np.linalg.norm(camera.project(data.poses[:, :3, 3]) - data.pixels, axis=1).max() < 7
