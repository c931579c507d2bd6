"""How the camera is mounted, found in what it sees."""

from dataclasses import replace

import numpy as np
import pytest

from m2iv_robot.errors import CameraError
from m2iv_robot.wrist import fit_mount, joined, track

from .drawn import HEIGHT, WIDTH


@pytest.fixture(scope="module")
def tracks(footage):
    return joined([track(one.frames, one.motion.tool) for one in footage])


def angle_deg(first: np.ndarray, second: np.ndarray) -> float:
    return float(np.degrees(np.arccos(np.clip((np.trace(first.T @ second) - 1) / 2, -1, 1))))


def test_the_mount_is_found_in_pictures_of_a_speckled_table(tracks, drawn):
    found = fit_mount(tracks, (WIDTH, HEIGHT), 0.005)
    assert found.focal_px == pytest.approx(drawn.mount.focal_px, rel=0.03)
    assert np.linalg.norm(found.pose[:3, 3] - drawn.mount.pose[:3, 3]) < 0.004
    assert angle_deg(found.pose[:3, :3], drawn.mount.pose[:3, :3]) < 1.5
    assert found.table_m == pytest.approx(0.0, abs=0.003)


def test_points_followed_wrongly_do_not_count(tracks, drawn):
    generator = np.random.default_rng(0)
    wrong = generator.random(len(tracks)) < 0.3
    spoiled = np.where(wrong[:, None], generator.uniform(0, [WIDTH, HEIGHT], (len(tracks), 2)), tracks.second_px)
    found = fit_mount(replace(tracks, second_px=spoiled), (WIDTH, HEIGHT))
    assert np.linalg.norm(found.pose[:3, 3] - drawn.mount.pose[:3, 3]) < 0.005
    assert found.explained < 0.75


def test_a_camera_that_is_not_in_step_with_the_tool_is_refused(tracks):
    order = np.random.default_rng(1).permutation(len(tracks))
    shuffled = replace(tracks, first_pose=tracks.first_pose[order], second_pose=tracks.second_pose[order[::-1]])
    with pytest.raises(CameraError, match="not fixed to the tool"):
        fit_mount(shuffled, (WIDTH, HEIGHT))


def test_a_camera_that_does_not_move_is_refused(footage):
    still = np.repeat(footage[0].frames[:1], 20, axis=0)
    tracks = track(still, np.tile(np.eye(4), (20, 1, 1)))
    with pytest.raises(CameraError, match="0 of them while they moved"):
        fit_mount(tracks, (WIDTH, HEIGHT))


def test_a_table_without_texture_is_refused(footage):
    plain = np.full_like(footage[0].frames, 128)
    with pytest.raises(CameraError, match="0 points"):
        fit_mount(track(plain, footage[0].motion.tool), (WIDTH, HEIGHT))
