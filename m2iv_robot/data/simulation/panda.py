"""The Franka Panda of PyPI's gymnasium-robotics, driven and recorded in Cartesian space as the DROID arms are."""

import functools
import importlib.util
from pathlib import Path
from xml.etree import ElementTree

import mujoco
import numpy as np
from scipy.spatial.transform import Rotation

from m2iv_robot.data.simulation.arm import TOOL_SITE, Arm, add_ball, add_tip, add_tool, joint_addresses, solve_joints
from m2iv_robot.data.simulation.meshes import cluster_vertices, read_stl
from m2iv_robot.errors import ConfigError

ARM_JOINTS = tuple(f"robot:panda0_joint{number}" for number in range(1, 8))
FINGERS = ("robot:panda0_finger_joint1", "robot:panda0_finger_joint2")
STIFFNESS = (4500.0, 4500.0, 3500.0, 3500.0, 2000.0, 2000.0, 2000.0)  # N m/rad
FINGER_STIFFNESS = 1000.0  # N/m
FINGER_TRAVEL_M = 0.04
FINGER_BODIES = ("panda0_leftfinger", "panda0_rightfinger")
SQUEEZE_M = 0.010  # fingers that are blocked push on, as Franka's force-controlled grasp does
RELEASE_M = 0.0015  # a command to open by more than this ends it
LAG_S = 0.05
TOOL_HEIGHT_M = 0.252  # on the last link: between the finger tips, 6 mm above their ends


def assets_folder() -> Path:
    """Where the installed package keeps the arm; found without importing it, which would pull in all its environments.

    Raises:
        ConfigError: the package is not installed.
    """
    found = importlib.util.find_spec("gymnasium_robotics")
    if found is None or found.origin is None:
        raise ConfigError("simulation.robot=panda needs gymnasium-robotics; install the extra: pip install -e .[sim]")
    return Path(found.origin).parent / "envs" / "assets" / "kitchen_franka" / "franka_assets"


@functools.lru_cache(maxsize=64)
def _light_mesh(path: Path, cell_m: float) -> tuple[np.ndarray, np.ndarray]:
    return cluster_vertices(read_stl(path), cell_m)


def build(generator: np.random.Generator) -> mujoco.MjSpec:
    """The arm alone, standing at the origin; the real one is always white."""
    folder = assets_folder()
    root = ElementTree.Element("mujoco")
    root.extend(ElementTree.parse(folder / "assets.xml").getroot())
    # As shipped, a finger is as heavy as 5 kg: nothing light can be held between two of them.
    root.find(".//default[@class='panda_finger']/joint").attrib.update(damping="10", armature="0.2")
    world = ElementTree.SubElement(root, "worldbody")
    world.extend(ElementTree.parse(folder / "chain.xml").getroot())
    spec = mujoco.MjSpec.from_string(ElementTree.tostring(root, encoding="unicode"))
    shade = float(generator.uniform(0.85, 0.95))
    for geom in list(spec.geoms):
        if geom.classname.name == "panda_col":
            geom.contype, geom.conaffinity, geom.group = 0, 0, 3  # they only carry the mass
        elif geom.classname.name == "panda_viz":
            geom.group = 2
            dark = geom.meshname == "finger_viz"
            geom.rgba = [0.25, 0.25, 0.27, 1] if dark else [shade, shade, shade, 1]
        else:
            spec.delete(geom)  # finger balls: a box holds an object better
    for mesh in spec.meshes:
        vertices, faces = _light_mesh(folder / "meshes" / mesh.file, 0.005)
        mesh.file = ""
        mesh.uservert, mesh.userface = vertices.reshape(-1).tolist(), faces.reshape(-1).tolist()
    _add_tool_and_servos(spec)
    return spec


