"""Blocks behind outlines, against boxes whose outline and colours are drawn exactly."""

import cv2
import numpy as np
import pytest
import torch
from scipy.spatial.transform import Rotation

from m2iv_robot.camera import Camera, block_behind, half_height

SIZE_M = np.array([0.04, 0.03, 0.03])
CENTRE_M = np.array([0.25, -0.08, 0.015])


def looking_at(target: np.ndarray, position: np.ndarray) -> Camera:
    forward = (target - position) / np.linalg.norm(target - position)
    right = np.cross(forward, [0.0, 0.0, 1.0])
    right /= np.linalg.norm(right)
    rotation = np.stack([right, np.cross(forward, right), forward])
    return Camera(400.0, 320, 240, rotation, -rotation @ position)


CAMERA = looking_at(np.array([0.2, 0.0, 0.0]), np.array([0.8, 0.1, 0.5]))


def box_corners(motion: np.ndarray) -> np.ndarray:
    signs = np.array([[x, y, z] for x in (-1, 1) for y in (-1, 1) for z in (-1, 1)])
    points = CENTRE_M + signs * SIZE_M / 2
    return points @ motion[:3, :3].T + motion[:3, 3]


def box_outline(motion: np.ndarray) -> torch.Tensor:
    hull = cv2.convexHull(np.round(CAMERA.project(box_corners(motion)) * 16).astype(np.int32))
    drawn = np.zeros((CAMERA.height, CAMERA.width), np.uint8)
    cv2.fillConvexPoly(drawn, hull, 1, shift=4)
    return torch.from_numpy(drawn > 0)


def about_centre(turn_deg: float, shift: tuple[float, float] = (0.0, 0.0), lean_deg: float = 0.0) -> np.ndarray:
    motion = np.eye(4)
    motion[:3, :3] = Rotation.from_euler("zx", [turn_deg, lean_deg], degrees=True).as_matrix()
    motion[:3, 3] = CENTRE_M - motion[:3, :3] @ CENTRE_M + [*shift, 0.0]
    return motion


def agreement(cover: np.ndarray, outline: torch.Tensor) -> float:
    shown = cover > 0.5
    return float((shown & outline.numpy()).sum() / (shown | outline.numpy()).sum())


@pytest.fixture(scope="module")
def block():
    return block_behind(box_outline(np.eye(4)), CAMERA, CENTRE_M[2], SIZE_M[2] / 2)


@pytest.mark.parametrize(
    "motion",
    [np.eye(4), about_centre(45), about_centre(-70, (0.05, 0.16)), about_centre(30, (0.0, 0.1), lean_deg=25)],
    ids=["where it was", "turned", "turned elsewhere", "leaning"],
)
def test_its_outline_is_the_boxs_wherever_it_is(block, motion):
    _, cover = block.moved(motion)
    assert agreement(cover, box_outline(motion)) > 0.85


def test_an_outline_that_is_only_moved_does_not_fit_a_turned_box(block):
    _, unturned = block.moved(about_centre(0, (0.05, 0.16)))
    assert agreement(unturned, box_outline(about_centre(-70, (0.05, 0.16)))) < 0.85


def test_colours_stay_on_their_places(block):
    """A mark on the lid is where the turned lid has it."""
    spot = (CENTRE_M + np.array([0.012, 0.006, SIZE_M[2] / 2]))[None]
    motion = about_centre(60, (0.02, 0.12))
    field, _ = block.moved(motion)
    column, row = np.round(CAMERA.project(spot @ motion[:3, :3].T + motion[:3, 3])[0]).astype(int)
    assert np.linalg.norm(field[row, column] - CAMERA.project(spot)[0]) < 1.5


def test_a_side_that_was_not_seen_looks_like_the_opposite_one(block):
    """Turned half round, the box shows sides that were hidden; every colour still comes from its own outline."""
    field, cover = block.moved(about_centre(180))
    seen = box_outline(np.eye(4)).numpy()
    columns, rows = np.round(field[cover > 0]).astype(int).T
    assert seen[rows, columns].all()


def test_the_height_is_found_from_how_the_outline_changes_with_a_turn():
    ways = [about_centre(35, (-0.08, 0.1)), about_centre(-50, (0.0, 0.15)), about_centre(70, (-0.05, 0.12))]
    here = box_outline(np.eye(4))
    seen = [(here, box_outline(way), float(np.arctan2(way[1, 0], way[0, 0]))) for way in ways]
    half, alike = half_height(seen, CAMERA, CENTRE_M[2])
    assert SIZE_M[2] / 2 / 1.6 < half < SIZE_M[2] / 2 * 1.6
    assert alike > 0.8
    wrong = [(here, there, turn + np.pi / 2) for here, there, turn in seen]
    assert half_height(wrong, CAMERA, CENTRE_M[2])[1] < alike - 0.05


def test_out_of_the_picture_nothing_is_drawn(block):
    assert block.moved(about_centre(0, (0.0, 3.0))) is None


def test_no_block_without_an_outline_or_higher_than_the_camera():
    nothing = torch.zeros(CAMERA.height, CAMERA.width, dtype=torch.bool)
    assert block_behind(nothing, CAMERA, 0.015, 0.015) is None
    assert block_behind(box_outline(np.eye(4)), CAMERA, 0.015, 0.6) is None
