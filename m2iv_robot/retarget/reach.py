"""Which shifts of the object the arm could follow: a quick test of the poses around its grasp or release."""

import numpy as np
import torch
from jaxtyping import Bool, Float

from m2iv_robot.data.lerobot_io import EpisodeLabels
from m2iv_robot.errors import PlanError
from m2iv_robot.retarget.hold import choose_warp, probe_event
from m2iv_robot.retarget.robot import RobotModel
from m2iv_robot.types import Episode, EpisodePhases


def reachable_shifts(
    episode: Episode | EpisodeLabels,
    kind: str,
    shifts_m: Float[np.ndarray, "n 2"],
    robot: RobotModel,
    phase: EpisodePhases,
    offset: Float[np.ndarray, " 3"],
) -> Bool[np.ndarray, " n"]:
    """Whether the arm can take hold (or let go) there; `offset` is the held object's centre in the tool frame."""
    event = phase.grasp if kind == "start" else phase.release - 1
    probes = probe_event(episode.state.double().numpy(), event, robot.fps)
    pose = robot.kinematics.forward(torch.as_tensor(probes.states))[1]
    centre = pose[:3, :3] @ offset + pose[:3, 3]
    reachable = np.zeros(len(shifts_m), bool)
    for number, (x, y) in enumerate(shifts_m.tolist()):
        try:
            choose_warp(centre, (x, y), pose, probes, robot, robot.manners[kind])
        except PlanError:
            continue
        reachable[number] = True
    return reachable
