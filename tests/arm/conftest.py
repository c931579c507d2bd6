"""An SO-101 seen by a known camera: masks are what its surface covers."""

from dataclasses import dataclass

import numpy as np
import pytest
import torch
from jaxtyping import Bool, Float
from torch import Tensor

from m2iv_robot.arm import placed, splat
from m2iv_robot.camera import Camera
from m2iv_robot.config import preset
from m2iv_robot.kinematics import JointKinematics, RobotConfig, Surface

NAMES = ("shoulder_pan", "shoulder_lift", "elbow_flex", "wrist_flex", "wrist_roll", "gripper")
FRAMES = 14


@dataclass(frozen=True)
class Studio:
    """What was seen, and the truth behind it."""

    camera: Camera
    kinematics: JointKinematics
    surface: Surface
    states: Float[Tensor, "t 6"]
    actor: Bool[Tensor, "t h w"]

    @property
    def links(self) -> Float[np.ndarray, "t l 4 4"]:
        """Poses of the links that the surface is fixed to."""
        return self.kinematics.link_poses(self.states)

    @property
    def skeleton(self) -> Float[np.ndarray, "t l 4 4"]:
        """Base, joints, tool."""
        base = np.broadcast_to(np.eye(4), (len(self.states), 1, 4, 4))
        joints, tool = self.kinematics.joint_poses(self.states), self.kinematics.forward(self.states)[:, None]
        return np.concatenate([base, joints, tool], axis=1)


def camera_at(position: tuple[float, float, float], focal_px: float, width: int, height: int) -> Camera:
    """A camera that looks at the middle of the arm."""
    place = np.array(position)
    towards = np.array([0.15, 0.0, 0.1]) - place
    towards /= np.linalg.norm(towards)
    right = np.cross(towards, [0.0, 0.0, 1.0])
    right /= np.linalg.norm(right)
    rotation = np.stack([right, np.cross(towards, right), towards])
    return Camera(focal_px, width, height, rotation, -rotation @ place)


@pytest.fixture(scope="session")
def studio() -> Studio:
    """Postures all over the arm's usual range."""
    kinematics = JointKinematics(preset(RobotConfig, "robot", "so101"), NAMES)
    generator = np.random.default_rng(3)
    low, high = np.array([-60, -60, -30, 20, -40, 5]), np.array([60, 30, 60, 90, 40, 60])
    states = torch.as_tensor(generator.uniform(low, high, (FRAMES, 6)))
    camera = camera_at((0.7, 0.25, 0.5), 140.0, 160, 120)
    poses, surface = kinematics.link_poses(states), kinematics.surface
    masks = [splat(placed(surface, pose), camera, surface.spacing_m) >= 0 for pose in poses]
    return Studio(camera, kinematics, surface, states, torch.as_tensor(np.stack(masks)))
