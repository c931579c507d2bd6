"""A recorded episode as a candidate for the gate: its own places, its own motion."""

import torch

from m2iv_robot.errors import PlanError
from m2iv_robot.masks import main_part
from m2iv_robot.placement import resting_mask
from m2iv_robot.quality.config import QualityConfig
from m2iv_robot.quality.context import SourceContext, gripper_path_px
from m2iv_robot.quality.evidence import Case, case_of, chosen_frames, told_carry
from m2iv_robot.types import Candidate, EpisodePhases, MaskTrajectory, Motion, Placement, Provenance

STILL_SHARE = 0.1  # of an episode at either end in which the object rests, where no state tells
SETTLE_S = 0.5


def recorded_candidate(own: SourceContext) -> Candidate:
    """The episode of `own` as it was recorded; `own.masks` are its masks over all frames.

    Raises:
        PlanError: its object is not seen at rest.
    """
    episode = own.episode
    held = EpisodePhases(own.phases[0].grasp, own.phases[-1].release) if own.phases else None
    before, after = _rest_spans(held, episode.length, episode.fps)
    start, goal = (main_part(resting_mask(own.masks.object, span)) for span in (before, after))
    placement = Placement("start", start, goal, (0.0, 0.0), 1.0, None, 0.0, None)
    about = Provenance(episode.dataset, episode.index, episode.camera, "start", (0.0, 0.0), None, 0, {}, ("recorded",))
    return Candidate(episode, own.masks, placement, _motion(own, held), about)


def recorded(own: SourceContext) -> Candidate | None:
    """The same; None where its object is not seen at rest."""
    try:
        return recorded_candidate(own)
    except PlanError:
        return None


def source_case(own: SourceContext, config: QualityConfig) -> Case | None:
    """The source as if it were a candidate, seen by its own masks; None where its object is not seen at rest."""
    candidate = recorded(own)
    if candidate is None:
        return None
    frames = chosen_frames(own.episode.length, told_carry(candidate), config, own.episode.fps)
    masks = own.masks
    seen = MaskTrajectory(masks.actor[frames], masks.object[frames], masks.confidence[frames])
    return case_of(candidate, own, frames, seen)


def _rest_spans(held: EpisodePhases | None, length: int, fps: float) -> tuple[tuple[int, int], tuple[int, int]]:
    """Frames [first, last) in which the object rests before and after."""
    if held is None:
        still = max(1, round(STILL_SHARE * length))
        return (0, still), (length - still, length)
    settled = min(held.release + round(SETTLE_S * fps), length - 1)
    return (0, max(held.grasp - 1, 1)), (settled, length)


def _motion(own: SourceContext, held: EpisodePhases | None) -> Motion | None:
    """The recorded motion as if it had been planned; None without kinematics or labels."""
    episode = own.episode
    if held is None or own.robot is None or episode.state is None or episode.action is None:
        return None
    tool = own.robot.kinematics.forward(episode.state)[:, :3, 3]
    path = gripper_path_px(episode.state, own)
    return Motion(
        state=episode.state,
        action=episode.action,
        source_time=torch.arange(episode.length, dtype=torch.float64),
        verbatim=torch.ones(episode.length, dtype=torch.bool),
        grasp_frame=held.grasp,
        release_frame=held.release,
        gripper_path_m=tool,
        gripper_path_px=None if path is None else torch.as_tensor(path),
        object_path_px=None,
    )
