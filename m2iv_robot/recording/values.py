"""Messages of numbers to named numbers; the messages are anything with the fields of the ROS types."""

import math
from collections.abc import Callable

import numpy as np
from jaxtyping import Float64

from m2iv_robot.errors import RecordingError

JOINT_STATE, JOINT_TRAJECTORY = "sensor_msgs/msg/JointState", "trajectory_msgs/msg/JointTrajectory"

# type -> the parts that it may be asked for; the first is what is read unless one is named
VALUE_TYPES: dict[str, tuple[str, ...]] = {
    JOINT_STATE: ("position", "velocity", "effort"),
    JOINT_TRAJECTORY: ("positions", "velocities", "effort"),
    "std_msgs/msg/Float64MultiArray": (),
    "std_msgs/msg/Float32MultiArray": (),
    "std_msgs/msg/Float64": (),
    "std_msgs/msg/Float32": (),
    "std_msgs/msg/Int32": (),
    "std_msgs/msg/Bool": (),
    "geometry_msgs/msg/PoseStamped": (),
    "geometry_msgs/msg/TwistStamped": (),
    "geometry_msgs/msg/WrenchStamped": (),
    "control_msgs/msg/GripperCommand": (),
}


def read_values(message: object, kind: str, part: str = "") -> dict[str, float]:
    """Every number that a message of type `kind` holds, by name.

    JointState and JointTrajectory: joint -> `part` (of a trajectory's last point, where the command leads to).
    Arrays: "0", "1", ...; single numbers: "data"; PoseStamped: x y z (m) qx qy qz qw roll pitch yaw (rad, about the
    fixed x, then y, then z); TwistStamped: vx vy vz (m/s) wx wy wz (rad/s); WrenchStamped: fx .. tz;
    GripperCommand: position, max_effort.

    Raises:
        RecordingError: the message's lists do not fit each other.
    """
    if kind == JOINT_STATE:
        return _joints(message.name, getattr(message, part or "position"), part or "position")
    if kind == JOINT_TRAJECTORY:
        if not message.points:
            raise RecordingError("the trajectory has no points")
        part = part or "positions"
        return _joints(message.joint_names, getattr(message.points[-1], part), part)
    return READERS[kind](message)


def pick(
    values: dict[str, float], select: list[str], factors: tuple[list[float], list[float]]
) -> Float64[np.ndarray, " n"] | None:
    """The selected numbers, scaled and shifted; None where the message lacks one of them (it is another robot's part).

    Raises:
        RecordingError: one of them is not a finite number.
    """
    if any(name not in values for name in select):
        return None
    raw = np.array([values[name] for name in select], dtype=np.float64)
    if not np.isfinite(raw).all():
        name = select[int(np.argmin(np.isfinite(raw)))]
        raise RecordingError(f"{name} is {values[name]}")
    return raw * np.asarray(factors[0]) + np.asarray(factors[1])


def _joints(names: list[str], numbers: object, part: str) -> dict[str, float]:
    if len(numbers) == 0:
        return {}
    if len(numbers) != len(names):
        raise RecordingError(f"{len(names)} joint names but {len(numbers)} numbers in {part}")
    return dict(zip(names, (float(number) for number in numbers), strict=True))


def _array(message: object) -> dict[str, float]:
    return {str(position): float(number) for position, number in enumerate(message.data)}


def _single(message: object) -> dict[str, float]:
    return {"data": float(message.data)}


def _pose(message: object) -> dict[str, float]:
    position, turn = message.pose.position, message.pose.orientation
    length = math.sqrt(turn.x**2 + turn.y**2 + turn.z**2 + turn.w**2)
    if not length > 1e-6:
        raise RecordingError("the orientation is no rotation: its quaternion is zero or not a number")
    x, y, z, w = turn.x / length, turn.y / length, turn.z / length, turn.w / length
    return {
        "x": position.x,
        "y": position.y,
        "z": position.z,
        "qx": x,
        "qy": y,
        "qz": z,
        "qw": w,
        "roll": math.atan2(2 * (w * x + y * z), 1 - 2 * (x * x + y * y)),
        "pitch": math.asin(max(-1.0, min(1.0, 2 * (w * y - z * x)))),
        "yaw": math.atan2(2 * (w * z + x * y), 1 - 2 * (y * y + z * z)),
    }


def _twist(message: object) -> dict[str, float]:
    linear, angular = message.twist.linear, message.twist.angular
    return dict(zip(("vx", "vy", "vz", "wx", "wy", "wz"), (*_xyz(linear), *_xyz(angular)), strict=True))


def _wrench(message: object) -> dict[str, float]:
    force, torque = message.wrench.force, message.wrench.torque
    return dict(zip(("fx", "fy", "fz", "tx", "ty", "tz"), (*_xyz(force), *_xyz(torque)), strict=True))


def _xyz(vector: object) -> tuple[float, float, float]:
    return vector.x, vector.y, vector.z


def _gripper(message: object) -> dict[str, float]:
    return {"position": message.position, "max_effort": message.max_effort}


READERS: dict[str, Callable[[object], dict[str, float]]] = {
    "std_msgs/msg/Float64MultiArray": _array,
    "std_msgs/msg/Float32MultiArray": _array,
    "std_msgs/msg/Float64": _single,
    "std_msgs/msg/Float32": _single,
    "std_msgs/msg/Int32": _single,
    "std_msgs/msg/Bool": _single,
    "geometry_msgs/msg/PoseStamped": _pose,
    "geometry_msgs/msg/TwistStamped": _twist,
    "geometry_msgs/msg/WrenchStamped": _wrench,
    "control_msgs/msg/GripperCommand": _gripper,
}
