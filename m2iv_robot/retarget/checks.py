"""Why a planned motion is beyond the arm: reach, joint limits, speed, the table, the hold on the object."""

import numpy as np
import torch
from jaxtyping import Float

from m2iv_robot.errors import PlanError
from m2iv_robot.retarget.hold import jaw_direction, level_angle
from m2iv_robot.retarget.robot import RobotModel
from m2iv_robot.retarget.tracks import Track

SPEED_TOLERANCE = 1.1


def check_reach(track: Track, robot: RobotModel) -> None:
    """Refuse a path that the arm cannot follow.

    Raises:
        PlanError: naming the frame, the place and the distance by which the tool falls short.
    """
    frame = int(track.error_m.argmax())
    if track.error_m[frame] > robot.config.max_position_error_m:
        x, y, z = track.targets[frame, :3, 3]
        raise PlanError(
            f"out of reach: at source frame {track.time[frame]:.0f} the tool should be at ({x:.3f}, {y:.3f}, {z:.3f}) "
            f"m and stays {track.error_m[frame] * 1000:.0f} mm away"
        )


def check_limits(track: Track, robot: RobotModel) -> None:
    """Refuse a path outside the joints' ranges, unless the source is there itself.

    Raises:
        PlanError: naming column, value and limit.
    """
    limits, moved = robot.kinematics.limits, track.share > 0
    over = np.maximum(track.states - limits.upper, limits.lower - track.states)
    over = np.where(moved[:, None] & np.isfinite(over), over, -np.inf)
    frame, column = np.unravel_index(int(over.argmax()), over.shape)
    spread = np.ptp(track.states[:, column])
    if over[frame, column] > 0.02 * spread + 1e-6:
        raise PlanError(
            f"joint limit: {robot.kinematics.names[column]} would be {track.states[frame, column]:.3g} at source frame "
            f"{track.time[frame]:.0f}; its range is {limits.lower[column]:.3g} to {limits.upper[column]:.3g}"
        )


def check_speed(track: Track, robot: RobotModel) -> None:
    """Refuse a path that stays too fast after the largest stretch.

    Raises:
        PlanError: naming column, speed and limit.
    """
    speed = np.abs(np.diff(track.states, axis=0)) * robot.fps
    moved = (track.share[:-1] > 0) | (track.share[1:] > 0)
    source_top = np.maximum(robot.limits.speed, robot.top_speed)
    over = speed / source_top * moved[:, None] * robot.moving
    frame, column = np.unravel_index(int(over.argmax()), over.shape)
    if over[frame, column] > SPEED_TOLERANCE * robot.config.speed_margin:
        raise PlanError(
            f"too fast: {robot.kinematics.names[column]} would move at {speed[frame, column]:.3g} per second at source "
            f"frame {track.time[frame]:.0f}; the arm does {source_top[column]:.3g}, and the path is already stretched "
            f"up to {robot.config.max_stretch:g} times"
        )


def check_height(track: Track, source_poses: Float[np.ndarray, "t 4 4"], robot: RobotModel) -> None:
    """Refuse a path that comes lower over the table than the source did.

    Raises:
        PlanError: naming frame and heights.
    """
    lowest = source_poses[:, 2, 3].min() - robot.config.table_clearance_m
    heights = np.where(track.share > 0, track.targets[:, 2, 3], np.inf)
    frame = int(heights.argmin())
    if heights[frame] < lowest:
        raise PlanError(
            f"too low: the tool would be at {heights[frame]:.3f} m at source frame {track.time[frame]:.0f}; the source "
            f"never came below {lowest:.3f} m"
        )


def check_hold(
    track: Track,
    source_poses: Float[np.ndarray, "t 4 4"],
    event: int,
    robot: RobotModel,
    wanted: Float[np.ndarray, " 3"],
) -> None:
    """Refuse a grasp whose fingers close from another side of the object than the source's.

    Raises:
        PlanError: naming the angle.
    """
    frame = int(np.searchsorted(track.time, event - 1e-6))
    reached = robot.kinematics.forward(torch.as_tensor(track.states[frame : frame + 1]))[0]
    after = reached[:3, :3] @ source_poses[event, :3, :3].T @ jaw_direction(source_poses[event], robot)
    angle = np.degrees(level_angle(wanted, after))
    if angle > robot.config.max_yaw_error_deg:
        raise PlanError(
            f"the arm cannot keep its hold: at source frame {event} the gripper would be turned by {angle:.0f} degrees "
            f"against the object; retarget.max_yaw_error_deg is {robot.config.max_yaw_error_deg:g}"
        )
