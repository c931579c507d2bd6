"""New videos where no motion can be planned: the first frame is remade, both stages dream up the rest. No labels."""

import numpy as np
import torch
from jaxtyping import UInt8
from torch import Tensor

from m2iv_robot.augment.records import AugmentTask
from m2iv_robot.errors import PlanError
from m2iv_robot.exemplar import build_exemplar, cut_and_paste
from m2iv_robot.generation import SourceScene, WantedMasks, WantedVideo, generate_frames, generate_masks
from m2iv_robot.generation.layers import PictureMotion, clean_rest_frame, move_recording
from m2iv_robot.plan import Plan
from m2iv_robot.plan.scenes import STILL_SHARE, SourceEpisode
from m2iv_robot.types import MaskTrajectory

STILL_HANDLES = np.array([[0.0, 0.0], [100.0, 0.0]])  # points that stay where they are


def dream(
    task: AugmentTask, plan: Plan, source: SourceEpisode, scene: SourceScene, seed: int
) -> tuple[UInt8[Tensor, "t 3 h w"], MaskTrajectory]:
    """Frames and masks of a video as long as the source, from the first frame and where the object is to end.

    Raises:
        PlanError: stage 1 is not at hand, and nothing else can say how the arm moves.
    """
    if task.networks.trajectory is None:
        raise PlanError("without a motion plan the masks come from stage 1 alone; leave masks and video as they are")
    first = first_frame(plan, source, scene)
    length, (height, width) = len(source.masks.actor), plan.placement.start.shape
    actor, thing = (torch.zeros(length, height, width, dtype=torch.bool) for _ in range(2))
    actor[0], thing[0], thing[-1] = source.masks.actor[0], plan.placement.start, plan.placement.goal
    ends = torch.zeros(length, dtype=torch.bool)
    ends[0] = True
    object_given = ends.clone()
    object_given[-1] = True
    wanted = WantedMasks(first, actor, ends, thing & ~actor, object_given, torch.full((length, 2), torch.nan))
    masks = generate_masks(task.networks.trajectory, wanted, seed, task.generation)
    exemplar = build_exemplar(scene.frames, scene.masks, masks)
    if task.networks.video is None:
        frames = cut_and_paste(scene.plate, exemplar)
        frames[0] = first
        return frames, masks
    given = torch.zeros_like(scene.frames[:length])
    given[0] = first
    video = WantedVideo(first, masks, given, ends, exemplar=exemplar)
    return generate_frames(task.networks.video, scene, video, seed, task.generation), masks


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
        rest_frame=clean_rest_frame(source.masks, source.start, 0, still),
        settle_frames=1,
    )
    return move_recording(scene, motion).frames[0]
