"""The default segmenter: a trained network draws the outlines, and what has moved says which thing is the object.

A prompt, or else the segmenter without weights, says where the object is in some frame; the network learns its looks
there and finds it in all others. Where neither helps, the network compares the scene before with the scene after.
"""

import logging
from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float16, UInt8
from torch import Tensor

from m2iv_robot.background import PlateConfig, build_plate, masked_median, spread
from m2iv_robot.errors import ConfigError, PromptError, SegmentationError
from m2iv_robot.masks import area, components, dilate, fill_holes, remove_specks, resize, trajectory
from m2iv_robot.models.checkpoint import load_segmenter
from m2iv_robot.models.segmenter import STRIDE, Segmenter
from m2iv_robot.segmentation import Prompt
from m2iv_robot.segmentation.motion import MotionConfig, MotionSegmenter
from m2iv_robot.segmentation.prediction import Target, click_hint, predict, shrink, working_size
from m2iv_robot.types import Episode, EpisodePhases, MaskTrajectory, Plate

logger = logging.getLogger(__name__)

LOOK_FRAMES = 32  # frames that a first look at an episode samples
HALF = 0.5


@dataclass(frozen=True)
class LearnedConfig:
    """configs/segmentation/learned.yaml: how the trained network is used."""

    name: str = "learned"
    weights: str = ""  # a file of `m2iv train`; empty: the weights that ship with the package
    pixels: int = 61440  # width times height that the network sees; 320x192
    device: str = "cpu"
    min_object_share: float = 0.0004  # of the frame; less is no object

    def __post_init__(self) -> None:
        if self.pixels < STRIDE * STRIDE:
            raise ConfigError(f"segmentation.pixels must be at least {STRIDE * STRIDE}, got {self.pixels}")
        if not 0 <= self.min_object_share < 1:
            raise ConfigError(f"segmentation.min_object_share must be in [0, 1), got {self.min_object_share}")


class LearnedSegmenter:
    """Finds actor and object with the trained network."""

    def __init__(self, config: LearnedConfig | None = None, network: Segmenter | None = None) -> None:
        """`network` stands in for the weights on disk."""
        self.config = config or LearnedConfig()
        network = network or load_segmenter(self.config.weights)
        self.network = network.to(torch.device(self.config.device), memory_format=torch.channels_last).eval()
        self.motion = MotionSegmenter(MotionConfig())

    def segment(
        self,
        episode: Episode,
        plate: Plate | None = None,
        prompt: Prompt | None = None,
        phases: tuple[EpisodePhases, ...] = (),
    ) -> MaskTrajectory:
        """Masks and a confidence per frame; see `Segmenter`.

        Raises:
            SegmentationError: nothing is moved, or the object cannot be told.
            PromptError: a text prompt, or one that is on nothing.
        """
        where = f"{episode.dataset} episode {episode.index}, {episode.camera}"
        check_prompt(prompt, episode, where)
        size = working_size(*episode.frames.shape[-2:], self.config.pixels)
        frames = shrink(episode.frames, *size)
        moved, reason = self._moved(episode, plate, prompt, phases)
        moved = None if moved is None else resized(moved, size)
        scene = self._scene(frames, None if plate is None else small(plate, size), moved)
        least = max(6, round(self.config.min_object_share * size[0] * size[1]))
        if prompt is not None:
            target = self._asked(frames, scene, (prompt, tuple(episode.frames.shape[-2:])), least, where)
        else:
            target = target_of(frames, moved, least) or self._changed(frames, scene, least)
        if target is None:
            raise SegmentationError(f"{where}: {reason or 'nothing that is moved can be told; give a prompt'}")
        target = with_rest(target, moved)
        masks = decide(predict(self.network, frames, scene, target), moved, least)
        return resized(masks, tuple(episode.frames.shape[-2:]))

    def _moved(
        self, episode: Episode, plate: Plate | None, prompt: Prompt | None, phases: tuple[EpisodePhases, ...]
    ) -> tuple[MaskTrajectory | None, str]:
        """What the segmenter without weights makes of the episode, or why it makes nothing of it."""
        try:
            return self.motion.segment(episode, plate, prompt, phases), ""
        except (SegmentationError, PromptError) as error:
            logger.debug("%s", error)
            return None, str(error).split(": ", 1)[-1]

    def _scene(self, frames: UInt8[Tensor, "t 3 h w"], plate: Plate | None, moved: MaskTrajectory | None) -> Plate:
        """The scene without actor and object at working size: the given plate, or one from a first look."""
        if plate is not None:
            return plate
        chosen = spread(len(frames), LOOK_FRAMES)
        video = frames[chosen]
        rough, _ = masked_median(video, torch.zeros(len(video), *frames.shape[-2:], dtype=torch.bool))
        known = torch.ones(frames.shape[-2:], dtype=torch.bool)
        if moved is not None:
            first = build_plate(
                [video], [MaskTrajectory(moved.actor[chosen], moved.object[chosen], torch.ones(len(video)))]
            )
            rough, known = first.image, first.known
        seen = predict(self.network, video, Plate(rough, known)).float()
        actor = seen.sum(1) > HALF
        object_ = torch.zeros_like(actor) if moved is None else moved.object[chosen] & ~actor
        return build_plate([video], [MaskTrajectory(actor, object_, torch.ones(len(video)))], PlateConfig(margin_px=1))

    def _asked(
        self,
        frames: UInt8[Tensor, "t 3 h w"],
        scene: Plate,
        prompt: tuple[Prompt, tuple[int, int]],
        least: int,
        where: str,
    ) -> Target:
        """The object that a prompt is about; the prompt comes with the size of the frames that it was given on."""
        hint = hint_of(*prompt, tuple(frames.shape[-2:]))
        frame = frames[prompt[0].frame]
        mask = hint
        if prompt[0].mask is None:
            found = predict(self.network, frame[None], scene, None, hint)[0, 1].float() > 0.4
            mask = touching(found, hint)
        if int(mask.sum()) < least:
            raise PromptError(
                f"{where}: nothing to hold on to at the prompt in frame {prompt[0].frame}; try another place or a box"
            )
        return Target(frame, mask, torch.zeros_like(mask))

    def _changed(self, frames: UInt8[Tensor, "t 3 h w"], scene: Plate, least: int) -> Target | None:
        """The thing that the scene before shows and the scene after does not; None where there is none."""
        chosen = spread(len(frames), LOOK_FRAMES)
        video = frames[chosen]
        covered = dilate(predict(self.network, video, scene)[:, 0] > 0.3, 5)
        before, after = bare_ends(video, covered)
        found = predict(self.network, before.image[None], Plate(after.image, before.known & after.known))[0, 1].float()
        parts = components(found > HALF)
        if len(parts) == 0:
            return None
        mass = (parts * found).sum((1, 2))
        best = parts[mass.argmax()]
        return Target(before.image, best, best) if int(best.sum()) >= least else None


