"""A recording taken apart into scene, shadows, object and actor, and put together again with all of them moved.

No network: the planned motion says how actor and object move in the picture, real pixels do the rest. What comes out is
the cut-and-paste video, and with a network its masks, its exemplar and the background around what it draws.
"""

from dataclasses import dataclass, replace

import cv2
import numpy as np
import torch
from jaxtyping import Bool, Float, Int, UInt8
from torch import Tensor

from m2iv_robot.arm import ArmFilm, Light, cast, placed
from m2iv_robot.background import exposure_gains, spread
from m2iv_robot.camera import Block
from m2iv_robot.exemplar import Exemplar
from m2iv_robot.generation.deformation import bend_field, pull, scale_field
from m2iv_robot.generation.light import (
    EDGE_PX,
    HOLE_PX,
    LEAST_SHADOW,
    REACH_SHARE,
    changed_around,
    grown,
    shadow,
    soft,
    unshaded,
)
from m2iv_robot.generation.records import SourceScene
from m2iv_robot.masks import centroid, largest_component
from m2iv_robot.types import MaskTrajectory

OBJECT_REACH = 1.5  # of its size: how far an object's own shadow goes
REST_VIEWS = 16  # frames of a resting object that are looked at


@dataclass(frozen=True)
class PlannedArm:
    """Postures of an arm whose every link is known, and who takes pictures of it."""

    film: ArmFilm
    poses: Float[np.ndarray, "t l 4 4"]
    opening: Float[np.ndarray, " t"]
    light: Light | None  # that throws its shadow; None: the shadow of a real arm is bent
    object_m: Float[np.ndarray, "t 3"]  # the object's centre, base frame: fingers may be before and behind it
    hand_frame: Int[np.ndarray, " t"] | None = None  # the real frame whose hand is shown, where it is one piece


@dataclass(frozen=True)
class PictureMotion:
    """How actor and object move in the picture, for every output frame.

    The actor comes from any real frame that shows it much as wanted, bent so that points of it lie where the plan has
    them. The object rests, moved by `shift_px` and scaled by `scale` from where it rests in the source, until it is
    held; then it comes from the source's own frame and keeps its place in the hand.
    """

    shown: Bool[np.ndarray, " t"]  # False: the source's own frame and masks, as they are
    source_frame: Int[np.ndarray, " t"]  # the real frame whose scene and held object are shown
    actor_frame: Int[np.ndarray, " t"]  # the real frame whose actor is shown
    handles_px: tuple[Float[np.ndarray, "_ 2"], ...]  # points of the arm in that frame, one array per output frame
    goals_px: tuple[Float[np.ndarray, "_ 2"], ...]  # where the plan has them
    object_px: Float[np.ndarray, "t 2"]  # centre of the held object in the source frame
    object_goal_px: Float[np.ndarray, "t 2"]  # where the plan has it
    object_scale: Float[np.ndarray, " t"]  # how much larger it appears there
    held: tuple[int, int]  # output frames [grasp, release)
    moved: str  # "start" or "goal": which rest is elsewhere
    shift_px: tuple[float, float]
    scale: float
    rest: Bool[Tensor, "h w"]  # outline of the object at that rest in the source
    rest_frames: tuple[int, ...]  # source frames that show it there, the clearest first
    settle_frames: int  # over which the resting place passes into the held one
    block: Block | None = None  # what the object looks like when it is turned; None: it is moved as it looks
    object_motion_m: Float[np.ndarray, "t 4 4"] | None = None  # with `block`: from its rest in the source, base frame
    arm: "PlannedArm | None" = None  # where its joints are known: the arm is not bent, but shown in the wanted posture


@dataclass(frozen=True)
class MovedVideo:
    """The recording with actor and object moved."""

    frames: UInt8[Tensor, "t 3 h w"]  # scene, shadows, object and actor
    background: UInt8[Tensor, "t 3 h w"]  # scene and shadows
    masks: MaskTrajectory
    exemplar: Exemplar
    unseen: Bool[Tensor, "t h w"]  # pixels of the actor that no real frame shows; none where it is bent


