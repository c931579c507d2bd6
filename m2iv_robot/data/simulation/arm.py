"""What scene, expert and recorder need to know of a robot arm, and inverse kinematics in its MuJoCo model."""

from collections.abc import Callable
from dataclasses import dataclass

import mujoco
import numpy as np
from jaxtyping import Float

TOOL_SITE = "tool"  # z: the way the gripper points; its origin is what the dataset calls the tool position


@dataclass(frozen=True)
class Arm:
    """One robot: its MJCF, its joints, and how a dataset writes its state and action."""

    name: str
    robot_type: str
    state_names: tuple[str, ...]
    arm_joints: tuple[str, ...]
    gripper_joints: tuple[str, ...]  # all driven together
    home_rad: tuple[float, ...]
    jaw_axis: tuple[float, float, float]  # closing direction in the tool's frame, from the fixed jaw to the moving one
    one_jaw_moves: bool  # the object touches the fixed jaw; otherwise it is centred between two moving ones
    pan_axis_x_m: float  # where the vertical axis of the first joint stands
    reach_min_m: float  # smallest and largest distance from that axis at which the expert grasps
    reach_max_m: float
    build: Callable[[np.random.Generator], mujoco.MjSpec]  # robot with its own colours, geom group 2, site "tool"
    opening_to_joint: Callable[[float], float]  # gap between the jaws, m -> gripper joint position
    pitch_rad: Callable[
        [float], float
    ]  # distance from the axis, m -> least outward tilt of the gripper from straight down
    pitch_max_rad: Callable[[float], float]  # the same, greatest
    read_state: Callable[[mujoco.MjModel, mujoco.MjData], np.ndarray]  # in the dataset's units, by state_names
    action_to_joints: Callable[
        [mujoco.MjModel, mujoco.MjData, np.ndarray], np.ndarray
    ]  # arm joints and gripper opening joint
    joints_to_action: Callable[[mujoco.MjModel, np.ndarray], np.ndarray]
    action_is_next_state: bool
    timestep_s: float  # of the physics: a stiff arm holds a light object only with short steps


def add_tool(
    body: mujoco.MjsBody,
    position: tuple[float, float, float],
    rotation: Float[np.ndarray, "3 3"],
    eye: tuple[float, float, float],
) -> None:
    """Mark the tool on the last link, and mount the wrist camera at `eye` (tool frame), looking just past the tool."""
    quaternion = np.zeros(4)
    mujoco.mju_mat2Quat(quaternion, np.ascontiguousarray(rotation).reshape(-1))
    body.add_site(name=TOOL_SITE, pos=position, quat=quaternion, group=3)
    away = np.array(eye) - np.array([0.0, 0.0, 0.02])
    away /= np.linalg.norm(away)
    right = np.cross([0.0, 0.0, 1.0], away)  # the fingers come in from below
    right /= np.linalg.norm(right)
    axes = rotation @ np.stack([right, np.cross(away, right), away], axis=1)
    camera_quaternion = np.zeros(4)
    mujoco.mju_mat2Quat(camera_quaternion, np.ascontiguousarray(axes).reshape(-1))
    body.add_camera(name="wrist", pos=np.array(position) + rotation @ np.array(eye), quat=camera_quaternion, fovy=65)


def add_tip(body: mujoco.MjsBody, centre: np.ndarray) -> None:
    """The part that touches the table, where it slides: a finger that closes must not stick to it."""
    body.add_geom(
        type=mujoco.mjtGeom.mjGEOM_SPHERE, pos=centre, size=[0.004, 0, 0], group=3, mass=0.0,
        contype=0, conaffinity=1, condim=3, friction=[0.05, 0.001, 0.001], priority=1, solref=[0.02, 1],
    )  # fmt: skip


def add_pad(body: mujoco.MjsBody, centre: np.ndarray, half: tuple[float, float, float], quaternion: np.ndarray) -> None:
    """A box that grips the object, and nothing else."""
    body.add_geom(
        type=mujoco.mjtGeom.mjGEOM_BOX, pos=centre, size=half, quat=quaternion, group=3, mass=0.0,
        contype=2, conaffinity=2, condim=6, friction=[1.5, 0.05, 0.001], solref=[0.01, 1],
        solimp=[0.9, 0.95, 0.001, 0.5, 2],
    )  # fmt: skip


