"""Points of a robot's surface: from a URDF with a mesh of known shape, and from what ships."""

import struct

import numpy as np
import pytest
import torch

from m2iv_robot.config import preset
from m2iv_robot.errors import KinematicsError
from m2iv_robot.kinematics import JointKinematics, RobotConfig, load_surface, sample_surface
from m2iv_robot.kinematics.urdf import load_chain

HALF_M = (0.05, 0.03, 0.02)
URDF = """<robot name="box"><link name="base"/>
<link name="arm"><inertial><mass value="1"/><inertia ixx="1" ixy="0" ixz="0" iyy="1" iyz="0" izz="1"/></inertial>
<visual><origin xyz="0.1 0 0"/><geometry><mesh filename="box.stl"/></geometry></visual></link>
<joint name="turn" type="revolute"><parent link="base"/><child link="arm"/><axis xyz="0 0 1"/>
<limit lower="-1" upper="1" effort="1" velocity="1"/></joint></robot>"""


@pytest.fixture
def box(tmp_path):
    corners = np.array([[x, y, z] for x in (-1, 1) for y in (-1, 1) for z in (-1, 1)]) * HALF_M
    sides = [(0, 1, 3, 2), (4, 6, 7, 5), (0, 4, 5, 1), (2, 3, 7, 6), (0, 2, 6, 4), (1, 5, 7, 3)]
    faces = [corners[list(three)] for a, b, c, d in sides for three in ((a, b, c), (a, c, d))]
    body = b"".join(struct.pack("<12fH", 0, 0, 0, *face.ravel(), 0) for face in faces)
    (tmp_path / "box.stl").write_bytes(b"\0" * 80 + struct.pack("<I", len(faces)) + body)
    (tmp_path / "box.urdf").write_text(URDF)
    config = RobotConfig("box", "joints", str(tmp_path / "box.urdf"), "arm", ["turn"])
    return tmp_path / "box.urdf", load_chain(config)


def test_points_lie_on_the_mesh_where_the_urdf_puts_it(box):
    surface = sample_surface(*box, spacing_m=0.005)
    away = np.abs(surface.points_m - [0.1, 0.0, 0.0]) / HALF_M
    np.testing.assert_allclose(away.max(1), 1.0, atol=1e-6)
    assert (surface.link == 1).all()


def test_every_side_is_covered_and_its_normals_point_outward(box):
    surface = sample_surface(*box, spacing_m=0.005)
    place = (surface.points_m - [0.1, 0.0, 0.0]) / HALF_M
    axis = np.abs(place).argmax(1)
    outward = np.sign(place[np.arange(len(axis)), axis])
    assert (surface.normals[np.arange(len(axis)), axis] * outward > 0.99).mean() > 0.98
    assert {(one, side) for one, side in zip(axis.tolist(), outward.tolist(), strict=True)} == {
        (one, side) for one in range(3) for side in (-1.0, 1.0)
    }


def test_a_urdf_without_meshes_has_no_surface(tmp_path):
    path = tmp_path / "bare.urdf"
    path.write_text(
        URDF.replace('<visual><origin xyz="0.1 0 0"/><geometry><mesh filename="box.stl"/></geometry></visual>', "")
    )
    assert sample_surface(path, load_chain(RobotConfig("bare", "joints", str(path), "arm", ["turn"]))) is None


def test_a_missing_mesh_is_named(tmp_path):
    path = tmp_path / "lost.urdf"
    path.write_text(URDF)
    with pytest.raises(KinematicsError, match="meshes cannot be read"):
        sample_surface(path, load_chain(RobotConfig("lost", "joints", str(path), "arm", ["turn"])))


def test_a_surface_is_saved_and_read(box, tmp_path):
    surface = sample_surface(*box, spacing_m=0.01)
    surface.save(tmp_path / "box.npz")
    again = load_surface(str(tmp_path / "box.npz"))
    np.testing.assert_allclose(again.points_m, surface.points_m, atol=1e-4)
    np.testing.assert_allclose(again.normals, surface.normals, atol=0.02)
    assert again.link.tolist() == surface.link.tolist()


def test_a_file_that_is_no_surface_is_refused(tmp_path):
    (tmp_path / "other.npz").write_bytes(b"nothing")
    with pytest.raises(KinematicsError, match=r"other\.npz"):
        load_surface(str(tmp_path / "other.npz"))
    with pytest.raises(KinematicsError, match="neither a file nor shipped"):
        load_surface("nowhere.npz")


def test_the_so101s_surface_reaches_its_tool_and_its_jaw_opens():
    names = ("shoulder_pan", "shoulder_lift", "elbow_flex", "wrist_flex", "wrist_roll", "gripper")
    kinematics = JointKinematics(preset(RobotConfig, "robot", "so101"), names)
    states = torch.tensor([[10.0, -20.0, 30.0, 40.0, 0.0, 0.0], [10.0, -20.0, 30.0, 40.0, 0.0, 100.0]])
    links = kinematics.link_poses(states)
    joints = kinematics.joint_poses(states)
    np.testing.assert_allclose(links[:, 1:6], joints, atol=1e-12)
    surface = kinematics.surface
    hand = surface.link == 5
    tool = np.linalg.inv(links[0, 5]) @ kinematics.forward(states)[0]
    assert np.linalg.norm(surface.points_m[hand] - tool[:3, 3], axis=1).min() < 0.01
    turned = links[0, 6, :3, :3].T @ links[1, 6, :3, :3]
    assert np.degrees(np.arccos((np.trace(turned) - 1) / 2)) == pytest.approx(110.0, abs=0.1)
    np.testing.assert_allclose(links[0, :6], links[1, :6], atol=1e-12)
