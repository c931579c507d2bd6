"""What is known of a tool camera's real pictures."""

from dataclasses import dataclass, replace

import numpy as np
from jaxtyping import Bool, Float, UInt8

from m2iv_robot.camera import Block
from m2iv_robot.kinematics import Surface


@dataclass(frozen=True)
class ToolMotion:
    """An arm and one thing that it handles, frame by frame, base frame."""

    tool: Float[np.ndarray, "t 4 4"]
    poses: Float[np.ndarray, "t l 4 4"]  # of the links
    object_m: Float[np.ndarray, "t 3"]  # the thing's centre
    turn: Float[np.ndarray, "t 3 3"]  # the thing's, from how it lies where its block was seen
    held: Bool[np.ndarray, " t"]

    def __len__(self) -> int:
        return len(self.tool)


@dataclass(frozen=True)
class ToolFootage:
    """An episode as the tool's camera saw it; the thing lies at first where `block` was seen."""

    frames: UInt8[np.ndarray, "t h w 3"]
    motion: ToolMotion
    block: Block

    def object_points(self, motion: ToolMotion, frame: int) -> Float[np.ndarray, "n 3"]:
        """The thing's surface where a motion has it, base frame."""
        return (self.block.points_m - self.motion.object_m[0]) @ motion.turn[frame].T + motion.object_m[frame]


@dataclass(frozen=True)
class ToolLab:
    """What hides and shades the table, in every episode alike."""

    surface: Surface  # of the arm
    fall: Float[np.ndarray, "2"] | None  # x and y that a shadow moves for each metre of height; None: no shadows
    darkness: float = 0.0  # share of the light that is missing in the shadow

    def darkened(self, darkness: float) -> "ToolLab":
        """The same with another depth of shadow."""
        return replace(self, darkness=darkness)
