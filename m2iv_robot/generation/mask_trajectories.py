"""Stage 1 on whole episodes: the whole at coarse steps first, then in-filling between neighbouring keyframes."""

import itertools
from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from m2iv_robot import masks
from m2iv_robot.generation.clips import (
    clip_generator,
    clip_indices,
    in_batches,
    resize_frames,
    spans,
    unknown_runs,
)
from m2iv_robot.generation.records import GenerationConfig, WantedMasks
from m2iv_robot.models.trajectory import KnownMasks, TrajectoryModel
from m2iv_robot.types import MaskTrajectory

STAGE = 1


def generate_masks(
    model: TrajectoryModel, wanted: WantedMasks, seed: int, config: GenerationConfig | None = None
) -> MaskTrajectory:
    """Masks of every frame; those that are given come back as they are.

    Each run of unknown frames is sampled once as a whole, at as many steps as a clip has frames; the frames between
    these keyframes are then filled in, clip by clip, both ends given. The result depends on nothing but the arguments.
    """
    config = config or GenerationConfig()
    multiple = model.config.patch * 2 ** (len(model.config.unet.channels) - 1)
    size = tuple(max(1, round(side / multiple)) * multiple for side in (config.mask_height_px, config.mask_width_px))
    draft = _Draft(model, wanted, size, config, seed)
    for first, last in unknown_runs(draft.known):
        end = min(last + 1, len(draft.known) - 1)
        draft.fill([(max(first - 1, 0), end)])
        steps = spans(max(first - 1, 0), end, config.clip_frames)
        ends = [_nearest_known(draft.known, frame) for frame in sorted({frame for span in steps for frame in span})]
        draft.fill([(a, b) for a, b in itertools.pairwise(ends) if not bool(draft.known[a : b + 1].all())])
        while not bool(draft.known[first : last + 1].all()):  # only where a span is longer than a clip
            draft.fill([(a - 1, min(b + 1, end)) for a, b in unknown_runs(draft.known) if first <= a <= last])
    return draft.at_source_size()


def _nearest_known(known: Bool[Tensor, " t"], frame: int) -> int:
    frames = torch.nonzero(known)[:, 0]
    return int(frames[(frames - frame).abs().argmin()])


@dataclass
class _Draft:
    """Masks at working size, filled in clip by clip."""

    model: TrajectoryModel
    wanted: WantedMasks
    size: tuple[int, int]
    config: GenerationConfig
    seed: int

    def __post_init__(self) -> None:
        self.device = next(self.model.parameters()).device
        self.actor = masks.resize(self.wanted.actor, *self.size)
        self.object = masks.resize(self.wanted.object, *self.size)
        self.guess = None if self.wanted.actor_guess is None else masks.resize(self.wanted.actor_guess, *self.size)
        self.actor_given, self.object_given = self.wanted.actor_given.clone(), self.wanted.object_given.clone()
        self.known = self.actor_given & self.object_given
        self.first_frame = resize_frames(self.wanted.first_frame[None], *self.size)
        height, width = self.wanted.actor.shape[-2:]
        scale = torch.tensor([self.size[1] / width, self.size[0] / height])
        self.path = (self.wanted.gripper_path_px.float() + 0.5) * scale - 0.5

    def fill(self, ends: list[tuple[int, int]]) -> None:
        """Sample a clip between each pair of frames, and take its masks where there were none."""
        clips = in_batches(ends, self.config.clips_at_once, self._sample)
        for (first, last), (actor, object_) in zip(ends, clips, strict=True):
            for position, frame in enumerate(clip_indices(first, last, self.config.clip_frames)):
                if not self.known[frame]:
                    self.actor[frame] = self.actor[frame] if self.actor_given[frame] else actor[position]
                    self.object[frame] = self.object[frame] if self.object_given[frame] else object_[position]
                    self.actor_given[frame] = self.object_given[frame] = self.known[frame] = True

    def _sample(self, ends: list[tuple[int, int]]) -> list[tuple[Bool[Tensor, "n h w"], Bool[Tensor, "n h w"]]]:
        """One clip at a time: a clip's noise must not depend on its neighbours in a batch."""
        return [self._sample_one(*pair) for pair in ends]

    def _sample_one(self, first: int, last: int) -> tuple[Bool[Tensor, "n h w"], Bool[Tensor, "n h w"]]:
        frames = clip_indices(first, last, self.config.clip_frames)
        guess = None if self.guess is None else self.guess[frames][None].to(self.device)
        known = KnownMasks(
            first_frame=self.first_frame.to(self.device),
            actor=self.actor[frames][None].to(self.device),
            actor_given=self.actor_given[frames][None].to(self.device),
            object=self.object[frames][None].to(self.device),
            object_given=self.object_given[frames][None].to(self.device),
            gripper_path_px=self.path[frames][None].to(self.device),
            actor_guess=guess,
            guess_given=None if guess is None else guess.flatten(2).any(2),
        )
        actor, object_ = self.model.sample(known, clip_generator(self.seed, STAGE, first, self.device))
        return actor[0].cpu(), object_[0].cpu()

    def at_source_size(self) -> MaskTrajectory:
        """The masks at the source's size; given ones as they were given."""
        size = self.wanted.actor.shape[-2:]
        actor, object_ = masks.resize(self.actor, *size), masks.resize(self.object, *size)
        given = self.wanted.actor_given[:, None, None], self.wanted.object_given[:, None, None]
        actor = torch.where(given[0], self.wanted.actor, actor)
        object_ = torch.where(given[1], self.wanted.object, object_)
        keep_object = given[1] & ~given[0]  # what is given is in front of what is not
        actor = actor & ~(object_ & keep_object)
        confidence: Float[Tensor, " t"] = torch.where(self.wanted.actor_given, 1.0, 0.5)
        return masks.trajectory(actor, object_, confidence)
