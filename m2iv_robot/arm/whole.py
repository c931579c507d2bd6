"""The camera that shows a whole arm in its place, where recordings know its tool alone (and its shape is known)."""

from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Bool, Float
from torch import Tensor

from m2iv_robot.arm.contour import align, misfit
from m2iv_robot.background import spread
from m2iv_robot.camera import Camera, CameraConfig, join_silhouettes, rough_camera, silhouettes
from m2iv_robot.kinematics import CartesianKinematics, Kinematics, arm_balls

MOST_MISFIT = 1.8  # of the outline (see `misfit`): above it the arm is not where the camera has it
ARM_FRAMES = 12  # in all whose outline is compared to begin with
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


def arm_camera(kinematics: Kinematics, recordings: list[ArmRecording], settings: CameraConfig) -> Camera | None:
    """The camera from the arm alone, whatever it handles; None where its shape is not known, or is not seen so."""
    if not has_surface(kinematics) or not recordings:
        return None
    balls, parts = arm_balls(kinematics.config), []
    for one in recordings:
        tool = kinematics.forward(one.states)
        chosen = list(spread(len(tool), max(4, ARM_FRAMES // len(recordings))))
        parts.append(silhouettes(one.actor[chosen], tool[chosen], balls.balls(tool[chosen]), balls.radii_m))
    height, width = recordings[0].actor.shape[1:]
    offset = tuple(kinematics.config.finger_offset_m)
    rough = rough_camera((width, height), settings, offset, join_silhouettes(parts))
    if rough is None:
        return None
    camera, left = on_its_surface(rough, kinematics, recordings)
    return camera if left < MOST_MISFIT else None