def clean_rest_frames(masks: MaskTrajectory, rest: Bool[Tensor, "h w"], first: int, last: int) -> tuple[int, ...]:
    """Frames in [first, last) in which the object rests: the one that shows it whole and far from the actor first."""
    span = slice(first, max(last, first + 1))
    same = (masks.object[span] & rest).flatten(1).sum(1).float() / max(int(rest.sum()), 1)
    spare = (masks.object[span] & ~rest).flatten(1).sum(1).float() / max(int(rest.sum()), 1)
    outside = cv2.distanceTransform((~rest).numpy().astype(np.uint8), cv2.DIST_L2, 3)
    away = torch.tensor(
        [float(outside[actor.numpy()].min()) if bool(actor.any()) else outside.max() for actor in masks.actor[span]]
    )
    score = same - spare + 0.5 * (away / (0.1 * rest.shape[1])).clamp(max=1)
    best = int(score.argmax())
    there = torch.where(same > 0.5)[0].tolist()
    views = [there[place] for place in spread(len(there), REST_VIEWS)] if there else []
    return (first + best, *(first + frame for frame in views if frame != best))


def move_recording(scene: SourceScene, motion: PictureMotion) -> MovedVideo:
    """All output frames, actor and object moved as `motion` says."""
    studio = _Studio(scene, motion)
    shots = [studio.shoot(frame) for frame in range(len(motion.source_frame))]
    actor = torch.from_numpy(np.stack([shot.actor for shot in shots]))
    object_ = torch.from_numpy(np.stack([shot.object for shot in shots])) & ~actor
    masks = MaskTrajectory(actor, object_, torch.ones(len(shots)))
    frames = _stacked([shot.frame for shot in shots])
    chosen = torch.from_numpy(motion.source_frame)
    exemplar = Exemplar(frames, actor | object_, torch.from_numpy(motion.actor_frame), chosen)
    unseen = torch.from_numpy(np.stack([shot.unseen for shot in shots]))
    return MovedVideo(frames, _stacked([shot.background for shot in shots]), masks, exemplar, unseen)


def _stacked(pictures: list[np.ndarray]) -> UInt8[Tensor, "t 3 h w"]:
    return torch.from_numpy(np.stack(pictures)).permute(0, 3, 1, 2).contiguous()


@dataclass(frozen=True)
class _Shot:
    frame: np.ndarray
    background: np.ndarray
    actor: np.ndarray
    object: np.ndarray
    unseen: np.ndarray


@dataclass(frozen=True)
class _Layer:
    """Something cut out: its colours, how much of each pixel it covers, how much light it leaves around it."""

    colours: Float[np.ndarray, "h w 3"]
    cover: Float[np.ndarray, "h w"]
    light: Float[np.ndarray, "h w"]
    depth_m: Float[np.ndarray, "h w"] | None = None  # where it is known
    unseen: Bool[np.ndarray, "h w"] | None = None  # what is only guessed of it

    def through(self, field: Float[np.ndarray, "h w 2"]) -> "_Layer":
        """The layer moved."""
        return _Layer(pull(self.colours, field), pull(self.cover, field), pull(self.light, field))


