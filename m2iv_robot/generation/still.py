"""Parts of a robot that stand still through an episode (a base, the shoulder of another arm): they stay real pixels."""

from dataclasses import replace

import cv2
import numpy as np
import torch
from jaxtyping import Bool, UInt8
from torch import Tensor

from m2iv_robot.background import apply_gains, exposure_gains, levels_apart, masked_median, spread
from m2iv_robot.generation.records import SourceScene
from m2iv_robot.masks import dilate, fill_holes
from m2iv_robot.types import MaskTrajectory, Plate

FRAMES = 48  # that are looked at
ROBOT_SHARE = 0.5  # of the frames in which a pixel is called robot; masks of what stands still flicker
STEADY_LEVELS = 16  # of 255, by which it may vary
STEADY_SHARE = 0.9  # of the frames in which it does not vary by more
RING_PX = 5  # around a part
RING_SHARE = 0.65  # of the ring that must be steady, too: the inside of a moving link is, but not what is around it
LARGEST_HOLE_SHARE = 0.006  # of the picture: a lamp that blinks on a base
LEAST_SHARE = 0.002  # of the picture; less is left to move


def still_parts(scene: SourceScene) -> Bool[Tensor, "h w"]:
    """Where robot is seen and nothing ever changes, nor beside it."""
    frames, usual = evenly_lit(scene)
    actor = scene.masks.actor[spread(len(scene.frames), FRAMES)]
    steady = (levels_apart(frames, usual) <= STEADY_LEVELS).float().mean(0) >= STEADY_SHARE
    share = actor.float().mean(0)
    robot = (steady & (share >= ROBOT_SHARE)).numpy().astype(np.uint8)
    robot = cv2.morphologyEx(robot, cv2.MORPH_OPEN, np.ones((3, 3), np.uint8))
    count, labels, stats, _ = cv2.connectedComponentsWithStats(robot, connectivity=8)
    still = torch.zeros_like(steady)
    for part in range(1, count):
        if stats[part, cv2.CC_STAT_AREA] < LEAST_SHARE * robot.size:
            continue
        region = torch.from_numpy(labels == part)
        ring = dilate(region[None], 2 * RING_PX + 1)[0] & ~dilate(region[None], 3)[0]
        if float((steady & ring).sum()) >= RING_SHARE * float(ring.sum()):
            still |= region
    closed = torch.nn.functional.pad(still, (1, 1, 1, 1), value=True)  # a hole may be open to the picture's edge
    filled = fill_holes(closed, round(LARGEST_HOLE_SHARE * robot.size))[1:-1, 1:-1]
    return still | (filled & (share >= ROBOT_SHARE)) if bool(still.any()) else still


def evenly_lit(scene: SourceScene) -> tuple[UInt8[Tensor, "t 3 h w"], UInt8[Tensor, "3 h w"]]:
    """Some frames at the plate's exposure, and what each pixel usually shows."""
    chosen = spread(len(scene.frames), FRAMES)
    hidden = (scene.masks.actor | scene.masks.object)[chosen]
    frames = apply_gains(scene.frames[chosen], exposure_gains(scene.frames[chosen], scene.plate.image, hidden))
    return frames, masked_median(frames, torch.zeros_like(hidden))[0]


def left_standing(scene: SourceScene, still: Bool[Tensor, "h w"]) -> SourceScene:
    """The scene in which still parts of the robot belong to the background, and to its plate."""
    if not bool(still.any()):
        return scene
    _, usual = evenly_lit(scene)
    masks, plate = scene.masks, scene.plate
    return replace(
        scene,
        masks=MaskTrajectory(masks.actor & ~still, masks.object, masks.confidence),
        plate=Plate(torch.where(still, usual, plate.image), plate.known | still),
    )


def with_standing(masks: MaskTrajectory, still: Bool[Tensor, "h w"]) -> MaskTrajectory:
    """Masks of an episode in which the still parts are the actor's again."""
    return MaskTrajectory(masks.actor | (still & ~masks.object), masks.object, masks.confidence)
