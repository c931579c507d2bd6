"""The default segmenter: a trained network draws the outlines, and what has moved says which thing is the object.

A prompt, or else the segmenter without weights, says where the object is in some frame; the network learns its looks
there and finds it in all others. Where neither helps, the network compares the scene before with the scene after.
"""

import logging
from dataclasses import dataclass, replace

import cv2
import numpy as np
import torch
from jaxtyping import Bool, UInt8
from torch import Tensor

from m2iv_robot.background import PlateConfig, build_plate, masked_median, spread
from m2iv_robot.errors import ConfigError, PromptError, SegmentationError
from m2iv_robot.masks import area, dilate, fill_holes, remove_specks, resize, touching, trajectory
from m2iv_robot.models.checkpoint import load_segmenter
from m2iv_robot.models.segmenter import STRIDE, Segmenter
from m2iv_robot.segmentation import Prompt
from m2iv_robot.segmentation.discovery import MIN_PAIR_SCORE, Ends, Look, Move, bare_ends, find_move, spans_of
from m2iv_robot.segmentation.following import follow_object
from m2iv_robot.segmentation.motion import MotionConfig, MotionSegmenter
from m2iv_robot.segmentation.parts import held_things, looks_of, robot_parts, same_colour_around, things_at
from m2iv_robot.segmentation.prediction import Target, decide, hint_of, predict, shrink, working_size
from m2iv_robot.segmentation.prompts import check_drawn
from m2iv_robot.segmentation.words import told_colour
from m2iv_robot.types import Episode, EpisodePhases, MaskTrajectory, Plate

logger = logging.getLogger(__name__)

LOOK_FRAMES = 32  # frames that a first look at an episode samples
ROBOT_P = 0.35  # from which a pixel may be the robot
STILL_P = 0.35  # median from which a pixel is a part of the robot that stands still
STILL_LEVELS = 14  # of 255 that a pixel may change in most frames and yet stand still
STILL_FRAMES = 8  # that are looked at for it
OUTLINE_P = 0.5  # from which a pixel of a place that changed belongs to the thing that was there
PROMPTED_P = 0.4  # from which a pixel belongs to the prompted thing


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