def add_ball(body: mujoco.MjsBody, centre: np.ndarray) -> None:
    """A ball of 4 mm that grips the object, and nothing else."""
    body.add_geom(
        type=mujoco.mjtGeom.mjGEOM_SPHERE, pos=centre, size=[0.004, 0, 0], group=3, mass=0.0, margin=0.0,
        contype=2, conaffinity=2, condim=6, friction=[1.5, 0.02, 0.001], solref=[0.01, 1],
        solimp=[0.9, 0.95, 0.001, 0.5, 2],
    )  # fmt: skip


def joint_addresses(model: mujoco.MjModel, names: tuple[str, ...]) -> np.ndarray:
    """Where the joints lie in qpos; all are hinges or slides, so qvel indices come the same way."""
    return np.array([model.joint(name).qposadr[0] for name in names])


def joint_limits(model: mujoco.MjModel, names: tuple[str, ...]) -> Float[np.ndarray, "j 2"]:
    """Lower and upper limit of each joint, rad or m."""
    return np.array([model.joint(name).range for name in names])


def tool_rotation(
    approach: Float[np.ndarray, " 3"], jaw: Float[np.ndarray, " 3"], arm: Arm
) -> Float[np.ndarray, "3 3"]:
    """Rotation of the tool that points along `approach` and closes along `jaw` (unit, orthogonal, base frame)."""
    closing = np.array(arm.jaw_axis)
    pointing = np.array([0.0, 0.0, 1.0])
    wanted = np.stack([approach, jaw, np.cross(approach, jaw)], axis=1)
    own = np.stack([pointing, closing, np.cross(pointing, closing)], axis=1)
    return wanted @ own.T


def solve_joints(
    model: mujoco.MjModel,
    data: mujoco.MjData,
    arm: Arm,
    target: Float[np.ndarray, "4 4"],
    guess_rad: Float[np.ndarray, " j"],
) -> tuple[Float[np.ndarray, " j"], float]:
    """Arm joints that bring the tool to `target` (4x4, base frame), and the position error left, m.

    Damped least squares; the position counts 50 mm to the radian, so an arm with five joints misses in angle first.
    `data` is scratch space. Source: Buss 2004, "Introduction to inverse kinematics", section 6.
    """
    site = model.site(TOOL_SITE).id
    address = joint_addresses(model, arm.arm_joints)
    columns = np.array([model.joint(name).dofadr[0] for name in arm.arm_joints])
    limits = joint_limits(model, arm.arm_joints)
    joints = np.clip(np.asarray(guess_rad, dtype=np.float64), limits[:, 0], limits[:, 1])
    jacobian_position, jacobian_rotation = np.zeros((3, model.nv)), np.zeros((3, model.nv))
    error = np.zeros(6)
    for _ in range(60):
        data.qpos[address] = joints
        mujoco.mj_kinematics(model, data)
        mujoco.mj_comPos(model, data)
        rotation = data.site_xmat[site].reshape(3, 3)
        error[:3] = target[:3, 3] - data.site_xpos[site]
        error[3:] = 0.05 * _rotation_vector(target[:3, :3] @ rotation.T)
        mujoco.mj_jacSite(model, data, jacobian_position, jacobian_rotation, site)
        jacobian = np.concatenate([jacobian_position, 0.05 * jacobian_rotation])[:, columns]
        step = jacobian.T @ np.linalg.solve(jacobian @ jacobian.T + 1e-6 * np.eye(6), error)
        moved = np.clip(joints + np.clip(step, -0.3, 0.3), limits[:, 0], limits[:, 1])
        if np.abs(moved - joints).max() < 1e-6:
            break
        joints = moved
    return joints, float(np.linalg.norm(error[:3]))


def _rotation_vector(rotation: Float[np.ndarray, "3 3"]) -> Float[np.ndarray, " 3"]:
    quaternion, vector = np.zeros(4), np.zeros(3)
    mujoco.mju_mat2Quat(quaternion, np.ascontiguousarray(rotation).reshape(-1))
    mujoco.mju_quat2Vel(vector, quaternion, 1.0)
    return vector
