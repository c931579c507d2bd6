"""A camera moved until it shows a whole arm in its place: one whose tool is recorded and whose shape is known."""

from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Bool, Float
from torch import Tensor

from m2iv_robot.arm.contour import align, misfit
from m2iv_robot.camera import Camera
from m2iv_robot.kinematics import CartesianKinematics, Kinematics

MOST_MISFIT = 1.8  # of the outline (see `misfit`): above it the arm is not where the camera has it
PASSES = (10, 32)  # frames of the outline's fits: from a rough start the first one does not end


@dataclass(frozen=True)
class ArmRecording:
    """One episode of an arm before a fixed camera."""

    states: Float[Tensor, "t s"]
    actor: Bool[Tensor, "t h w"]
    before: Bool[Tensor, "t h w"]  # what may stand before the arm: the object


def has_surface(kinematics: Kinematics) -> bool:
    """Whether an arm whose recordings know the tool alone has a shape."""
    return isinstance(kinematics, CartesianKinematics) and kinematics.surface is not None


def on_its_surface(
    camera: Camera, kinematics: CartesianKinematics, recordings: list[ArmRecording]
) -> tuple[Camera, float]:
    """The camera moved until the surface's outline lies on the masks, from a rough one, and the misfit that is left.

    The rough one itself if it got no better.
    """
    poses = np.concatenate([kinematics.link_poses(recording.states) for recording in recordings])
    masks = tuple(torch.cat([getattr(one, part) for one in recordings]) for part in ("actor", "before"))
    found = [(misfit(camera, kinematics.surface, poses, masks), camera)]
    for frames in PASSES:
        moved = align(found[-1][1], kinematics.surface, poses, masks, frames)
        found.append((misfit(moved, kinematics.surface, poses, masks), moved))
    least, best = min(found, key=lambda entry: entry[0])
    return best, least
