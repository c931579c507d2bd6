"""New videos where no motion can be planned: they look like episodes, but nothing says what the robot did in them."""

from dataclasses import replace

import numpy as np
import torch
from jaxtyping import UInt8
from torch import Tensor

from m2iv_robot.augment.records import AugmentTask
from m2iv_robot.augment.sketch import sketch_motion
from m2iv_robot.exemplar import build_exemplar, cut_and_paste
from m2iv_robot.generation import SourceScene, WantedMasks, WantedVideo, generate_frames, generate_masks
from m2iv_robot.generation.layers import PictureMotion, clean_rest_frames, move_recording
from m2iv_robot.masks import largest_component
from m2iv_robot.plan import Plan
from m2iv_robot.plan.scenes import STILL_SHARE, SourceEpisode
from m2iv_robot.types import MaskTrajectory

STILL_HANDLES = np.array([[0.0, 0.0], [100.0, 0.0]])  # points that stay where they are


def dream(
    task: AugmentTask, plan: Plan, source: SourceEpisode, scene: SourceScene, seed: int
) -> tuple[UInt8[Tensor, "t 3 h w"], MaskTrajectory]:
    """Frames and masks of a video as long as the source.

    masks=warped moves the source's own arm in the picture; masks=network is the paper's way: stage 1 is told the first
    frame and where the object is to end.

    Raises:
        PlanError: the object is not seen to move.
    """
    length = len(source.masks.actor)
    given = torch.zeros(length, dtype=torch.bool)
    exemplar = background = None
    if task.config.masks == "warped":
        motion, _ = sketch_motion(plan, source)
        moved = move_recording(one_arm(scene), motion)
        if task.networks.video is None:
            return moved.frames, moved.masks
        frames, masks, exemplar, background = moved.frames, moved.masks, moved.exemplar, moved.background
        given = torch.from_numpy(~motion.shown)
    else:
        first = first_frame(plan, source, scene)
        masks = predicted_masks(task, plan, source, first, seed)
        if task.networks.video is None:
            frames = cut_and_paste(scene.plate, build_exemplar(scene.frames, scene.masks, masks))
            frames[0] = first
            return frames, masks
        frames = first.expand(length, -1, -1, -1)
    given[0] = True
    wanted = WantedVideo(frames[0], masks, frames, given, background, exemplar)
    return generate_frames(task.networks.video, scene, wanted, seed, task.generation), masks


def one_arm(scene: SourceScene) -> SourceScene:
    """The scene whose robot is its largest part in each frame: specks elsewhere must not move with it."""
    actor = torch.stack([largest_component(mask) for mask in scene.masks.actor])
    return replace(scene, masks=replace(scene.masks, actor=actor))


def predicted_masks(
    task: AugmentTask, plan: Plan, source: SourceEpisode, first: UInt8[Tensor, "3 h w"], seed: int
) -> MaskTrajectory:
    """Stage 1 from the first frame's masks and the object's last one (PT-Gen)."""
    length, (height, width) = len(source.masks.actor), plan.placement.start.shape
    actor, thing = (torch.zeros(length, height, width, dtype=torch.bool) for _ in range(2))
    actor[0], thing[0], thing[-1] = source.masks.actor[0], plan.placement.start, plan.placement.goal
    actor_given = torch.zeros(length, dtype=torch.bool)
    actor_given[0] = True
    object_given = actor_given.clone()
    object_given[-1] = True
    path = torch.full((length, 2), torch.nan)
    wanted = WantedMasks(first, actor, actor_given, thing & ~actor, object_given, path)
    return generate_masks(task.networks.trajectory, wanted, seed, task.generation)


def first_frame(plan: Plan, source: SourceEpisode, scene: SourceScene) -> UInt8[Tensor, "3 h w"]:
    """The source's first frame with the object where it is to start."""
    if plan.placement.kind == "goal":
        return scene.frames[0]
    still = max(1, round(STILL_SHARE * len(source.masks.actor)))
    motion = PictureMotion(
        shown=np.ones(1, bool),
        source_frame=np.zeros(1, np.int64),
        actor_frame=np.zeros(1, np.int64),
        handles_px=(STILL_HANDLES,),
        goals_px=(STILL_HANDLES,),
        object_px=np.zeros((1, 2)),
        object_goal_px=np.zeros((1, 2)),
        object_scale=np.ones(1),
        held=(1, 1),
        moved="start",
        shift_px=plan.placement.shift_px,
        scale=plan.placement.scale,
        rest=source.start,
        rest_frames=clean_rest_frames(source.masks, source.start, 0, still),
        settle_frames=1,
    )
    return move_recording(scene, motion).frames[0]
