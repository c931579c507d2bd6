"""A camera from an arm's outline, against the camera that made the masks."""

import numpy as np
import torch
from scipy.spatial.transform import Rotation

from m2iv_robot.arm import SeenArm, fit_outline
from m2iv_robot.arm.outline import Stage, apart, rotations, string_of_beads
from m2iv_robot.camera import CameraConfig

SHORT = (
    Stage(24, frames=8, pixels=80, steps=80, rate=0.02, softness_px=(12.0, 4.0), learn=False),
    Stage(2, frames=14, pixels=200, steps=150, rate=0.01, softness_px=(4.0, 1.5)),
)


def test_the_camera_is_found_from_masks_and_joints_alone(studio):
    seen = SeenArm(studio.skeleton, studio.actor, torch.zeros_like(studio.actor))
    fit = fit_outline(seen, CameraConfig(focal_usual=0.8), SHORT)
    assert fit.surprise < 0.15
    shift = fit.camera.project(studio.skeleton[:, -1, :3, 3]) - studio.camera.project(studio.skeleton[:, -1, :3, 3])
    assert np.linalg.norm(shift, axis=1).max() < 8.0  # of 160 pixels: a bead's radius
    assert np.linalg.norm(shift - shift.mean(0), axis=1).mean() < 2.0


def test_beads_lie_evenly_on_the_straight_ways():
    poses = np.tile(np.eye(4), (1, 2, 1, 1))
    poses[0, 1, :3, 3] = [0.0, 0.0, 0.5]
    link, centres = string_of_beads(poses)
    assert (link == 0).all()
    np.testing.assert_allclose(centres[:, 2], [0.05, 0.15, 0.25, 0.35, 0.45])


def test_frames_are_chosen_far_apart():
    assert sorted(apart(np.array([[0.0], [0.1], [5.0], [0.2], [10.0]]), 3)) == [0, 2, 4]


def test_rotations_are_those_of_scipy():
    vectors = np.array([[0.3, -0.2, 0.9], [0.0, 0.0, 0.0]])
    found = rotations(torch.as_tensor(vectors)).numpy()
    np.testing.assert_allclose(found, Rotation.from_rotvec(vectors).as_matrix(), atol=1e-12)
