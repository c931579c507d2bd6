"""Real pictures of an arm, and what is made of them."""

from dataclasses import dataclass, replace

import numpy as np
from jaxtyping import Bool, Float, Int, UInt8
from torch import Tensor

from m2iv_robot.camera import Camera
from m2iv_robot.kinematics import Surface


@dataclass(frozen=True)
class ArmFootage:
    """Real frames of an arm under one camera pose."""

    frames: UInt8[Tensor, "n 3 h w"]
    actor: Bool[Tensor, "n h w"]
    object: Bool[Tensor, "n h w"]
    poses: Float[np.ndarray, "n l 4 4"]  # of the links
    opening: Float[np.ndarray, " n"]  # of the gripper
    gains: Float[np.ndarray, "n 3"]  # from the plate's exposure to each frame's
    surface: Surface
    camera: Camera
    still: Bool[np.ndarray, "h w"] | None = None  # parts of the robot that stand still, and are not in its masks
    hand: int | None = None  # links from here on are shown as one piece (`HandFilm`); None: by their surface as all are

    def only(self, frames: Int[np.ndarray, " m"]) -> "ArmFootage":
        """Some of the frames."""
        return replace(
            self,
            frames=self.frames[frames],
            actor=self.actor[frames],
            object=self.object[frames],
            poses=self.poses[frames],
            opening=self.opening[frames],
            gains=self.gains[frames],
        )


@dataclass(frozen=True)
class ArmShot:
    """An arm alone: its colours, and how much of each pixel it covers."""

    colours: Float[np.ndarray, "h w 3"]
    cover: Float[np.ndarray, "h w"]
    depth_m: Float[np.ndarray, "h w"]  # along the camera's axis; endless beside the arm
    unseen: Bool[np.ndarray, "h w"]  # pixels of it that no real frame shows
