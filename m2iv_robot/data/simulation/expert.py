"""A scripted operator: where the tool goes for one pick and place, with the detours, pauses and speeds of a person."""

import math
from dataclasses import dataclass

import mujoco
import numpy as np
from jaxtyping import Float

from m2iv_robot.data.simulation.arm import TOOL_SITE, Arm, joint_addresses, solve_joints, tool_rotation
from m2iv_robot.data.simulation.objects import Thing
from m2iv_robot.data.simulation.scene import Scene
from m2iv_robot.errors import PlanError

MISS_MAX_M = 0.03  # a hand on its way may be that far from where it was meant to be


@dataclass(frozen=True)
class Task:
    """One pick and place: object from start to goal, base frame."""

    start_xy: tuple[float, float]
    start_yaw_rad: float
    goal_xy: tuple[float, float]


@dataclass(frozen=True)
class Operator:
    """The habits of one demonstration."""

    speed: float  # 1 is 0.20 m/s on average
    detour_m: float  # spread of the via points
    clearance_m: float  # between object and fixed jaw on the way down
    opening_m: float  # of the jaws beyond the object's width
    hover_m: float  # height above the object before descending
    carry_m: float  # height of the object in transit
    squeeze_rad: float  # how far the leader closes beyond contact, as a joint angle (SO-101) or per 10 mm (Panda)
    yaw_error_rad: float


def draw_operator(generator: np.random.Generator, speed: float, detour_m: float) -> Operator:
    """A demonstration's habits."""
    return Operator(
        speed=speed * float(np.clip(np.exp(generator.normal(0, 0.2)), 0.6, 1.6)),
        detour_m=detour_m,
        clearance_m=generator.uniform(0.005, 0.010),
        opening_m=generator.uniform(0.016, 0.030),
        hover_m=generator.uniform(0.05, 0.08),
        carry_m=generator.uniform(0.05, 0.09),
        squeeze_rad=generator.uniform(0.15, 0.30),
        yaw_error_rad=generator.normal(0, 0.05),
    )


@dataclass(frozen=True)
class _Waypoint:
    angle: float  # of the tool around the pan axis
    distance: float
    height: float
    pitch: float
    yaw: float  # of the jaws against the tangent
    gripper: float  # joint value
    seconds: float  # to get here from the one before
    straight: bool  # no detour on the way here


