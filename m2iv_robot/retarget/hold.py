"""How an arm with few joints takes hold at a new place: upright as the source did, or leaning as little as it must."""

from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float

from m2iv_robot.errors import PlanError
from m2iv_robot.kinematics import InverseResult
from m2iv_robot.retarget.manner import Manner
from m2iv_robot.retarget.robot import RobotModel
from m2iv_robot.retarget.warp import Warp, place_warp, rotations
from m2iv_robot.retarget.windows import Schedule

SAME_POSITION_M = 5e-4
SAME_ROTATION_RAD = np.radians(6.0)  # at the event
NEAR_ROTATION_RAD = np.radians(20.0)  # on the way
SPARE_M = 0.01  # the arm must reach this much further out at the event, so that it is not stretched straight
AROUND_S = 0.3
BEARABLE_YAW_RAD = np.radians(30.0)
BEARABLE_SLOPE_RAD = np.radians(15.0)
BEARABLE_LEAN_RAD = np.radians(15.0)  # from the recordings' tilt at that distance
LEAN_STEP_DEG = 6.0
ROLL_SHARES = np.linspace(0.0, 1.2, 13)  # of what undoes the turn of an upright tool
WAY_STEPS = 6
FOLD_SHARE = 0.25  # of a joint's range


@dataclass(frozen=True)
class Probes:
    """The frames of a source at which a warp is tried: the first three are before, at and after the event."""

    states: Float[np.ndarray, "n s"]
    shares: Float[np.ndarray, " n"]  # of the warp there


def probe_event(states: Float[np.ndarray, "t s"], event: int, fps: float) -> Probes:
    """The grasp (or release) alone."""
    away = max(1, round(AROUND_S * fps))
    frames = np.clip([event - away, event, event + away], 0, len(states) - 1)
    return Probes(states[frames], np.ones(3))


def probe_path(states: Float[np.ndarray, "t s"], event: int, fps: float, schedule: Schedule) -> Probes:
    """The event, and the way to it and from it."""
    around = probe_event(states, event, fps)
    frames = [first + round(share * (last - first)) for first, last in schedule.blends() for share in (0.25, 0.5, 0.75)]
    frames += [schedule.rise[1]] if schedule.fall is None else [schedule.rise[1], schedule.fall[0]]
    return Probes(
        np.concatenate([around.states, states[frames]]), np.concatenate([around.shares, schedule.shares[frames]])
    )


def choose_warp(
    object_m: Float[np.ndarray, " 3"],
    shift_m: tuple[float, float],
    event_pose: Float[np.ndarray, "4 4"],
    probes: Probes,
    robot: RobotModel,
    manner: Manner,
    turn_rad: float = 0.0,
) -> Warp:
    """The warp whose hold is most like the recordings' among those that the arm can follow at all probes.

    `turn_rad`: how far the object itself is turned.

    Raises:
        PlanError: no hold within `retarget.max_lean_deg` is in reach.
    """
    options = _options(object_m, shift_m, event_pose, robot, manner, turn_rad)
    for warp in options:
        if _follows(warp, probes, robot):
            return warp
    x, y = options[0].points(object_m[None], np.ones(1))[0, :2]
    raise PlanError(
        f"out of reach: no hold within {robot.config.max_lean_deg:g} degrees of the source's brings the tool to "
        f"({x:.3f}, {y:.3f}) m and back"
    )


def _options(
    object_m: Float[np.ndarray, " 3"],
    shift_m: tuple[float, float],
    event_pose: Float[np.ndarray, "4 4"],
    robot: RobotModel,
    manner: Manner,
    turn_rad: float,
) -> list[Warp]:
    """Warps in order of how far their hold is from the wanted; one alone for an arm that can keep it anywhere."""
    plain = place_warp(object_m, shift_m, event_pose, robot.axes)
    if robot.axes is None:
        return [plain]
    leans = np.arange(-robot.config.max_lean_deg, robot.config.max_lean_deg + 1e-6, LEAN_STEP_DEG)
    wanted = _wanted_lean(plain, object_m, event_pose, manner)
    upward = np.sign(event_pose[2, :3] @ np.asarray(robot.axes.roll_axis))
    options = []
    for lean in np.radians(leans):
        for share in ROLL_SHARES:
            asked = (float(wanted + lean), float(-share * plain.turn_rad * upward))
            warp = place_warp(object_m, shift_m, event_pose, robot.axes, asked)
            options.append((hold_change(warp, event_pose, lean, robot, manner, turn_rad), len(options), warp))
    return [warp for _, _, warp in sorted(options, key=lambda entry: entry[:2])]


def _wanted_lean(
    warp: Warp, object_m: Float[np.ndarray, " 3"], event_pose: Float[np.ndarray, "4 4"], manner: Manner
) -> float:
    """How much further out (radians) the recordings tilt the tool where the warp brings it."""
    moved = warp.points(object_m[None], np.ones(1))[0, :2]
    further = np.linalg.norm(moved - warp.pivot_xy) - np.linalg.norm(object_m[:2] - warp.pivot_xy)
    old = float(np.linalg.norm(event_pose[:2, 3] - warp.pivot_xy))
    return manner.tilt_change(old, old + float(further))


