"""Projection, and the fit of a camera to made correspondences."""

import dataclasses

import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from m2iv_robot.camera import (
    OBJECT,
    TIP,
    Camera,
    CameraConfig,
    CameraFit,
    Correspondences,
    fit_camera,
    join,
    table_sigma_m,
    with_focal,
)
from m2iv_robot.camera.problem import FitProblem
from m2iv_robot.errors import CameraError, ConfigError

WIDTH, HEIGHT = 320, 240
OFFSET_M = np.array([0.006, -0.004, 0.012])


def looking_at(eye: list[float], target: list[float], focal_px: float = 300.0) -> Camera:
    """A camera at `eye` with the horizon level."""
    forward = np.subtract(target, eye) / np.linalg.norm(np.subtract(target, eye))
    right = np.cross(forward, [0, 0, 1.0])
    right /= np.linalg.norm(right)
    rotation = np.stack([right, np.cross(forward, right), forward])
    return Camera(focal_px, WIDTH, HEIGHT, rotation, -rotation @ np.array(eye))


@pytest.fixture
def camera():
    return looking_at([0.75, 0.2, 0.55], [0.22, 0.0, 0.02])


def carries(camera: Camera, noise_px: float, episodes: int = 10, seed: int = 0) -> Correspondences:
    """Objects carried from the half of the table at y < 0 by a gripper that leans with its reach."""
    random = np.random.default_rng(seed)
    parts = []
    for _ in range(episodes):
        start, goal = random.uniform([0.15, -0.2, 0.02], [0.35, 0.0, 0.02]), np.array([0.25, 0.1, 0.02])
        share = np.linspace(0, 1, 40)
        places = start + (goal - start) * share[:, None] + np.outer(0.12 * np.sin(np.pi * share), [0, 0, 1])
        poses = np.tile(np.eye(4), (40, 1, 1))
        lean = np.pi + 0.5 * (np.linalg.norm(places[:, :2], axis=1) - 0.25) + 0.3 * np.sin(3 * share)
        towards = np.arctan2(places[:, 1], places[:, 0])
        turn = Rotation.from_euler("ZY", np.stack([towards, lean], axis=1))
        poses[:, :3, :3], poses[:, :3, 3] = turn.as_matrix(), places
        points = poses[:, :3, :3] @ OFFSET_M + places
        pixels = camera.project(points) + random.normal(0, noise_px, (40, 2))
        zeros = np.zeros(40, int)
        parts.append(Correspondences(poses, pixels, np.full(40, 1.5), zeros + OBJECT, zeros, np.arange(40)))
    return join(parts)


def table_error_m(fit: CameraFit, true: Camera, data: Correspondences) -> np.ndarray:
    """Horizontal, over the half of the table at y > 0, each camera with the height at which objects lie for it.

    Camera and offset may trade height between them: only together they say where things are.
    """
    lying = data.poses[data.frame == 0]
    height_m = float(np.median((lying[:, :3, :3] @ OFFSET_M + lying[:, :3, 3])[:, 2]))
    x, y = np.meshgrid(np.linspace(0.15, 0.35, 9), np.linspace(0.0, 0.2, 9))
    places = np.stack([x.ravel(), y.ravel(), np.full(x.size, height_m)], axis=1)
    found = fit.camera.unproject(true.project(places), fit.support_height_m(lying))
    return np.linalg.norm((found - places)[:, :2], axis=1)


def test_a_point_on_the_axis_is_in_the_middle_and_scale_falls_with_depth(camera):
    ahead = camera.position_m + 0.5 * camera.rotation[2]
    np.testing.assert_allclose(camera.project(ahead[None])[0], [159.5, 119.5])
    np.testing.assert_allclose(camera.px_per_m(ahead[None]), 600.0)
    right = ahead + 0.01 * camera.rotation[0]
    np.testing.assert_allclose(camera.project(right[None])[0], [159.5 + 6.0, 119.5])


def test_unproject_undoes_project_on_a_plane(camera, generator):
    points = np.random.default_rng(0).uniform([0.1, -0.2, 0.04], [0.4, 0.2, 0.04], (50, 3))
    np.testing.assert_allclose(camera.unproject(camera.project(points), 0.04), points, atol=1e-12)


