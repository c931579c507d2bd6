"""How an arm with few joints takes hold at a new place: upright as the source did, or leaning as little as it must."""

from dataclasses import replace

import numpy as np
import torch
from jaxtyping import Bool, Float

from m2iv_robot.errors import PlanError
from m2iv_robot.retarget.robot import RobotModel
from m2iv_robot.retarget.warp import Warp, place_warp
from m2iv_robot.types import Episode

SAME_POSITION_M = 5e-4
SAME_ROTATION_RAD = np.radians(6.0)
SPARE_M = 0.01  # the arm must reach this much further out, so that it is not stretched straight
AROUND_S = 0.3
LEAN_STEP_DEG = 4.0
ROLL_SHARES = (1.0, 0.75, 0.5, 0.25, 0.0)


def event_states(episode: Episode, event: int, fps: float) -> Float[np.ndarray, "3 s"]:
    """The source's states shortly before, at, and shortly after the grasp or release."""
    away = max(1, round(AROUND_S * fps))
    frames = np.clip([event - away, event, event + away], 0, episode.state.shape[0] - 1)
    return episode.state[torch.as_tensor(frames)].double().numpy()


def choose_warp(
    object_m: Float[np.ndarray, " 3"],
    shift_m: tuple[float, float],
    event_pose: Float[np.ndarray, "4 4"],
    states: Float[np.ndarray, "n s"],
    robot: RobotModel,
) -> Warp:
    """The warp that changes the hold least among those that the arm reaches at all of `states` (around the event).

    Raises:
        PlanError: no hold within `retarget.max_lean_deg` is in reach.
    """
    seeds = torch.as_tensor(states)
    poses = robot.kinematics.forward(seeds)
    options = [place_warp(object_m, shift_m, event_pose, robot.axes)]
    if robot.axes is not None:
        options = _leaning(object_m, shift_m, event_pose, robot)
    for warp in options:
        if _holds(warp, poses, seeds, robot):
            return warp
    x, y = options[0].points(object_m[None], np.ones(1))[0, :2]
    raise PlanError(
        f"out of reach: no hold within {robot.config.max_lean_deg:g} degrees of the source's brings the tool to "
        f"({x:.3f}, {y:.3f}) m"
    )


def _leaning(
    object_m: Float[np.ndarray, " 3"],
    shift_m: tuple[float, float],
    event_pose: Float[np.ndarray, "4 4"],
    robot: RobotModel,
) -> list[Warp]:
    """Warps in order of how much they turn the hold."""
    count = int(robot.config.max_lean_deg // LEAN_STEP_DEG)
    priced = []
    for step in range(-count, count + 1):
        lean = np.radians(step * LEAN_STEP_DEG)
        warp = place_warp(object_m, shift_m, event_pose, robot.axes, lean)
        for share in ROLL_SHARES:
            price = abs(lean) + (1.0 - share) * float(np.linalg.norm(warp.roll))
            priced.append((price, len(priced), replace(warp, roll=share * warp.roll)))
    return [warp for _, _, warp in sorted(priced, key=lambda entry: entry[:2])]


def _holds(warp: Warp, poses: Float[np.ndarray, "n 4 4"], seeds: Float[torch.Tensor, "n s"], robot: RobotModel) -> bool:
    """Whether the arm reaches the warped poses as they are, and with a little to spare."""
    warped = warp.poses(poses, np.ones(len(poses)))
    if not robot.kinematics.within_reach(warped[:, :3, 3]).all():
        return False
    return bool(_reached(warped, seeds, robot).all() and (robot.axes is None or _spare(warp, warped, seeds, robot)))


def _spare(
    warp: Warp, warped: Float[np.ndarray, "n 4 4"], seeds: Float[torch.Tensor, "n s"], robot: RobotModel
) -> bool:
    outward = warped[:, :2, 3] - warp.pivot_xy
    further = warped.copy()
    further[:, :2, 3] += SPARE_M * outward / np.linalg.norm(outward, axis=1, keepdims=True)
    return bool(_reached(further, seeds, robot).all())


def _reached(
    poses: Float[np.ndarray, "n 4 4"], seeds: Float[torch.Tensor, "n s"], robot: RobotModel
) -> Bool[np.ndarray, " n"]:
    result = robot.kinematics.inverse(poses, seeds)
    return (result.position_error_m < SAME_POSITION_M) & (result.rotation_error_rad < SAME_ROTATION_RAD)
