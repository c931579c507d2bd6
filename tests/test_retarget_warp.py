import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from m2iv_robot.retarget.warp import ArmAxes, minimum_jerk, place_warp

OBJECT = np.array([0.25, -0.05, 0.02])
AXES = ArmAxes(pivot_xy=(0.04, 0.0), roll_axis=(0.0, 0.0, 1.0))


@pytest.fixture
def poses() -> np.ndarray:
    """Tool poses pointing down and outward near the object."""
    generator = np.random.default_rng(0)
    poses = np.tile(np.eye(4), (20, 1, 1))
    poses[:, :3, :3] = (Rotation.from_euler("xyz", [np.pi, 0.4, 0.3]) * Rotation.random(20, rng=1) ** 0.1).as_matrix()
    poses[:, :3, 3] = OBJECT + generator.normal(0, 0.03, (20, 3))
    return poses


def object_in(pose: np.ndarray, point: np.ndarray) -> np.ndarray:
    return pose[:3, :3].T @ (point - pose[:3, 3])


def test_minimum_jerk_is_flat_at_both_ends_and_symmetric():
    u = np.linspace(-0.5, 1.5, 401)
    share = minimum_jerk(u)
    assert np.all(share[u <= 0] == 0)
    assert np.all(share[u >= 1] == 1)
    assert np.allclose(share + minimum_jerk(1 - u), 1)
    assert minimum_jerk(np.array([1e-3]))[0] == pytest.approx(1e-8, rel=0.02)  # 10 u^3: slope and curvature vanish


@pytest.mark.parametrize("axes", [None, AXES])
def test_the_whole_warp_carries_the_object_by_the_shift(poses, axes):
    warp = place_warp(OBJECT, (0.03, 0.12), poses[0], axes)
    moved = warp.points(OBJECT[None], np.ones(1))[0]
    assert moved == pytest.approx(OBJECT + np.array([0.03, 0.12, 0.0]), abs=1e-12)


def test_an_arm_of_six_joints_keeps_its_orientation_and_moves_by_the_shift(poses):
    warped = place_warp(OBJECT, (0.03, 0.12), poses[0], None).poses(poses, np.ones(20))
    assert np.allclose(warped[:, :3, :3], poses[:, :3, :3])
    assert np.allclose(warped[:, :3, 3] - poses[:, :3, 3], [0.03, 0.12, 0.0])


def test_a_turning_arm_keeps_the_object_where_it_is_in_the_gripper(poses):
    warp = place_warp(OBJECT, (-0.05, 0.2), poses[0], AXES)
    warped = warp.poses(poses, np.ones(20))
    new = warp.points(OBJECT[None], np.ones(1))[0]
    for before, after in zip(poses, warped, strict=True):
        assert object_in(after, new) == pytest.approx(object_in(before, OBJECT), abs=1e-9)


def test_leaning_and_rolling_leave_height_and_the_object_of_the_grasp_in_place(poses):
    warp = place_warp(OBJECT, (0.02, 0.1), poses[0], AXES, (0.4, -0.7))
    warped = warp.poses(poses, np.ones(20))
    assert np.allclose(warped[:, 2, 3], poses[:, 2, 3])
    new = warp.points(OBJECT[None], np.ones(1))[0]
    assert object_in(warped[0], new)[:2] == pytest.approx(object_in(poses[0], OBJECT)[:2], abs=0.01)


def test_no_share_of_a_warp_changes_nothing(poses):
    warp = place_warp(OBJECT, (0.02, 0.1), poses[0], AXES, (0.4, -0.7))
    assert np.allclose(warp.poses(poses, np.zeros(20)), poses)


def test_a_turn_leads_around_the_base_not_through_it():
    shift = (2 * (0.04 - OBJECT[0]), -2 * OBJECT[1] + 1e-3)  # to the other side of the pivot
    warp = place_warp(OBJECT, shift, np.eye(4), AXES)
    path = np.concatenate([warp.points(OBJECT[None], np.array([share])) for share in np.linspace(0, 1, 21)])
    radius = np.linalg.norm(path[:, :2] - np.array(AXES.pivot_xy), axis=1)
    assert radius.min() == pytest.approx(radius[0], rel=0.02)
