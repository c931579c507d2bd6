"""The drawn episode with labels that fit it, as a source and as a candidate, and a segmenter that knows its colours."""

from dataclasses import replace

import numpy as np
import torch
from drawn_scene import BLUE, GREY, HELD, LENGTH, draw, table, tip_at

from m2iv_robot.kinematics import RobotConfig, build_kinematics
from m2iv_robot.quality import SourceContext
from m2iv_robot.retarget import RetargetConfig, describe_robot
from m2iv_robot.segmentation import Prompt
from m2iv_robot.types import Episode, EpisodePhases, MaskTrajectory, Plate

NAMES = ("x", "y", "z", "roll", "pitch", "yaw", "gripper")
GRIPPER = 6
SCALE_PX = 400.0  # pixels per metre of the drawn picture


class ColourSegmenter:
    """Everything blue is the object, everything of the arm's grey the actor; counts how often it is asked."""

    def __init__(self):
        self.frames_seen = 0

    def segment(
        self,
        episode: Episode,
        plate: Plate | None = None,
        prompt: Prompt | None = None,
        phases: tuple[EpisodePhases, ...] = (),
    ) -> MaskTrajectory:
        self.frames_seen += episode.length
        actor, thing = (
            (episode.frames.float() - torch.tensor(colour)[None, :, None, None]).abs().amax(1) < 14
            for colour in (GREY, BLUE)
        )
        return MaskTrajectory(actor, thing, torch.ones(episode.length))


def labels():
    """State and action: the tip's place in metres, the gripper closed while the block is held; action = next state."""
    state = np.zeros((LENGTH, len(NAMES)), np.float32)
    for t in range(LENGTH):
        x, y = tip_at(t)
        state[t, :3] = x / SCALE_PX, 0.1 + 0.02 * (t % 2), -y / SCALE_PX + 0.5
        state[t, GRIPPER] = float(HELD.grasp <= t < HELD.release)
    return torch.from_numpy(state), torch.from_numpy(np.concatenate([state[1:], state[-1:]]))


def source() -> SourceContext:
    """The drawn episode with masks, plate, labels and robot."""
    episode, masks = draw()
    state, action = labels()
    episode = replace(episode, state=state, action=action, state_names=NAMES, action_names=NAMES, robot_type="franka")
    kinematics = build_kinematics(RobotConfig(), NAMES, NAMES, "franka")
    recorded = ([labels.double().numpy()] for labels in (state, action))
    robot = describe_robot(*recorded, episode.fps, kinematics, RetargetConfig())
    scene = torch.from_numpy(np.clip(table(), 0, 255).astype(np.uint8)).permute(2, 0, 1).contiguous()
    plate = Plate(scene, torch.ones(scene.shape[1:], dtype=torch.bool))
    return SourceContext(episode, masks, plate, (HELD,), robot)
