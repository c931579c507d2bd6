"""How far real recordings' objects are from the fingertips, and how like the real arm a bent one is."""

import numpy as np
import pytest
import torch

from m2iv_robot.benchmark.real_arm import RealArmBenchmarkConfig, camera_row, likeness, warp
from m2iv_robot.camera import Camera, CameraFit
from m2iv_robot.data.lerobot_io import EpisodeLabels
from m2iv_robot.errors import ConfigError
from m2iv_robot.generation.deformation import pull
from m2iv_robot.plan.scenes import SourceEpisode
from m2iv_robot.types import EpisodePhases, MaskTrajectory

HEIGHT, WIDTH, LENGTH = 96, 128, 10


def disc(x: float, y: float, radius: float = 6) -> torch.Tensor:
    rows, columns = np.mgrid[:HEIGHT, :WIDTH]
    return torch.from_numpy(np.hypot(columns - x, rows - y) <= radius)


@pytest.fixture
def fit():
    """Straight down from one metre."""
    rotation = np.array([[1.0, 0.0, 0.0], [0.0, -1.0, 0.0], [0.0, 0.0, -1.0]])
    camera = Camera(100.0, WIDTH, HEIGHT, rotation, np.array([0.0, 0.0, 1.0]))
    nothing = np.zeros((0, 2)), np.zeros(0, dtype=bool), np.zeros((10, 10))
    return CameraFit(camera, np.zeros(3), np.array([0.0, 0.0, 0.1]), {}, *nothing, whole_arm=True)


@pytest.fixture
def source(fit):
    """Fingertips that close right above the object, and open two centimetres beside it."""
    poses = np.tile(np.eye(4), (LENGTH, 1, 1))
    poses[:, :3, :3] = np.diag([1.0, -1.0, -1.0])  # the tool points down
    poses[:, :3, 3] = [0.05, 0.02, 0.1]
    poses[5:, 0, 3] = -0.1
    start = disc(*fit.camera.project(np.array([[0.05, 0.02, 0.0]]))[0])
    goal = disc(*fit.camera.project(np.array([[-0.08, 0.02, 0.0]]))[0])
    empty = torch.zeros(LENGTH, HEIGHT, WIDTH, dtype=torch.bool)
    masks = MaskTrajectory(start.expand(LENGTH, -1, -1), empty, torch.ones(LENGTH))
    labels = EpisodeLabels("drawn", 0, None, None, (), (), 10.0, "", None, LENGTH)
    return SourceEpisode(labels, masks, poses, (EpisodePhases(2, 8),), start, goal)


def test_an_object_under_the_fingertips_is_not_far_and_one_beside_them_is(source, fit):
    row = camera_row(source, fit)
    assert row["by_surface"]
    assert row["start_cm"] == pytest.approx(0.0, abs=0.6)  # outlines have whole pixels, a centimetre each
    assert row["goal_cm"] == pytest.approx(2.0, abs=0.6)


def test_a_moved_arm_is_met_by_the_warp(source):
    here = np.array([[40.0, 50.0], [60.0, 50.0], [50.0, 70.0], [50.0, 30.0]])
    shift = np.array([14.0, 6.0])
    actor = disc(50, 50, 12)
    moved = pull(actor.numpy().astype(np.float32), warp(here, here + shift, actor, rooted=True)) > 0.5
    assert (moved & disc(64, 56, 12).numpy()).sum() > 0.95 * moved.sum()


def test_likeness_is_whole_where_made_and_real_are_one(source):
    real = np.random.default_rng(0).uniform(0, 255, (HEIGHT, WIDTH, 3)).astype(np.float32)
    actor = source.masks.actor[0].numpy()
    same = likeness(source.masks, 0, (actor, real), real)
    assert same["iou"] == 1.0
    assert same["psnr_db"] > 60
    other = likeness(source.masks, 0, (np.roll(actor, 6, axis=1), 255 - real), real)
    assert other["iou"] < 0.6
    assert other["psnr_db"] < 15


def test_every_frame_but_not_less_can_be_asked_for():
    with pytest.raises(ConfigError, match="every"):
        RealArmBenchmarkConfig(every=0)
