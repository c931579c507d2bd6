"""How the recorded episodes take hold, so that plans do alike: tilt by distance, fingers turned with arm or object.

A policy learns one way of grasping from all episodes together; a plan that leans or rolls as no recording does at that
distance is correct and yet teaches against them.
"""

from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float

from m2iv_robot.kinematics import Kinematics, find_phases
from m2iv_robot.retarget.warp import ArmAxes

LEAST_HOLDS = 4
LEAST_SPREAD_M = 0.008  # standard deviation of distances from which a slope can be read
LEAST_TURN_RAD = np.radians(4.0)  # the same of directions
FOLLOWING = 0.5  # fingers follow the arm where their turn against it varies by less than this share of its own
BEYOND_M = 0.03  # tilts are carried on so far beyond the recorded distances


@dataclass(frozen=True)
class Manner:
    """The holds at one kind of event: line of tilt over distance, and what the fingers' direction goes by."""

    reach_m: tuple[float, float] = (0.0, 0.0)  # nearest and farthest recorded hold, from the base axis
    slope_rad_m: float = 0.0  # outward tilt of the tool per metre further out; 0 where nothing is known
    follows_arm: bool = False  # fingers turn with the arm, whatever way the object lies

    def tilt_change(self, old_m: float, new_m: float) -> float:
        """By how much further out (radians) the recordings tilt at distance `new_m` than at `old_m` (metres)."""
        old, new = np.clip([old_m, new_m], self.reach_m[0] - BEYOND_M, self.reach_m[1] + BEYOND_M)
        return float(self.slope_rad_m * (new - old))


def recorded_manners(
    states: list[Float[np.ndarray, "_ s"]], fps: float, kinematics: Kinematics, axes: ArmAxes | None
) -> dict[str, Manner]:
    """The manner of grasps (`start`) and of releases (`goal`) over all recorded episodes.

    An arm that can hold any orientation keeps the source's, and has none.
    """
    if axes is None:
        return {"start": Manner(), "goal": Manner()}
    holds = [find_phases(kinematics.gripper_opening(torch.as_tensor(state)), fps) for state in states]
    grasps = [state[phase.grasp] for state, phases in zip(states, holds, strict=True) for phase in phases]
    releases = [state[phase.release - 1] for state, phases in zip(states, holds, strict=True) for phase in phases]
    return {"start": _manner(grasps, kinematics, axes), "goal": _manner(releases, kinematics, axes)}


def _manner(states: list[Float[np.ndarray, " s"]], kinematics: Kinematics, axes: ArmAxes) -> Manner:
    if len(states) < LEAST_HOLDS:
        return Manner()
    poses = kinematics.forward(torch.as_tensor(np.stack(states)))
    away = poses[:, :2, 3] - np.asarray(axes.pivot_xy)
    reach, direction = np.linalg.norm(away, axis=1), np.unwrap(np.arctan2(away[:, 1], away[:, 0]))
    pointing = poses[:, :3, :3] @ np.asarray(axes.roll_axis)
    pointing *= -np.sign(pointing[:, 2].sum())
    outward = (pointing[:, :2] * away).sum(axis=1) / reach
    tilt = np.arctan2(outward, -pointing[:, 2])
    slope = 0.0
    if reach.std() >= LEAST_SPREAD_M:
        slope = float(np.cov(reach, tilt, bias=True)[0, 1] / reach.var())
    across = poses[:, :3, :3] @ np.asarray(kinematics.config.jaw_axis or [1.0, 0.0, 0.0])
    against = np.unwrap(np.arctan2(across[:, 1], across[:, 0]) - direction, period=np.pi)
    follows = direction.std() >= LEAST_TURN_RAD and against.std() <= FOLLOWING * direction.std()
    return Manner((float(reach.min()), float(reach.max())), slope, bool(follows))