class _Studio:
    """What the output frames share."""

    def __init__(self, scene: SourceScene, motion: PictureMotion) -> None:
        self.scene, self.motion = scene, motion
        self.height, self.width = scene.plate.image.shape[-2:]
        hidden = scene.masks.actor | scene.masks.object
        gains = exposure_gains(scene.frames, scene.plate.image, hidden).numpy()
        self.plate = scene.plate.image.permute(1, 2, 0).numpy().astype(np.float32)
        self.gains = 1.0 / gains  # from the plate's exposure to each frame's
        self.centre = tuple(centroid(largest_component(motion.rest)).tolist())
        self.cutout = self._cut_out()
        shift, scale = motion.shift_px, motion.scale
        self.resting = self.cutout.through(scale_field(self.centre, shift, scale, self.height, self.width))
        if motion.block is not None:
            at_rest = motion.object_motion_m[0 if motion.moved == "start" else -1]
            self.resting = self._turned(at_rest, self.resting.light)

    def plate_at(self, frame: int) -> Float[np.ndarray, "h w 3"]:
        """The scene at a frame's exposure."""
        return np.clip(self.plate * self.gains[frame], 0, 255)

    def picture(self, frame: int) -> Float[np.ndarray, "h w 3"]:
        """A real frame."""
        return self.scene.frames[frame].permute(1, 2, 0).numpy().astype(np.float32)

    def _cut_out(self) -> _Layer:
        """The object at its rest, alone, with the shadow beside it, at the plate's exposure."""
        frames = list(self.motion.rest_frames)
        actor = self.scene.masks.actor[frames].numpy()
        pictures = np.stack([self.picture(frame) / self.gains[frame] for frame in frames]).astype(np.float32)
        picture = unshaded(pictures, np.stack([grown(mask, HOLE_PX) for mask in actor]))
        visible = largest_component(self.motion.rest & ~self.scene.masks.actor[frames].all(0)).numpy()
        reach_px = OBJECT_REACH * float(np.sqrt(visible.sum()))
        light = shadow(picture, self.plate, (visible, actor.all(0)), reach_px)
        return _Layer(picture, soft(visible), light)

    def _turned(self, motion_m: Float[np.ndarray, "4 4"], light: Float[np.ndarray, "h w"]) -> _Layer:
        """The object after a rigid motion of the base frame, in this light."""
        drawn = self.motion.block.moved(motion_m)
        if drawn is None:
            return _Layer(self.cutout.colours, np.zeros_like(light), light)
        field, cover = drawn
        return _Layer(pull(self.cutout.colours, field), soft(cover), light)

    def shoot(self, frame: int) -> _Shot:
        """One output frame."""
        motion = self.motion
        at = int(motion.source_frame[frame])
        if not motion.shown[frame]:
            real = self.scene.frames[at].permute(1, 2, 0).numpy()
            actor, thing = self.scene.masks.actor[at].numpy(), self.scene.masks.object[at].numpy()
            return _Shot(real, real, actor, thing, np.zeros_like(actor))
        picture, plate = self.picture(at), self.plate_at(at)
        covered = (self.scene.masks.actor[at] | self.scene.masks.object[at]).numpy() | self._shaded(at)
        background = self.emptied(picture, plate, covered)
        arm = self._actor_layer(frame, self.gains[at])
        thing = self._object_layer(frame, picture)
        if arm.depth_m is not None:
            camera = motion.arm.film.footage.camera
            behind = arm.depth_m > camera.depth_m(motion.arm.object_m[frame : frame + 1])[0]
            arm = replace(arm, cover=arm.cover * (1 - thing.cover * behind))
        lit = background * np.minimum(arm.light, thing.light)[..., None]
        drawn = lit
        for layer in (thing, arm):
            drawn = drawn + layer.cover[..., None] * (layer.colours - drawn)
        to_bytes = (np.clip(np.round(values), 0, 255).astype(np.uint8) for values in (drawn, lit))
        unseen = np.zeros(arm.cover.shape, bool) if arm.unseen is None else arm.unseen & (arm.cover > 0.5)
        return _Shot(*to_bytes, arm.cover > 0.5, thing.cover > 0.5, unseen)

    def _shaded(self, at: int) -> Bool[np.ndarray, "h w"]:
        """Where the real arm's shadow lies in a source frame, also apart from the arm; nowhere if it is not known."""
        arm = self.motion.arm
        if arm is None or arm.light is None:
            return np.zeros((self.height, self.width), bool)
        real = arm.film.footage
        return cast(placed(real.surface, real.poses[at]), arm.light, real.camera) < 1 - LEAST_SHADOW

    def _actor_layer(self, frame: int, gain: Float[np.ndarray, " 3"]) -> _Layer:
        """The actor; `gain` is the exposure that it is brought to."""
        arm = self.motion.arm
        if arm is None:
            return self._bent_layer(frame, gain)
        pose, film = arm.poses[frame], arm.film
        hand = None if arm.hand_frame is None else int(arm.hand_frame[frame])
        shot = film.shoot(pose, float(arm.opening[frame]), int(self.motion.actor_frame[frame]), hand)
        if arm.light is None:
            light = self._bent_layer(frame, gain).light
        else:
            points, (grasp, release) = placed(film.footage.surface, pose), self.motion.held
            if self.motion.block is not None and grasp <= frame < release:
                points = np.concatenate([points, self.motion.block.points_at(self.motion.object_motion_m[frame])])
            light = cast(points, arm.light, film.footage.camera)
        colours = shot.colours * gain.astype(np.float32)
        return _Layer(colours, shot.cover, light.astype(np.float32), shot.depth_m, shot.unseen)

    def _bent_layer(self, frame: int, gain: Float[np.ndarray, " 3"]) -> _Layer:
        """A real actor, bent so that its handles lie where the plan has them."""
        motion = self.motion
        at = int(motion.actor_frame[frame])
        actor, thing = (getattr(self.scene.masks, part)[at].numpy() for part in ("actor", "object"))
        picture = self.picture(at)
        light = shadow(picture, self.plate_at(at), (actor, thing), REACH_SHARE * self.width)
        layer = _Layer(picture * (gain / self.gains[at]), soft(actor), light)
        return layer.through(bend_field(motion.handles_px[frame], motion.goals_px[frame], self.height, self.width))

    def _object_layer(self, frame: int, picture: Float[np.ndarray, "h w 3"]) -> _Layer:
        """The object at rest with its shadow, or held (its shadow is then part of the arm's)."""
        motion, (grasp, release) = self.motion, self.motion.held
        at = int(motion.source_frame[frame])
        if frame < grasp if motion.moved == "start" else frame >= release:
            return replace(self.resting, colours=self.resting.colours * self.gains[at].astype(np.float32))
        if motion.arm is not None and grasp <= frame < release:
            return self._carried_layer(frame)
        thing = self.scene.masks.object[at].numpy()
        layer = _Layer(picture, soft(thing), np.ones(thing.shape, np.float32))
        if not grasp <= frame < release:
            return layer
        here = motion.object_px[frame]
        x, y = motion.object_goal_px[frame] - here + self._offset(frame)
        centre = (float(here[0]), float(here[1]))
        scale = float(motion.object_scale[frame])
        return layer.through(scale_field(centre, (float(x), float(y)), scale, self.height, self.width))

    def _carried_layer(self, frame: int) -> _Layer:
        """The object as it rests, whole, where the plan has it in the hand."""
        motion, (grasp, release) = self.motion, self.motion.held
        gain = self.gains[int(motion.source_frame[frame])].astype(np.float32)
        if motion.block is not None:
            layer = self._turned(motion.object_motion_m[frame], np.ones((self.height, self.width), np.float32))
            return replace(layer, colours=layer.colours * gain)
        event = grasp if motion.moved == "start" else release - 1
        x, y = motion.object_goal_px[frame] - self.centre
        here, there = motion.arm.film.footage.camera.px_per_m(motion.arm.object_m[[event, frame]])
        scale = motion.scale * float(there / here)
        layer = self.cutout.through(scale_field(self.centre, (float(x), float(y)), scale, self.height, self.width))
        return replace(layer, colours=layer.colours * gain, light=np.ones_like(layer.light))

    def _offset(self, frame: int) -> Float[np.ndarray, " 2"]:
        """How far the held object is from where it rests, at grasp or release; passes away from there (output px)."""
        motion, (grasp, release) = self.motion, self.motion.held
        event = grasp if motion.moved == "start" else release - 1
        away = abs(frame - event) / max(1, motion.settle_frames)
        if away >= 1:
            return np.zeros(2)
        carried = (np.asarray(self.centre) - motion.object_px[event]) * motion.object_scale[event]
        carried = carried + motion.object_goal_px[event]
        return (np.asarray(self.centre) + motion.shift_px - carried) * (0.5 + 0.5 * np.cos(np.pi * away))

    def emptied(
        self, picture: Float[np.ndarray, "h w 3"], plate: Float[np.ndarray, "h w 3"], covered: Bool[np.ndarray, "h w"]
    ) -> Float[np.ndarray, "h w 3"]:
        """A real frame with actor, object and their shadows replaced by the scene."""
        hole = soft(changed_around(picture, plate, covered), 2 * EDGE_PX)[..., None]
        return picture + hole * (plate - picture)