def hold_change(
    warp: Warp,
    event_pose: Float[np.ndarray, "4 4"],
    lean_rad: float,
    robot: RobotModel,
    manner: Manner,
    turn_rad: float = 0.0,
) -> float:
    """How far a hold is from the wanted: fingers turned, one lower than the other, tool leaning by `lean_rad`."""
    before = wanted_jaw(jaw_direction(event_pose, robot), warp, manner, turn_rad)
    pose = warp.poses(event_pose[None], np.ones(1))[0]
    after = pose[:3, :3] @ event_pose[:3, :3].T @ jaw_direction(event_pose, robot)
    steeper = max(0.0, np.arcsin(min(1.0, abs(after[2]))) - np.arcsin(min(1.0, abs(before[2]))))
    parts = (level_angle(before, after) / BEARABLE_YAW_RAD, steeper / BEARABLE_SLOPE_RAD, lean_rad / BEARABLE_LEAN_RAD)
    return float(np.sum(np.square(parts)))


def jaw_direction(pose: Float[np.ndarray, "4 4"], robot: RobotModel) -> Float[np.ndarray, " 3"]:
    """The way the fingers close (base frame): as the robot's configuration says, else level and across the tool."""
    if robot.kinematics.config.jaw_axis or robot.axes is None:
        axis = np.asarray(robot.kinematics.config.jaw_axis or [1.0, 0.0, 0.0])
        return pose[:3, :3] @ axis / np.linalg.norm(axis)
    pointing = pose[:3, :3] @ np.asarray(robot.axes.roll_axis)
    across = np.array([pointing[1], -pointing[0], 0.0])
    length = np.linalg.norm(across)
    return across / length if length > 1e-6 else np.array([1.0, 0.0, 0.0])


def wanted_jaw(
    direction: Float[np.ndarray, " 3"], warp: Warp, manner: Manner, turn_rad: float = 0.0
) -> Float[np.ndarray, " 3"]:
    """Which way the fingers should close after the warp: turned as the object is, or with the arm as recordings do."""
    turn = warp.turn_rad if manner.follows_arm else turn_rad
    return rotations(np.array([0.0, 0.0, turn]), np.ones(1))[0] @ direction


def level_angle(before: Float[np.ndarray, " 3"], after: Float[np.ndarray, " 3"]) -> float:
    """Angle between two directions seen from above (radians, 0 to pi)."""
    cross = before[0] * after[1] - before[1] * after[0]
    return float(abs(np.arctan2(cross, before[:2] @ after[:2])))


def _follows(warp: Warp, probes: Probes, robot: RobotModel) -> bool:
    """Whether the arm gets to the warped poses without folding over, and at the event a little further."""
    seeds = torch.as_tensor(probes.states)
    poses = robot.kinematics.forward(seeds)
    at_event = warp.poses(poses[:3], probes.shares[:3])
    if not robot.kinematics.within_reach(at_event[:, :3, 3]).all():
        return False
    if robot.axes is None:
        return _reached(robot.kinematics.inverse(at_event, seeds[:3]), SAME_ROTATION_RAD)
    states = _approach(warp, poses[:3], seeds[:3], probes.shares[:3], robot)
    if states is None or not _reached(robot.kinematics.inverse(at_event, states), SAME_ROTATION_RAD):
        return False
    outward = at_event[:, :2, 3] - warp.pivot_xy
    further = at_event.copy()
    further[:, :2, 3] += SPARE_M * outward / np.linalg.norm(outward, axis=1, keepdims=True)
    if not _reached(robot.kinematics.inverse(further, states), SAME_ROTATION_RAD):
        return False
    return len(seeds) == 3 or _approach(warp, poses[3:], seeds[3:], probes.shares[3:], robot) is not None


def _approach(
    warp: Warp,
    poses: Float[np.ndarray, "n 4 4"],
    seeds: Float[torch.Tensor, "n s"],
    shares: Float[np.ndarray, " n"],
    robot: RobotModel,
) -> Float[torch.Tensor, "n s"] | None:
    """States at the warped poses, reached from the seeds step by step; None where that needs a joint to leap."""
    spread = robot.kinematics.limits.upper - robot.kinematics.limits.lower
    states = seeds
    for share in np.linspace(0.0, 1.0, WAY_STEPS + 1)[1:]:
        result = robot.kinematics.inverse(warp.poses(poses, share * shares), states)
        leap = (np.abs((result.states - states).numpy()) > FOLD_SHARE * spread)[:, robot.moving].any()
        if leap or not _reached(result, NEAR_ROTATION_RAD):
            return None
        states = result.states
    return states


def _reached(result: InverseResult, rotation_rad: float) -> bool:
    return bool((result.position_error_m < SAME_POSITION_M).all() and (result.rotation_error_rad < rotation_rad).all())
