"""A camera from an arm whose recordings know the tool alone, against the camera that drew its masks."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from scipy.spatial.transform import Rotation

from m2iv_robot.arm import MOST_MISFIT, ArmRecording, has_surface, misfit, on_its_surface, placed, splat
from m2iv_robot.camera import Camera, CameraConfig, Correspondences, rough_camera, silhouettes, usual_settings
from m2iv_robot.config import preset
from m2iv_robot.kinematics import RobotConfig, arm_balls, build_kinematics

NAMES = ("x", "y", "z", "roll", "pitch", "yaw", "gripper")
HEIGHT, WIDTH, FOCAL = 192, 320, 135.0
NOTHING = Correspondences(np.zeros((0, 4, 4)), np.zeros((0, 2)), np.zeros(0), *(np.zeros(0, dtype=int),) * 3)


@pytest.fixture(scope="module")
def franka():
    return build_kinematics(preset(RobotConfig, "robot", "franka_cartesian"), NAMES, (), "franka")


@pytest.fixture(scope="module")
def camera():
    """Beside the base, looking at what the arm does, as DROID's cameras stand."""
    place, target = np.array([0.2, 0.75, 0.45]), np.array([0.45, 0.0, 0.2])
    forward = (target - place) / np.linalg.norm(target - place)
    right = np.cross(forward, [0.0, 0.0, 1.0])
    right /= np.linalg.norm(right)
    rotation = np.stack([right, np.cross(forward, right), forward])
    return Camera(FOCAL, WIDTH, HEIGHT, rotation, -rotation @ place)


@pytest.fixture(scope="module")
def recording(franka, camera):
    """The arm reaches to several places; its masks are drawn."""
    turns = np.linspace(0, 2 * np.pi, 16)
    places = np.stack([0.5 + 0.12 * np.cos(turns), 0.22 * np.sin(turns), 0.3 + 0.1 * np.cos(2 * turns)], axis=1)
    angles = np.stack([np.full(16, np.pi), 0.2 * np.sin(turns), 0.5 * np.cos(turns)], axis=1)
    states = torch.tensor(np.concatenate([places, angles, np.zeros((16, 1))], axis=1))
    surface = franka.surface
    drawn = [splat(placed(surface, pose), camera, surface.spacing_m) >= 0 for pose in franka.link_poses(states)]
    actor = torch.from_numpy(np.stack(drawn))
    return ArmRecording(states, actor, torch.zeros_like(actor))


def table_error_m(found: Camera, camera: Camera) -> float:
    """How far off a point of the table before the arm comes back, at worst."""
    grid = np.stack(np.meshgrid([0.4, 0.5, 0.6], [-0.2, 0.0, 0.2], [0.0]), axis=-1).reshape(-1, 3)
    return float(np.linalg.norm(found.unproject(camera.project(grid), 0.0) - grid, axis=1).max())


def test_the_camera_is_found_from_nothing_but_the_arm(franka, camera, recording):
    settings = usual_settings(CameraConfig(), "franka_cartesian", "observation.images.exterior_1")
    tool, balls = franka.forward(recording.states), arm_balls(franka.config)
    arm = silhouettes(recording.actor, tool, balls.balls(tool), balls.radii_m)
    rough = rough_camera(NOTHING, (WIDTH, HEIGHT), settings, tuple(franka.config.finger_offset_m), arm)
    found, left = on_its_surface(rough, franka, [recording])
    assert left < MOST_MISFIT
    assert table_error_m(found, camera) < min(0.02, table_error_m(rough, camera))


def test_a_rough_camera_is_moved_onto_the_surface(franka, camera, recording):
    turn = Rotation.from_rotvec([0.02, -0.03, 0.02]).as_matrix()
    rough = replace(
        camera, focal_px=1.03 * FOCAL, rotation=turn @ camera.rotation,
        translation=turn @ camera.translation + [0.02, -0.01, 0.02],
    )  # fmt: skip
    found, left = on_its_surface(rough, franka, [recording])
    assert table_error_m(rough, camera) > 0.02
    assert table_error_m(found, camera) < 0.01
    masks = (recording.actor, recording.before)
    assert left == pytest.approx(misfit(found, franka.surface, franka.link_poses(recording.states), masks))
    assert left < 0.5 < misfit(rough, franka.surface, franka.link_poses(recording.states), masks)


def test_masks_of_something_else_are_told_by_the_misfit(franka, camera, recording):
    other = torch.zeros_like(recording.actor)
    for frame in range(len(other)):
        other[frame, 20 + 7 * frame : 50 + 7 * frame, 30 : 60 + 9 * frame] = True
    assert on_its_surface(camera, franka, [replace(recording, actor=other)])[1] > MOST_MISFIT


def test_an_arm_without_a_shape_has_no_surface(franka):
    config = replace(preset(RobotConfig, "robot", "franka_cartesian"), surface="")
    assert has_surface(franka)
    assert not has_surface(build_kinematics(config, NAMES, (), "franka"))


def test_a_surface_that_is_not_seen_fits_nothing(franka, camera, recording):
    nothing = torch.zeros_like(recording.actor)
    poses = franka.link_poses(recording.states)
    assert misfit(camera, franka.surface, poses, (nothing, nothing)) == float("inf")