def test_what_is_behind_or_above_the_horizon_has_no_place(camera):
    behind = camera.position_m - camera.rotation[2]
    assert np.isnan(camera.project(behind[None])).all()
    assert not camera.visible(behind[None])[0]
    assert np.isnan(camera.unproject(np.array([[160.0, -2000.0]]), 0.0)).all()


def test_exact_pixels_give_back_the_camera(camera):
    data = carries(camera, noise_px=0.0)
    config = CameraConfig(offset_sigma_m=1.0, focal_spread=10.0, grasp_spread_m=1e-3)
    fit = fit_camera(data, (WIDTH, HEIGHT), config)
    assert fit.camera.focal_px == pytest.approx(300.0, rel=1e-3)
    np.testing.assert_allclose(fit.tool_offset_m, OFFSET_M, atol=5e-4)
    np.testing.assert_allclose(fit.camera.position_m, camera.position_m, atol=2e-3)
    assert table_error_m(fit, camera, data).max() < 1e-3


def test_noise_of_two_pixels_leaves_less_than_a_centimetre_on_the_unvisited_half(camera):
    for seed in range(3):
        data = carries(camera, noise_px=2.0, seed=seed)
        error = table_error_m(fit_camera(data, (WIDTH, HEIGHT)), camera, data)
        assert np.median(error) < 0.010
        assert np.percentile(error, 95) < 0.020


def test_one_point_in_five_being_wrong_changes_little(camera):
    data = carries(camera, noise_px=1.0)
    wrong = np.random.default_rng(1).random(len(data)) < 0.2
    data.pixels[wrong] += np.random.default_rng(2).uniform([5, 5], [60, 60], (wrong.sum(), 2))
    fit = fit_camera(data, (WIDTH, HEIGHT))
    assert np.percentile(table_error_m(fit, camera, data), 95) < 0.020
    assert not fit.inlier[wrong].all()
    assert fit.inlier[~wrong].mean() > 0.9
    assert fit.median_residual_px < 2.0


def test_a_calibrated_focal_length_replaces_the_fitted_one(camera):
    few = carries(camera, 2.0, episodes=2)
    share = camera.focal_px / WIDTH
    fitted, given = (
        fit_camera(few, (WIDTH, HEIGHT), config) for config in (CameraConfig(), with_focal(CameraConfig(), share))
    )
    error, left = (abs(fit.camera.focal_px / camera.focal_px - 1) for fit in (fitted, given))
    assert left < 0.005 < error
    assert with_focal(CameraConfig(), 4.0).focal_max > 4.0


def test_a_long_finger_offset_is_found_from_a_rough_value(camera):
    data = carries(camera, noise_px=0.5)
    shifted = data.poses.copy()  # the same fingers, reported as a flange 0.16 m behind them
    shifted[:, :3, 3] -= 0.16 * shifted[:, :3, 2]
    fit = fit_camera(dataclasses.replace(data, poses=shifted), (WIDTH, HEIGHT), None, (0.0, 0.0, 0.15))
    fingers = dataclasses.replace(fit, tool_offset_m=fit.tool_offset_m - [0, 0, 0.16])
    assert np.percentile(table_error_m(fingers, camera, data), 95) < 0.020


def test_every_grasp_may_hold_the_object_a_little_elsewhere(camera):
    first, second = carries(camera, 0.3, episodes=5), carries(camera, 0.3, episodes=5, seed=9)
    second.pixels[:] += camera.project(np.array([[0.25, 0.01, 0.05]])) - camera.project(np.array([[0.25, 0.0, 0.05]]))
    fit = fit_camera(join([first, second]), (WIDTH, HEIGHT))
    near = np.mean([fit.group_offset_m[group] for group in range(5)], axis=0)
    far = np.mean([fit.group_offset_m[group] for group in range(5, 10)], axis=0)
    assert np.linalg.norm(far - near) == pytest.approx(0.01, abs=0.005)


def test_tips_have_an_offset_of_their_own(camera):
    objects = carries(camera, noise_px=0.5)
    tips = carries(camera, noise_px=0.5, episodes=3, seed=5)
    lower = tips.poses.copy()
    lower[:, :3, 3] += tips.poses[:, :3, :3] @ np.array([0.0, 0.0, 0.02])
    points = lower[:, :3, :3] @ OFFSET_M + lower[:, :3, 3]
    tips = dataclasses.replace(tips, pixels=camera.project(points), kind=np.full(len(tips), TIP))
    fit = fit_camera(join([objects, tips]), (WIDTH, HEIGHT))
    np.testing.assert_allclose(fit.tip_offset_m - fit.tool_offset_m, [0, 0, 0.02], atol=0.008)