@dataclass(frozen=True)
class FirstLook:
    """What a glance at an episode tells, at working size."""

    scene: Plate  # without actor
    ends: Ends
    move: Move | None
    still: Bool[Tensor, "h w"]  # robot that never moves
    given: bool  # the scene is a plate that was given: without the object too


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
        check_drawn(prompt, episode)
        given_on = tuple(episode.frames.shape[-2:])
        size = working_size(*given_on, self.config.pixels)
        frames = shrink(episode.frames, *size)
        least = max(6, round(self.config.min_object_share * size[0] * size[1]))
        colour = told_colour(episode.task)
        first = self.glance(frames, None if plate is None else small(plate, size), phases, least, colour)
        if prompt is not None:
            target = self.asked(
                frames[prompt.frame], first, hint_of(prompt, given_on, size), least if prompt.mask is None else 0
            )
            if prompt.rest is not None:
                target = replace(target, rest=resize(prompt.rest, *size))
            if int(target.mask.sum()) < least:
                raise PromptError(
                    f"{where}: no thing is seen at the prompt in frame {prompt.frame}; try a box or a mask"
                )
        else:
            target = self.moved(episode, frames, first, (plate, phases), where)
        masks = decide(predict(self.network, frames, scene_without(first, target), target), least)
        masks = self.tidy(frames, masks, first, target, least)
        certainty = 1.0 if prompt is not None else certainty_of(first.move)
        masks = MaskTrajectory(masks.actor, masks.object, masks.confidence * certainty)
        scene = large(scene_without(first, target), given_on) if plate is None else plate
        return follow_object(episode.frames, resized(masks, given_on), scene, phases, enlarged(target, given_on))

    def tidy(
        self, frames: UInt8[Tensor, "t 3 h w"], masks: MaskTrajectory, first: FirstLook, target: Target, least: int
    ) -> MaskTrajectory:
        """Robot in one piece, with its parts that stand still; what lies where the object rests is the object.

        So is what is held and has its colours, in frames in which the network saw little of the object.
        """
        robot = robot_parts(masks.actor | (first.still & ~masks.object), 3 * least)
        object_ = masks.object | things_at(masks.actor & ~robot, target.rest, least)
        whole = int(target.mask.sum())
        if whole >= least and bool(robot.any()):
            looks = looks_of(target.frame, target.mask, frames, robot)
            missing = area(object_) < 0.3 * whole
            held = held_things(frames, robot, looks, whole) & missing[:, None, None]
            object_ = object_ | held
        return trajectory(robot & ~object_, object_, masks.confidence)

    def glance(
        self,
        frames: UInt8[Tensor, "t 3 h w"],
        plate: Plate | None,
        phases: tuple[EpisodePhases, ...],
        least: int,
        colour: str | None = None,
    ) -> FirstLook:
        """A first look: the scene without the robot, and what was moved; `colour` as the instruction names it."""
        chosen = spread(len(frames), LOOK_FRAMES)
        video = frames[chosen]
        scene = plate
        if scene is None:
            rough, _ = masked_median(video, torch.zeros(len(video), *frames.shape[-2:], dtype=torch.bool))
            scene = Plate(rough, torch.ones(frames.shape[-2:], dtype=torch.bool))
        robot = robot_parts(predict(self.network, video, scene)[:, 0] > ROBOT_P, 3 * least)
        if plate is None:
            masks = MaskTrajectory(robot, torch.zeros_like(robot), torch.ones(len(video)))
            scene = build_plate([video], [masks], PlateConfig(margin_px=1))
            robot = robot_parts(predict(self.network, video, scene)[:, 0] > ROBOT_P, 3 * least)
        still = self.still_robot(video, 8 * least)
        scene, robot = Plate(scene.image, scene.known & ~still), robot | still
        look = Look(video, list(chosen), robot)
        best = None
        for span in spans_of(phases, len(frames)):
            ends = bare_ends(look, span)
            move = None if ends is None else self.compare(ends, least, colour)
            if best is None or (move is not None and (best.move is None or move.score > best.move.score)):
                best = FirstLook(scene, ends, move, still, plate is not None)
        return best

    def still_robot(self, video: UInt8[Tensor, "n 3 h w"], least: int) -> Bool[Tensor, "h w"]:
        """What looks like robot all the time without any plate: no plate knows what is behind it.

        Only parts that reach the edge of the picture: a thing that merely looks like a robot seldom does.
        """
        unknown = Plate(torch.zeros_like(video[0]), torch.zeros(video.shape[-2:], dtype=torch.bool))
        sample = video[:: max(1, len(video) // STILL_FRAMES)]
        seen = predict(self.network, sample, unknown)[:, 0].float()
        turns = (sample.float() - sample.float().median(0).values).abs().amax(1).quantile(0.8, dim=0) > STILL_LEVELS
        edge = torch.ones_like(unknown.known)
        edge[2:-2, 2:-2] = False
        return fill_holes(touching(remove_specks((seen.median(0).values > STILL_P) & ~turns, least), edge), least)

    def compare(self, ends: Ends, least: int, colour: str | None = None) -> Move | None:
        """What was moved between two scenes."""
        before = predict(self.network, ends.before.image[None], ends.after)[0].float().sum(0)
        after = predict(self.network, ends.after.image[None], ends.before)[0].float().sum(0)
        return find_move(ends, before, after, least, colour)

    def asked(self, frame: UInt8[Tensor, "3 h w"], first: FirstLook, hint: Bool[Tensor, "h w"], least: int) -> Target:
        """The thing that a prompt (as a mask at working size) is about; `least` 0: the prompt is its mask already."""
        mask = hint
        if least:
            seen = predict(self.network, frame[None], first.scene, None, hint)[0, 1].float()
            mask = touching(seen > PROMPTED_P, hint)
            mask = mask if int(mask.sum()) >= least else same_colour_around(frame, hint)
        rest = torch.zeros_like(mask)
        if first.move is not None:
            places = (first.move.thing, first.move.thing_at_goal)
            if any(bool((place & mask).sum() > 0.3 * mask.sum()) for place in places):
                rest = places[0] | places[1]
        return Target(frame, mask, rest)

    def moved(
        self,
        episode: Episode,
        frames: UInt8[Tensor, "t 3 h w"],
        first: FirstLook,
        told: tuple[Plate | None, tuple[EpisodePhases, ...]],
        where: str,
    ) -> Target:
        """The thing that was moved: as the network saw it, or else as the segmenter without weights does.

        Raises:
            SegmentationError: neither can tell.
        """
        move = first.move
        if move is not None and move.score >= MIN_PAIR_SCORE:
            return self.outlined(first, move)
        try:
            size = tuple(frames.shape[-2:])
            return target_of(frames, resized(self.motion.segment(episode, told[0], None, told[1]), size))
        except SegmentationError:
            if move is None:
                raise
        logger.info("%s: the object came from a place that is seen, but where it went is not", where)
        return self.outlined(first, move)

    def outlined(self, first: FirstLook, move: Move) -> Target:
        """The moved object with the network's outline, where the network agrees that it is one."""
        frame = first.ends.before.image
        seen = predict(self.network, frame[None], first.ends.after, None, move.thing)[0, 1] > OUTLINE_P
        mask = seen & dilate(move.thing[None], 3)[0]
        mask = mask if int(mask.sum()) > 0.25 * int(move.thing.sum()) else move.thing
        return Target(frame, mask, move.thing | move.thing_at_goal)


def small(plate: Plate, size: tuple[int, int]) -> Plate:
    """A plate at working size; a pixel is known where most of what it covers is."""
    return Plate(shrink(plate.image[None], *size)[0], resize(plate.known, *size))


def large(plate: Plate, size: tuple[int, int]) -> Plate:
    """A plate of working size at the size of the frames."""
    if tuple(plate.known.shape) == size:
        return plate
    picture = np.ascontiguousarray(plate.image.permute(1, 2, 0).numpy())
    image = torch.from_numpy(cv2.resize(picture, size[::-1], interpolation=cv2.INTER_LINEAR)).permute(2, 0, 1)
    return Plate(image, resize(plate.known, *size))


def enlarged(target: Target, size: tuple[int, int]) -> Target:
    """A target of working size at the size of the frames."""
    seen = large(Plate(target.frame, target.mask), size)
    return Target(seen.image, seen.known, resize(target.rest, *size))


def resized(masks: MaskTrajectory, size: tuple[int, int]) -> MaskTrajectory:
    """Masks at another size (height, width)."""
    if tuple(masks.actor.shape[-2:]) == size:
        return masks
    return trajectory(resize(masks.actor, *size), resize(masks.object, *size), masks.confidence)


def certainty_of(move: Move | None) -> float:
    """How sure it is which thing is the object, in [0.3, 1]: more so where start and goal agree, 0.3 is a guess."""
    return 0.3 if move is None else 0.3 + 0.7 * min(max(move.score - MIN_PAIR_SCORE, 0) / 0.2, 1.0)


def target_of(frames: UInt8[Tensor, "t 3 h w"], moved: MaskTrajectory) -> Target:
    """The object in the frame that shows most of it, clear of the actor."""
    seen = area(moved.object).float()
    crowded = area(dilate(moved.actor, 9) & moved.object).float()
    best = int(((seen - 2 * crowded) * (0.5 + 0.5 * moved.confidence)).argmax())
    ends = torch.cat([moved.object[:2], moved.object[-2:]]).any(0)
    return Target(frames[best], moved.object[best], ends)


def scene_without(first: FirstLook, target: Target) -> Plate:
    """The scene with the object taken out of the places it was moved between, where both scenes are known there."""
    if first.given or first.move is None or not bool((target.rest & first.move.start).any()):
        return first.scene
    image, (start, goal) = (
        first.scene.image.clone(),
        (dilate(mask[None], 5)[0] for mask in (first.move.start, first.move.goal)),
    )
    image[:, start] = first.ends.after.image[:, start]
    image[:, goal & ~start] = first.ends.before.image[:, goal & ~start]
    return Plate(image, first.scene.known)
