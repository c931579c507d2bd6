import numpy as np
import pytest
import torch

from m2iv_robot.camera import Camera, CameraConfig, Correspondences, fit_camera, silhouettes, usual_settings
from m2iv_robot.camera.correspondences import EMPTY
from m2iv_robot.camera.silhouette import farthest
from m2iv_robot.config import preset
from m2iv_robot.kinematics import RobotConfig, arm_balls

WIDTH, HEIGHT = 160, 96


def camera_at(place, target, focal_px):
    forward = np.subtract(target, place) / np.linalg.norm(np.subtract(target, place))
    right = np.cross(forward, [0, 0, 1])
    rotation = np.stack([right / np.linalg.norm(right), np.cross(forward, right / np.linalg.norm(right)), forward])
    return Camera(focal_px, WIDTH, HEIGHT, rotation, -rotation @ place)


@pytest.fixture(scope="module")
def arm():
    return arm_balls(preset(RobotConfig, "robot", "franka_cartesian"))


def tool_poses(count):
    """A hand that points down, moved about over the table."""
    turn = np.linspace(0, 2 * np.pi, count, endpoint=False)
    poses = np.tile(np.diag([1.0, -1.0, -1.0, 1.0]), (count, 1, 1))
    poses[:, :3, 3] = np.stack([0.5 + 0.1 * np.cos(turn), 0.2 * np.sin(turn), 0.3 + 0.1 * np.sin(2 * turn)], axis=1)
    return poses


def drawn(camera, balls_m, radii_m):
    """Every pixel whose ray meets a ball's circle."""
    x, y = np.meshgrid(np.arange(WIDTH), np.arange(HEIGHT))
    masks = []
    for frame in balls_m:
        pixels, radii = camera.project(frame), camera.px_per_m(frame) * radii_m
        inside = [np.hypot(x - u, y - v) < r for (u, v), r in zip(pixels, radii, strict=True) if np.isfinite(u)]
        masks.append(np.any(inside, axis=0))
    return torch.from_numpy(np.stack(masks))


def test_the_arm_ends_at_the_tool_and_stands_on_its_base(arm):
    poses = tool_poses(3)
    balls = arm.balls(poses)
    at_flange = np.linalg.norm(balls - poses[:, None, :3, 3], axis=2).min(1)
    np.testing.assert_allclose(at_flange, 0, atol=1e-6)
    assert np.linalg.norm(balls[:, 0], axis=1).max() < 0.2


def test_the_true_camera_is_found_from_the_outline_alone(arm):
    true = camera_at((0.3, 0.75, 0.45), (0.4, 0.0, 0.3), 0.42 * WIDTH)
    poses = tool_poses(8)
    balls = arm.balls(poses)
    seen = silhouettes(drawn(true, balls, arm.radii_m), poses, balls, arm.radii_m)
    assert seen.fits(true) > 0.95
    settings = CameraConfig(
        focal_usual=0.42, focal_spread=0.05, max_table_sigma_m=10.0
    )  # a perfect outline has no slope
    fit = fit_camera(Correspondences(*EMPTY), (WIDTH, HEIGHT), settings, (0.0, 0.0, 0.165), seen)
    table = np.array([[0.4, -0.1, 0.1], [0.5, 0.1, 0.1], [0.6, 0.0, 0.1]])
    reached = fit.camera.unproject(true.project(table), 0.1)
    assert np.linalg.norm(reached - table, axis=1).max() < 0.06


def test_the_tip_is_the_end_away_from_the_border():
    mask = np.zeros((60, 80), bool)
    mask[:40, 20:24] = True
    assert farthest(mask) == pytest.approx([21.5, 37.5], abs=1.6)
    mask[0] = False
    assert np.isnan(farthest(mask)).all()


def test_only_cameras_of_a_known_set_up_have_its_focal_length():
    usual = CameraConfig()
    assert usual_settings(usual, "franka_cartesian", "observation.images.exterior_1").focal_usual == 0.42
    assert usual_settings(usual, "so101", "observation.images.exterior_1") == usual
    by_hand = CameraConfig(focal_usual=0.6)
    assert usual_settings(by_hand, "franka_cartesian", "observation.images.exterior_1") == by_hand