def check_prompt(prompt: Prompt | None, episode: Episode, where: str) -> None:
    """A prompt that this segmenter understands, inside the episode.

    Raises:
        PromptError: it is not.
    """
    if prompt is None:
        return
    if prompt.text:
        raise PromptError(f"{where}: a text prompt needs segmentation=grounded_sam2; give a click, box or mask")
    if not 0 <= prompt.frame < episode.length:
        raise PromptError(f"{where}: prompt in frame {prompt.frame}, the episode has {episode.length}")


def small(plate: Plate, size: tuple[int, int]) -> Plate:
    """A plate at working size; a pixel is known where most of what it covers is."""
    return Plate(shrink(plate.image[None], *size)[0], resize(plate.known, *size))


def resized(masks: MaskTrajectory, size: tuple[int, int]) -> MaskTrajectory:
    """Masks at another size (height, width)."""
    if tuple(masks.actor.shape[-2:]) == size:
        return masks
    return trajectory(resize(masks.actor, *size), resize(masks.object, *size), masks.confidence)


def hint_of(prompt: Prompt, given_on: tuple[int, int], size: tuple[int, int]) -> Bool[Tensor, "h w"]:
    """A prompt as a mask at working size; `given_on` is the size of the frames that it was given on."""
    rows, columns = size[0] / given_on[0], size[1] / given_on[1]
    if prompt.mask is not None:
        return resize(prompt.mask, *size)
    if prompt.click is not None:
        return click_hint(prompt.click[0] * columns, prompt.click[1] * rows, *size)
    left, top, right, bottom = prompt.box
    hint = torch.zeros(size, dtype=torch.bool)
    hint[round(top * rows) : max(round(bottom * rows), 1), round(left * columns) : max(round(right * columns), 1)] = (
        True
    )
    return hint


def touching(mask: Bool[Tensor, "h w"], hint: Bool[Tensor, "h w"]) -> Bool[Tensor, "h w"]:
    """The parts of a mask that the hint touches."""
    parts = [part for part in components(mask) if bool((part & hint).any())]
    return torch.stack(parts).any(0) if parts else torch.zeros_like(mask)


def target_of(frames: UInt8[Tensor, "t 3 h w"], moved: MaskTrajectory | None, least: int) -> Target | None:
    """The object in the frame that shows most of it, clear of the actor; None where it is never seen."""
    if moved is None:
        return None
    seen = area(moved.object).float()
    crowded = area(dilate(moved.actor, 9) & moved.object).float()
    score = (seen - 2 * crowded) * (0.5 + 0.5 * moved.confidence)
    best = int(score.argmax())
    if int(seen[best]) < least:
        return None
    return Target(frames[best], moved.object[best], torch.zeros_like(moved.object[best]))


def with_rest(target: Target, moved: MaskTrajectory | None) -> Target:
    """The target with the places at which the object lies in the first and the last frames."""
    if moved is None:
        return target
    ends = torch.cat([moved.object[:2], moved.object[-2:]]).any(0)
    return Target(target.frame, target.mask, target.rest | ends)


def bare_ends(video: UInt8[Tensor, "t 3 h w"], covered: Bool[Tensor, "t h w"]) -> tuple[Plate, Plate]:
    """The scene before and after: what each pixel showed first and last when nothing covered it."""
    free = ~covered
    known = free.any(0)
    first = free.to(torch.uint8).argmax(0)
    last = len(video) - 1 - free.flip(0).to(torch.uint8).argmax(0)
    before, after = (video.gather(0, index[None, None].expand(1, 3, *index.shape))[0] for index in (first, last))
    return Plate(before, known), Plate(after, known)


def decide(probabilities: Float16[Tensor, "t 2 h w"], moved: MaskTrajectory | None, least: int) -> MaskTrajectory:
    """Masks from probabilities: the likeliest class of each pixel, without specks and pinholes."""
    values = probabilities.float()
    actor_p, object_p = values[:, 0], values[:, 1]
    nothing_p = 1 - actor_p - object_p
    actor = (actor_p > object_p) & (actor_p > nothing_p)
    object_ = (object_p >= actor_p) & (object_p > nothing_p)
    actor = torch.stack([fill_holes(remove_specks(mask, 3 * least), least) for mask in actor])
    object_ = torch.stack([remove_specks(mask, max(3, least // 3)) for mask in object_]) & ~actor
    sure = values.amax(1).clamp(min=0.5)
    either = actor | object_
    confidence = (sure * either).sum((1, 2)) / either.sum((1, 2)).clamp(min=1)
    return trajectory(actor, object_, (2 * confidence - 1).clamp(0, 1))
