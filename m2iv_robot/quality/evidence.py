"""What a candidate's video shows: some of its frames segmented again, told what the object looks like by the source."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import torch
from jaxtyping import Bool, UInt8
from torch import Tensor

from m2iv_robot.background import apply_gains, exposure_gains, spread
from m2iv_robot.errors import PromptError, SegmentationError
from m2iv_robot.kinematics import find_phases
from m2iv_robot.masks import area, centroid, components, main_part
from m2iv_robot.metrics.control import width_px
from m2iv_robot.quality.config import QualityConfig
from m2iv_robot.quality.context import SourceContext, reference_frame
from m2iv_robot.segmentation import Prompt, Segmenter
from m2iv_robot.segmentation.parts import lab_of
from m2iv_robot.segmentation.states import distance
from m2iv_robot.types import Candidate, EpisodePhases, MaskTrajectory, Placement, Plate

CLEAR_SHARE = 0.6  # of the object's place that the actor must leave free for the object to be expected there
LEFT_WIDTHS = 0.3  # an object so far from its start has left
PLATE_LAB = 8.0  # distance from which a pixel shows something else than the plate


@dataclass(frozen=True)
class Case:
    """A candidate under examination. Rows count the frames that were segmented again."""

    candidate: Candidate
    context: SourceContext
    frames: tuple[int, ...]  # of the candidate, one per row
    seen: MaskTrajectory  # n h w
    thing: Bool[Tensor, "n h w"]  # of the object as it is seen: its main part, by which its place is told
    carry: EpisodePhases  # in frames of the candidate

    @property
    def images(self) -> UInt8[Tensor, "n 3 h w"]:
        """The frames that were segmented again."""
        return self.candidate.episode.frames[list(self.frames)]

    @property
    def width_px(self) -> float:
        """Width of the object where it was asked to start."""
        return max(1.0, float(width_px(self.candidate.placement.start[None])[0]))


def examine(candidate: Candidate, context: SourceContext, segmenter: Segmenter, config: QualityConfig) -> Case:
    """Segment a bounded number of the candidate's frames.

    The first picture that the segmenter sees is the source's, with the object's mask, and it is told where the object
    should rest. What is found is what looks like the source's object, wherever it is, and unlike the bare scene. An
    object that the segmenter cannot find is no object.
    """
    frames = chosen_frames(candidate.episode.length, told_carry(candidate), config, candidate.episode.fps)
    found = segment_again(candidate, context, segmenter, frames)
    seen = in_front(found, candidate.episode.frames[frames], context.plate, config.min_part_in_front)
    return case_of(candidate, context, frames, seen)


def case_of(candidate: Candidate, context: SourceContext, frames: Sequence[int], seen: MaskTrajectory) -> Case:
    """A candidate with what is seen in some of its frames."""
    thing = torch.stack([main_part(mask) for mask in seen.object])
    carry = told_carry(candidate) or seen_carry(thing, candidate.placement, list(frames))
    return Case(candidate, context, tuple(frames), seen, thing, carry)


def told_carry(candidate: Candidate) -> EpisodePhases | None:
    """When the plan holds the object; None without a plan."""
    if candidate.motion is None:
        return None
    return EpisodePhases(candidate.motion.grasp_frame, candidate.motion.release_frame)


def chosen_frames(length: int, held: EpisodePhases | None, config: QualityConfig, fps: float) -> list[int]:
    """At most `config.frames` frames: evenly spread, and those around grasp and release."""
    if held is None:
        return spread(length, config.frames)
    settled = held.release + round(config.settle_s * fps)
    events = [held.grasp - 1, held.grasp, held.release - 1, settled]
    inside = {min(max(frame, 0), length - 1) for frame in events}
    return sorted(inside | set(spread(length, config.frames - len(inside))))


def segment_again(
    candidate: Candidate, context: SourceContext, segmenter: Segmenter, rows: list[int]
) -> MaskTrajectory:
    """Masks of the chosen frames; no object anywhere where the segmenter gives up."""
    best = reference_frame(context)
    frames = torch.cat([context.episode.frames[best : best + 1], candidate.episode.frames[rows]])
    episode = replace(candidate.episode, frames=frames, state=None, action=None, extra={})
    placement = candidate.placement
    prompt = Prompt(frame=0, mask=context.masks.object[best], rest=placement.start | placement.goal)
    try:
        masks = segmenter.segment(episode, context.plate, prompt)
    except (SegmentationError, PromptError):
        nothing = torch.zeros(len(rows), *frames.shape[-2:], dtype=torch.bool)
        return MaskTrajectory(nothing, nothing, torch.zeros(len(rows)))
    return MaskTrajectory(masks.actor[1:], masks.object[1:], masks.confidence[1:])


def in_front(
    masks: MaskTrajectory, images: UInt8[Tensor, "n 3 h w"], plate: Plate, least_share: float
) -> MaskTrajectory:
    """Masks without the parts of the object in which fewer than `least_share` of the pixels differ from the plate.

    A segmenter that is told where the object should be may take the bare place for it.
    """
    scene = lab_of(plate.image)
    even = apply_gains(images, exposure_gains(images, plate.image, masks.actor | masks.object | ~plate.known))
    kept = torch.zeros_like(masks.object)
    for row, image in enumerate(even):
        differs = torch.from_numpy(distance(lab_of(image), scene) > PLATE_LAB) | ~plate.known
        for part in components(masks.object[row]):
            if int(area(part & differs)) >= least_share * int(area(part)):
                kept[row] |= part
    return MaskTrajectory(masks.actor, kept, masks.confidence)


def seen_carry(thing: Bool[Tensor, "n h w"], placement: Placement, rows: list[int]) -> EpisodePhases:
    """From when to when the object is on its way, as it is seen, for a candidate without a plan."""
    width = max(1.0, float(width_px(placement.start[None])[0]))
    places = centroid(thing)
    start, goal = centroid(placement.start), centroid(placement.goal)
    away = [row for row, place in enumerate(places) if bool((place - start).norm() > LEFT_WIDTHS * width)]
    first = away[0] if away else len(rows) - 1
    not_there = [row for row, place in enumerate(places) if bool((place - goal).norm() > LEFT_WIDTHS * width)]
    last = not_there[-1] if not_there else 0
    grasp = rows[max(first - 1, 0)]
    return EpisodePhases(grasp, max(rows[min(last + 1, len(rows) - 1)], grasp + 1))


def rows_before(case: Case) -> list[int]:
    """Rows in which the object has not been touched yet."""
    return [row for row, frame in enumerate(case.frames) if frame < case.carry.grasp]


def rows_held(case: Case) -> list[int]:
    """Rows in which the object is carried."""
    return [row for row, frame in enumerate(case.frames) if case.carry.grasp <= frame < case.carry.release]


def rows_after(case: Case, config: QualityConfig) -> list[int]:
    """Rows in which the object rests again; the last one at least."""
    settled = case.carry.release + round(config.settle_s * case.candidate.episode.fps)
    rows = [row for row, frame in enumerate(case.frames) if frame >= settled]
    return rows or [len(case.frames) - 1]


def clear_rows(case: Case, rows: list[int], place: Bool[Tensor, "h w"]) -> list[int]:
    """Those of the rows in which the actor leaves most of `place` free."""
    whole = max(int(area(place)), 1)
    return [row for row in rows if int(area(place & ~case.seen.actor[row])) >= CLEAR_SHARE * whole]


def labelled_holds(case: Case, labels: Tensor, which: str) -> tuple[EpisodePhases, ...] | None:
    """When the gripper is closed on something according to a column of labels; None where that is not known."""
    robot = case.context.robot
    if robot is None:
        return None
    kinematics = robot.kinematics if which == "state" else robot.kinematics.actions
    if kinematics is None:
        return None
    return tuple(find_phases(kinematics.gripper_opening(labels), case.candidate.episode.fps))