def plan_joints(
    scene: Scene,
    task: Task,
    operator: Operator,
    home: Float[np.ndarray, " j"],
    fps: int,
    generator: np.random.Generator,
) -> Float[np.ndarray, "t k"]:
    """The leader's arm joints and gripper joint for every frame, before the follower's droop is compensated.

    Raises:
        PlanError: start or goal is out of reach.
    """
    waypoints = _waypoints(scene, task, operator, home)
    path = _sample(waypoints, operator, fps, generator)
    data = mujoco.MjData(scene.model)
    joints, guess = np.empty((len(path), len(home) + 1)), np.array(home)
    for row, (angle, distance, height, pitch, yaw, gripper) in enumerate(path):
        guess, miss = solve_joints(
            scene.model, data, scene.arm, _pose(scene.arm, angle, distance, height, pitch, yaw), guess
        )
        if miss > MISS_MAX_M:
            raise PlanError(
                f"start {task.start_xy} or goal {task.goal_xy}: out of reach by {100 * miss:.0f} cm; narrow the region"
            )
        joints[row] = *guess, gripper
    settle = np.linspace(1, 0, min(len(path), fps // 2 + 1))[:, None] ** 2
    joints[: len(settle), :-1] += settle * (np.array(home) - joints[0, :-1])
    return joints


def droop(scene: Scene, joints: Float[np.ndarray, "t k"]) -> Float[np.ndarray, "t k"]:
    """How far gravity pulls each servo off its target at these arm joints, rad; a person leads by as much."""
    data = mujoco.MjData(scene.model)
    address = joint_addresses(scene.model, scene.arm.arm_joints)
    columns = np.array([scene.model.joint(name).dofadr[0] for name in scene.arm.arm_joints])
    stiffness = np.array([scene.model.actuator(_actuator(scene, name)).gainprm[0] for name in scene.arm.arm_joints])
    offset = np.zeros_like(joints)
    for row, values in enumerate(joints):
        data.qpos[address] = values[:-1]
        mujoco.mj_forward(scene.model, data)
        offset[row, :-1] = (data.qfrc_bias - data.qfrc_gravcomp)[columns] / stiffness
    return offset


def _actuator(scene: Scene, joint: str) -> int:
    number = scene.model.joint(joint).id
    return int(np.flatnonzero(scene.model.actuator_trnid[:, 0] == number)[0])


def _pose(arm: Arm, angle: float, distance: float, height: float, pitch: float, yaw: float) -> Float[np.ndarray, "4 4"]:
    outward = np.array([math.cos(angle), math.sin(angle), 0.0])
    tangent = np.array([-math.sin(angle), math.cos(angle), 0.0])
    down = np.array([0.0, 0.0, -1.0])
    approach = math.sin(pitch) * outward + math.cos(pitch) * down
    upward = math.cos(pitch) * outward - math.sin(pitch) * down
    jaw = math.cos(yaw) * tangent - math.sin(yaw) * upward
    pose = np.eye(4)
    pose[:3, :3] = tool_rotation(approach, jaw, arm)
    pose[:3, 3] = np.array([arm.pan_axis_x_m, 0, height]) + distance * outward
    return pose


def polar(arm: Arm, xy: tuple[float, float]) -> tuple[float, float]:
    """Angle and distance of a table point from the axis of the first joint."""
    x, y = xy[0] - arm.pan_axis_x_m, xy[1]
    return math.atan2(y, x), math.hypot(x, y)


def _grasp(
    arm: Arm, thing: Thing, operator: Operator, xy: tuple[float, float], yaw: float, pitch: float
) -> tuple[float, float]:
    """Polar place of the tool when the object at `xy` is between the jaws."""
    if not arm.one_jaw_moves:
        return polar(arm, xy)
    angle, distance = polar(arm, xy)
    aside = thing.width_m / 2 + operator.clearance_m
    tangential, radial = aside * math.cos(yaw), aside * math.sin(yaw) * math.cos(pitch)
    return math.atan2(-tangential, distance + radial) + angle, math.hypot(tangential, distance + radial)


def _nearest_turn(yaw: float, symmetry: float) -> float:
    """The smallest turn that fits an object of that symmetry; 0 for a round one."""
    return 0.0 if symmetry == 0 else (yaw + symmetry / 2) % symmetry - symmetry / 2


def tilts(arm: Arm, start_distance: float, goal_distance: float) -> tuple[float, float]:
    """How far the gripper tilts at start and goal: alike where both ends allow it, so that the object lands flat."""
    least = (arm.pitch_rad(start_distance), arm.pitch_rad(goal_distance))
    return min(max(least), arm.pitch_max_rad(start_distance)), min(max(least), arm.pitch_max_rad(goal_distance))


def _waypoints(scene: Scene, task: Task, operator: Operator, home: Float[np.ndarray, " j"]) -> list[_Waypoint]:
    arm, thing = scene.arm, scene.thing
    start_angle, start_distance = polar(arm, task.start_xy)
    tilt = tilts(arm, start_distance, polar(arm, task.goal_xy)[1])
    # The finger tips end 6 mm beyond the tool point and are 16 mm wide.
    height = max(0.004 + 0.006 * math.cos(tilt[0]) + 0.008 * math.sin(max(tilt)), min(0.5 * thing.height_m, 0.020))
    turn = _nearest_turn(task.start_yaw_rad - start_angle, thing.symmetry_rad)
    yaw = math.atan2(math.tan(turn), math.cos(tilt[0])) + operator.yaw_error_rad
    pick = _grasp(arm, thing, operator, task.start_xy, yaw, tilt[0])
    place = _grasp(arm, thing, operator, task.goal_xy, yaw, tilt[1])
    data = mujoco.MjData(scene.model)
    data.qpos[joint_addresses(scene.model, arm.arm_joints)] = home
    mujoco.mj_kinematics(scene.model, data)
    tool = data.site(TOOL_SITE)
    rest = (*polar(arm, tuple(tool.xpos[:2])), float(tool.xpos[2]))
    rest_pitch = math.atan2(math.hypot(*tool.xmat.reshape(3, 3)[:2, 2]), -tool.xmat.reshape(3, 3)[2, 2])
    opened = arm.opening_to_joint(thing.width_m + operator.clearance_m + operator.opening_m)
    closed = arm.opening_to_joint(thing.width_m) - operator.squeeze_rad * (1.0 if arm.one_jaw_moves else 0.02)
    half = arm.opening_to_joint(0.5 * operator.opening_m)
    high, carry = height + operator.hover_m, height + operator.carry_m
    pace = 0.20 * operator.speed

    def way(
        place_: tuple[float, float], height_: float, pitch: float, gripper: float, seconds: float, straight: bool
    ) -> _Waypoint:
        return _Waypoint(place_[0], place_[1], height_, pitch, yaw, gripper, seconds, straight)

    def span(first: tuple[float, float], second: tuple[float, float]) -> float:
        return (0.3 + _chord(first, second) / pace) * 1.0

    quick = operator.hover_m / pace + 0.35
    return [
        _Waypoint(rest[0], rest[1], rest[2], rest_pitch, 0.0, half, 0.0, True),
        way(pick, high, tilt[0], opened, span(rest[:2], pick), False),
        way(pick, height, tilt[0], opened, quick, True),
        way(pick, height, tilt[0], closed, 0.5 / operator.speed, True),
        way(pick, carry, tilt[0], closed, quick, True),
        way(place, carry, tilt[1], closed, span(pick, place), False),
        way(place, height + 0.002, tilt[1], closed, quick, True),
        way(place, height + 0.002, tilt[1], opened, 0.4 / operator.speed, True),
        way(place, high, tilt[1], opened, quick, True),
        _Waypoint(rest[0], rest[1], rest[2], rest_pitch, 0.0, half, span(place, rest[:2]), False),
    ]


def _chord(first: tuple[float, float], second: tuple[float, float]) -> float:
    angle = second[0] - first[0]
    return math.sqrt(max(0.0, first[1] ** 2 + second[1] ** 2 - 2 * first[1] * second[1] * math.cos(angle)))


def _sample(
    waypoints: list[_Waypoint], operator: Operator, fps: int, generator: np.random.Generator
) -> Float[np.ndarray, "t 6"]:
    """Minimum-jerk motion between waypoints, bent by smooth detours, with short pauses and a trembling hand."""
    pieces = []
    corners = [np.array([w.angle, w.distance, w.height, w.pitch, w.yaw, w.gripper]) for w in waypoints]
    for before, after, waypoint in zip(corners[:-1], corners[1:], waypoints[1:], strict=True):
        seconds = waypoint.seconds * float(np.exp(generator.normal(0, 0.12)))
        count = max(2, round(seconds * fps))
        phase = np.arange(1, count + 1) / count
        skew = phase ** float(np.exp(generator.normal(0, 0.12)))
        eased = 10 * skew**3 - 15 * skew**4 + 6 * skew**5
        piece = before + eased[:, None] * (after - before)
        if not waypoint.straight:
            bump = (np.sin(np.pi * skew) ** 2)[:, None]
            sideways, along, up = generator.normal(0, operator.detour_m, 3)
            reach = max(0.15, float(min(before[1], after[1])))
            piece[:, :3] += bump * np.array([sideways / reach, along - abs(up), abs(up)])
        pause = round(fps * float(generator.exponential(0.10)))
        pieces.append(np.concatenate([piece, np.repeat(piece[-1:], min(pause, fps), axis=0)]))
    path = np.concatenate([corners[0][None], *pieces, np.repeat(corners[-1][None], max(1, round(0.4 * fps)), axis=0)])
    return path + _tremor(len(path), fps, generator)


def _tremor(count: int, fps: int, generator: np.random.Generator) -> Float[np.ndarray, "t 6"]:
    """Slow, small errors of the hand: about a millimetre, half a degree."""
    width = max(1, fps // 2)
    window = np.hanning(width + 2)[1:-1]
    raw = generator.normal(0, 1, (count + width, 6))
    smooth = np.stack([np.convolve(raw[:, axis], window, "same")[:count] for axis in range(6)], axis=1)
    smooth /= math.sqrt(float((window**2).sum()))
    return smooth * np.array([0.004, 0.001, 0.0008, 0.008, 0.008, 0.0])