def _add_tool_and_servos(spec: mujoco.MjSpec) -> None:
    turned = Rotation.from_euler("z", -45, degrees=True).as_matrix()
    add_tool(spec.body("panda0_link7"), (0.0, 0.0, TOOL_HEIGHT_M), turned, eye=(0.075, 0.0, -0.14))
    for finger, side in zip(FINGER_BODIES, (1, -1), strict=True):
        # Four balls: boxes make and lose contacts from step to step, and spin what is between them.
        for across, along in ((-0.007, 0.066), (0.007, 0.066), (-0.007, 0.087), (0.007, 0.087)):
            add_ball(spec.body(finger), np.array([across, side * 0.004, along]))
        add_tip(spec.body(finger), np.array([0, side * 0.006, 0.0865]))
    for body in spec.bodies:
        body.gravcomp = 1.0 if body.name.startswith("panda0") else 0.0
    for name, stiffness in zip((*ARM_JOINTS, *FINGERS), (*STIFFNESS, FINGER_STIFFNESS, FINGER_STIFFNESS), strict=True):
        actuator = spec.add_actuator(name=name, target=name, trntype=mujoco.mjtTrn.mjTRN_JOINT)
        actuator.gaintype, actuator.biastype = mujoco.mjtGain.mjGAIN_FIXED, mujoco.mjtBias.mjBIAS_AFFINE
        actuator.gainprm[0] = stiffness
        actuator.biasprm[1], actuator.biasprm[2] = -stiffness, -stiffness * LAG_S


def read_state(model: mujoco.MjModel, data: mujoco.MjData) -> np.ndarray:
    """Position of the tool (m), roll pitch yaw (rad, fixed axes, roll in 0..2 pi), gripper 0 (open) .. 1."""
    site = data.site(TOOL_SITE)
    opening = data.qpos[joint_addresses(model, FINGERS)].mean() / FINGER_TRAVEL_M
    return np.concatenate([site.xpos, _angles(site.xmat.reshape(3, 3)), [1.0 - float(np.clip(opening, 0, 1))]])


def _angles(rotation: np.ndarray) -> np.ndarray:
    roll, pitch, yaw = Rotation.from_matrix(rotation).as_euler("xyz")
    return np.array([roll % (2 * np.pi), pitch, yaw])  # a hand that points down has a roll of pi: no jumps there


def joints_to_action(model: mujoco.MjModel, joints: np.ndarray) -> np.ndarray:
    """The pose that the joints stand for, in the dataset's units."""
    data = mujoco.MjData(model)
    data.qpos[joint_addresses(model, ARM_JOINTS)] = joints[:7]
    data.qpos[joint_addresses(model, FINGERS)] = joints[7]
    mujoco.mj_kinematics(model, data)
    return read_state(model, data)


def action_to_joints(model: mujoco.MjModel, data: mujoco.MjData, action: np.ndarray) -> np.ndarray:
    """What the arm's Cartesian controller makes of a pose, starting from the joints in `data`."""
    target = np.eye(4)
    target[:3, :3] = Rotation.from_euler("xyz", action[3:6]).as_matrix()
    target[:3, 3] = action[:3]
    scratch = mujoco.MjData(model)
    joints, _ = solve_joints(model, scratch, PANDA, target, data.ctrl[:7])
    opening = (1.0 - float(np.clip(action[6], 0, 1))) * FINGER_TRAVEL_M
    measured = data.qpos[joint_addresses(model, FINGERS)].mean()
    squeezing = opening <= measured + RELEASE_M and _is_held(model, data)
    return np.append(joints, opening - (SQUEEZE_M if squeezing else 0.0))


def _is_held(model: mujoco.MjModel, data: mujoco.MjData) -> bool:
    """Whether both fingers press on one and the same other body."""
    fingers = {model.body(name).id for name in FINGER_BODIES}
    pressed: dict[int, set[int]] = {}
    for contact in data.contact:
        first, second = (int(model.geom_bodyid[geom]) for geom in contact.geom)
        if (first in fingers) != (second in fingers):
            finger, other = (first, second) if first in fingers else (second, first)
            pressed.setdefault(other, set()).add(finger)
    return any(len(both) == 2 for other, both in pressed.items() if other != 0)


PANDA = Arm(
    name="panda",
    robot_type="panda",
    state_names=("x", "y", "z", "roll", "pitch", "yaw", "gripper"),
    arm_joints=ARM_JOINTS,
    gripper_joints=FINGERS,
    home_rad=(0.0, -0.5, 0.0, -2.4, 0.0, 0.35, 0.0),
    jaw_axis=(0.0, -1.0, 0.0),
    one_jaw_moves=False,
    pan_axis_x_m=0.0,
    reach_min_m=0.34,
    reach_max_m=0.70,
    build=build,
    opening_to_joint=lambda gap_m: min(gap_m / 2, FINGER_TRAVEL_M),
    pitch_rad=lambda distance_m: 0.0,
    pitch_max_rad=lambda distance_m: 0.0,
    read_state=read_state,
    action_to_joints=action_to_joints,
    joints_to_action=joints_to_action,
    action_is_next_state=True,
    timestep_s=0.0005,
)
