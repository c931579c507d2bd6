import numpy as np
import pytest
from scipy.spatial import ConvexHull

mujoco = pytest.importorskip("mujoco")

from m2iv_robot.data.simulation import rendering  # noqa: E402
from m2iv_robot.data.simulation.arm import TOOL_SITE, joint_addresses, joint_limits, solve_joints  # noqa: E402
from m2iv_robot.data.simulation.meshes import cluster_vertices, read_stl  # noqa: E402
from m2iv_robot.data.simulation.panda import PANDA  # noqa: E402
from m2iv_robot.data.simulation.so101 import SO101, assets_folder  # noqa: E402
from m2iv_robot.errors import ConfigError  # noqa: E402


@pytest.mark.parametrize("arm", [SO101, PANDA], ids=["so101", "panda"])
def test_inverse_kinematics_undoes_forward_kinematics(arm):
    generator = np.random.default_rng(0)
    model = arm.build(generator).compile()
    data = mujoco.MjData(model)
    limits = joint_limits(model, arm.arm_joints)
    for _ in range(5):
        joints = np.clip(arm.home_rad + generator.normal(0, 0.3, len(limits)), limits[:, 0], limits[:, 1])
        data.qpos[joint_addresses(model, arm.arm_joints)] = joints
        mujoco.mj_kinematics(model, data)
        target = np.eye(4)
        target[:3, :3] = data.site(TOOL_SITE).xmat.reshape(3, 3)
        target[:3, 3] = data.site(TOOL_SITE).xpos
        found, miss = solve_joints(model, data, arm, target, np.array(arm.home_rad))
        assert miss < 1e-4
        data.qpos[joint_addresses(model, arm.arm_joints)] = found
        mujoco.mj_kinematics(model, data)
        assert np.allclose(data.site(TOOL_SITE).xpos, target[:3, 3], atol=1e-4)


def test_the_so101_is_light_enough_to_render():
    model = SO101.build(np.random.default_rng(0)).compile()
    assert 5_000 < model.nmeshface < 30_000


def test_clustered_vertices_stay_within_a_cell_of_the_surface():
    points = np.random.default_rng(0).normal(size=(5000, 3))
    points *= 0.05 / np.linalg.norm(points, axis=1, keepdims=True)
    ball = points[ConvexHull(points).simplices]
    vertices, faces = cluster_vertices(ball, 0.006)
    assert len(vertices) < 1500
    assert 1000 < len(faces) < 0.5 * len(ball)
    assert np.abs(np.linalg.norm(vertices, axis=1) - 0.05).max() < 0.006 * 3**0.5


def test_cells_smaller_than_every_edge_keep_the_mesh():
    triangles = read_stl(assets_folder() / "assets" / "waveshare_mounting_plate_so101_v2.stl")
    vertices, faces = cluster_vertices(triangles, 1e-6)
    assert np.allclose(vertices[faces], triangles, atol=2e-6)


def test_a_file_that_is_no_stl_is_named(tmp_path):
    path = tmp_path / "part.stl"
    path.write_bytes(b"solid part" + b" " * 90)
    with pytest.raises(ConfigError, match=r"part\.stl"):
        read_stl(path)


def test_a_backend_with_a_display_is_refused(monkeypatch):
    monkeypatch.setenv("MUJOCO_GL", "glfw")
    with pytest.raises(ConfigError, match="egl or osmesa"):
        rendering.choose_backend()


def test_a_missing_library_is_named_with_its_package(monkeypatch):
    monkeypatch.setenv("MUJOCO_GL", "osmesa")
    monkeypatch.setattr(rendering.ctypes.util, "find_library", lambda name: None)
    with pytest.raises(ConfigError, match="apt install libosmesa6"):
        rendering.choose_backend()


def test_averaging_down_keeps_the_mean():
    image = np.random.default_rng(0).integers(0, 256, (8, 12, 3)).astype(np.uint8)
    small = rendering.average_down(image, 2)
    assert small.shape == (4, 6, 3)
    assert np.abs(small[1, 2] - image[2:4, 4:6].reshape(4, 3).mean(0)).max() <= 0.5