def test_uncertainty_is_about_the_error_and_grows_away_from_the_data(camera):
    errors, sigmas = [], []
    places = np.array([[0.25, 0.15, 0.02], [0.25, 0.6, 0.02]])
    for seed in range(3):
        data = carries(camera, noise_px=2.0, episodes=4, seed=seed)
        fit = fit_camera(data, (WIDTH, HEIGHT))
        contact = data.poses[0]
        sigma = table_sigma_m(fit, camera.project(places), contact)
        assert sigma[1] > sigma[0]
        sigmas.append(sigma[0])
        errors.append(table_error_m(fit, camera, data).mean())
    assert 0.2 < np.mean(errors) / np.mean(sigmas) < 2.0
    assert np.isinf(table_sigma_m(fit, np.array([[160.0, -2000.0]]), contact)).all()


def test_support_height_is_where_objects_lie(camera):
    data = carries(camera, noise_px=0.5)
    fit = fit_camera(data, (WIDTH, HEIGHT))
    lying = data.frame == 0
    expected = np.median((data.poses[lying, :3, :3] @ OFFSET_M + data.poses[lying, :3, 3])[:, 2])
    assert fit.support_height_m(data.poses[lying]) == pytest.approx(expected, abs=0.01)


def test_too_little_to_go_by_is_refused_with_advice(camera):
    data = carries(camera, noise_px=0.5)
    with pytest.raises(CameraError, match=r"5 points are too few .* record a sweep"):
        fit_camera(data.take(np.arange(5)), (WIDTH, HEIGHT))
    line = data.take(np.arange(40))
    straight = line.poses.copy()
    straight[:, :3, 3] = np.linspace([0.2, -0.1, 0.1], [0.3, 0.1, 0.1], 40)
    line = dataclasses.replace(line, poses=straight, pixels=camera.project(straight[:, :3, 3]))
    with pytest.raises(CameraError, match=r"lie along a line .* record a sweep"):
        fit_camera(line, (WIDTH, HEIGHT))


def test_pixels_of_something_else_are_refused(camera):
    data = carries(camera, noise_px=0.5, episodes=2)
    data.pixels[:] = np.random.default_rng(3).uniform([0, 0], [WIDTH, HEIGHT], data.pixels.shape)
    with pytest.raises(CameraError, match="the best camera misses its 80 points"):
        fit_camera(data, (WIDTH, HEIGHT))


def test_an_uncertain_table_is_refused(camera):
    data = carries(camera, noise_px=2.0, episodes=1)
    with pytest.raises(CameraError, match=r"leave the table uncertain by .* use more episodes"):
        fit_camera(data, (WIDTH, HEIGHT), CameraConfig(max_table_sigma_m=0.001))


def test_config_refuses_what_cannot_be():
    with pytest.raises(ConfigError, match="focal_min"):
        CameraConfig(focal_min=1.0)
    with pytest.raises(ConfigError, match=r"pixel_sigma must be positive"):
        CameraConfig(pixel_sigma=0.0)


def test_derivatives_of_the_residuals_are_their_differences(camera):
    data = carries(camera, noise_px=1.0, episodes=2).take(np.arange(0, 80, 7))
    data.kind[::3] = TIP
    problem = FitProblem(data, (WIDTH, HEIGHT), np.zeros(3), CameraConfig(), groups=(0, 1))
    turn = Rotation.from_matrix(camera.rotation).as_rotvec()
    offsets = np.random.default_rng(0).normal(0, 0.01, 12)
    unknowns = np.concatenate([[np.log(280.0)], turn, camera.translation, offsets])
    step = 1e-6 * np.eye(len(unknowns))
    expected = [(problem.residuals(unknowns + row) - problem.residuals(unknowns - row)) / 2e-6 for row in step]
    np.testing.assert_allclose(problem.jacobian(unknowns), np.stack(expected, axis=1), rtol=1e-4, atol=1e-3)
