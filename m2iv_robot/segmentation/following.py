"""The object followed by its colours, where they tell it from robot and scene.

The network knows outlines better than things: a goal mark in the robot's shadow, or the tip of a finger, may look to it
like the object. There is one object, of known colours, on one way; what is none of that is taken out of its masks, and
what the network missed of it is put in.
"""

from dataclasses import dataclass, replace

import cv2
import numpy as np
import torch
from jaxtyping import Bool, Float32, UInt8
from torch import Tensor

from m2iv_robot.masks import remove_specks, resize, touching, trajectory
from m2iv_robot.segmentation.change import common_colours, histogram, lookup
from m2iv_robot.segmentation.prediction import Target
from m2iv_robot.segmentation.states import distance, is_shadow, lab_video
from m2iv_robot.segmentation.tracking import (
    FOREGROUND_COLOUR,
    Appearance,
    Candidate,
    best_path,
    candidates,
    foreground,
    object_part,
    roughness_of,
)
from m2iv_robot.types import EpisodePhases, MaskTrajectory, Plate

WIDTH_LIMIT_PX = 400  # wider video is followed at this width
LEAST_PIXELS = 60  # whose colours are learned
TELLING = 0.6  # how much likelier the object's pixels are than the robot's to be called the object
AGREEING = 0.4  # median IoU with the network where the object rests, below which colours are not trusted
OWN_COLOUR_SHARE = 0.95  # of the target, whose most frequent colours are the object's
ROBOT_COLOUR_SHARE = 0.85
SAME_THING = 0.5  # of what rests in one place, in the colours of what rested in the other
OWN_SHARE = 0.3  # of a pixel's colour, from which the network's word counts beside the followed part
REACH = 0.35  # of the object's size: so far around the followed part the network's word counts
UNSEEN_COST = 0.6  # of a way through a part that the network does not call the object at all
CRUMB_SHARE = 0.0005  # of the picture: smaller parts of the robot's mask are not parts of it
SAME_SIZE = 1.5  # times the object's area; a larger thing is not the object alone


@dataclass(frozen=True)
class _Film:
    """An episode at working size."""

    video: Float32[np.ndarray, "t h w 3"]  # Lab
    scene: Float32[np.ndarray, "h w 3"]
    known: Bool[np.ndarray, "h w"]
    actor: Bool[np.ndarray, "t h w"]
    object: Bool[np.ndarray, "t h w"]
    target: tuple[Float32[np.ndarray, "h w 3"], Bool[np.ndarray, "h w"]] | None  # the object seen for sure, in Lab

    def solid(self, t: int) -> Bool[np.ndarray, "h w"]:
        """Where frame `t` is neither the bare scene nor the scene in shadow; True where the scene is not known."""
        frame = self.video[t]
        return ~self.known | ((distance(frame, self.scene) > FOREGROUND_COLOUR) & ~is_shadow(frame, self.scene))


def follow_object(
    frames: UInt8[Tensor, "t 3 h w"],
    masks: MaskTrajectory,
    scene: Plate,
    phases: tuple[EpisodePhases, ...],
    target: Target | None = None,
) -> MaskTrajectory:
    """Masks whose object is one thing on one way; the same masks where its colours do not tell it from the robot.

    `scene` is the picture without robot and object; without `phases` the object is taken to rest in the first and last
    quarter of the frames. `target`, at the frames' size, tells the object's colours from those of a shadow or of
    another thing that the network takes along.
    """
    film = _film(frames, masks, scene, target)
    rests = _rests(len(frames), phases)
    if film.target is not None and _seen_elsewhere(film, rests):
        film = replace(film, target=None)
    looks = _looks(film, rests)
    if looks is None:
        return masks
    followed = _follow(film, rests, looks)
    if followed is None:
        return masks
    parts, moving, size = followed
    if not _agrees(film, rests, parts):
        return masks
    home = np.zeros_like(film.object)  # where it usually is while it rests
    for span, place in zip(rests, _usual(film, rests), strict=True):
        home[span.start : span.stop] = place
    object_ = np.stack(
        [
            film.object[t]  # a dark thing at rest may look like a shadow: the network's word is all there is
            if not parts[t].any() or _contradicted(film.object[t] & moving[t], parts[t], size, home[t])
            else _edged(film, t, _completed(film, t, parts[t], moving[t], looks, size), moving[t])
            for t in range(len(frames))
        ]
    )
    robot = common_colours(looks.actor, ROBOT_COLOUR_SHARE)
    given_up = film.object & ~object_ & moving & lookup(robot, film.video)
    height, width = masks.object.shape[-2:]
    found, back = (resize(torch.from_numpy(mask), height, width) for mask in (object_, given_up))
    actor = torch.stack([_whole(*layers) for layers in zip(masks.actor & ~found, back & ~found, strict=True)])
    return trajectory(actor, found, masks.confidence)


def _whole(actor: Bool[Tensor, "h w"], back: Bool[Tensor, "h w"]) -> Bool[Tensor, "h w"]:
    """The robot with what it gets back: not the crumbs of a rim around the object, nor what is left of one."""
    height, width = actor.shape
    body = remove_specks(actor, max(1, round(CRUMB_SHARE * height * width)))
    return touching(actor | back, body) if bool(body.any()) else actor


def _film(frames: UInt8[Tensor, "t 3 h w"], masks: MaskTrajectory, scene: Plate, target: Target | None) -> _Film:
    pictures = [scene.image[None]] if target is None else [scene.image[None], target.frame[None]]
    video = lab_video(torch.cat([frames, *pictures]), WIDTH_LIMIT_PX)
    size, length = video.shape[1:3], len(frames)
    actor, object_ = (resize(mask, *size).numpy() for mask in (masks.actor, masks.object))
    sure = None if target is None else (video[-1], resize(target.mask, *size).numpy())
    return _Film(video[:length], video[length], resize(scene.known, *size).numpy(), actor, object_, sure)


def _agrees(film: _Film, rests: tuple[range, range], parts: Bool[np.ndarray, "t h w"]) -> bool:
    """Whether what was followed is, at rest, what the network saw, or at the start what is known to be the object."""
    seen = [_iou(parts[t], film.object[t]) for span in rests for t in span if film.object[t].any()]
    told = [] if film.target is None else [_iou(parts[t], film.target[1]) for t in rests[0]]
    return any(float(np.median(values)) >= AGREEING for values in (seen, told) if values)


def _rests(length: int, phases: tuple[EpisodePhases, ...]) -> tuple[range, range]:
    """Frames in which the object lies where it starts, and where it ends."""
    grasp, release = (phases[0].grasp, phases[-1].release) if phases else (length // 4, length - length // 4)
    return range(max(1, grasp)), range(min(release, length - 1), length)


def _usual(film: _Film, rests: tuple[range, range]) -> list[Bool[np.ndarray, "h w"]]:
    """Where the network mostly saw the object while it rested: at its start, and at its goal."""
    return [film.object[span.start : span.stop].mean(0) > 0.5 for span in rests]


def _seen_elsewhere(film: _Film, rests: tuple[range, range]) -> bool:
    """Whether the network saw one and the same thing rest in two places, neither of them the target's."""
    usual = _usual(film, rests)
    if (usual[0] & usual[1]).any() or (film.target[1] & (usual[0] | usual[1])).any():
        return False
    started, ended = (
        np.concatenate([film.video[t][_core(film.object[t] & place & film.solid(t))] for t in span])
        for span, place in zip(rests, usual, strict=True)
    )
    if min(len(started), len(ended)) < LEAST_PIXELS:
        return False
    return bool(lookup(common_colours(histogram(started), OWN_COLOUR_SHARE), ended).mean() >= SAME_THING)


def _looks(film: _Film, rests: tuple[range, range]) -> Appearance | None:
    """The colours of object and robot; None where they are too few, or too much alike."""
    own, others = [], []
    for span, usual in zip(rests, _usual(film, rests), strict=True):
        for t in span[:: max(1, len(span) // 8)]:
            own.append(film.video[t][_core(film.object[t] & usual & film.solid(t))])
            others.append(film.video[t][_core(film.actor[t])])
    object_, robot = np.concatenate(own), np.concatenate(others)
    if film.target is not None:
        object_ = _like_target(object_, film.target)
    if min(len(object_), len(robot)) < LEAST_PIXELS:
        return None
    looks = Appearance(histogram(object_), histogram(robot))
    telling = looks.object_share(object_).mean() - looks.object_share(robot).mean()
    return looks if telling >= TELLING else None


def _like_target(
    colours: Float32[np.ndarray, "n 3"], target: tuple[Float32[np.ndarray, "h w 3"], Bool[np.ndarray, "h w"]]
) -> Float32[np.ndarray, "m 3"]:
    """The colours that the target has, and the target's own."""
    picture, mask = target
    own = picture[_core(mask)]
    if not len(own):
        return colours
    return np.concatenate([colours[lookup(common_colours(histogram(own), OWN_COLOUR_SHARE), colours)], own])


def _core(mask: Bool[np.ndarray, "h w"]) -> Bool[np.ndarray, "h w"]:
    """A mask without its edge, whose pixels are mixed."""
    return cv2.erode(mask.astype(np.uint8), np.ones((3, 3), np.uint8)) > 0


def _follow(
    film: _Film, rests: tuple[range, range], looks: Appearance
) -> tuple[Bool[np.ndarray, "t h w"], Bool[np.ndarray, "t h w"], float] | None:
    """The object's part of every frame, all that is in front of the scene, and the object's size in pixels.

    A part is empty where the object is not seen; None where it is seen nowhere, or its way has no ends.
    """
    roughness, robot = roughness_of(film.scene), common_colours(looks.actor, ROBOT_COLOUR_SHARE)
    seen = film.actor | film.object
    moving = np.stack([foreground(frame, film.scene, roughness, robot) for frame in film.video])
    moving = np.where(film.known, moving, seen)
    ends = [[t for t in span if (film.object[t] & moving[t]).any()] for span in rests]
    if not all(ends):
        return None
    area = float(np.median([(film.object[t] & moving[t]).sum() for span in ends for t in span]))
    size = float(np.sqrt(area))
    start, goal = (_middle(film.object[t] & moving[t]) for t in (ends[0][0], ends[1][-1]))
    options = [_judged(candidates(film.video[t], moving[t], looks, area), film.object[t]) for t in range(len(moving))]
    path = best_path(options, start, goal, size)
    seen_in = {t: choice for t, choice in enumerate(path) if choice is not None}
    if not seen_in:
        return None
    parts = np.zeros_like(moving)
    for t, choice in seen_in.items():
        parts[t] = object_part(film.video[t], moving[t], choice, looks, size)
    return parts, moving, float(np.sqrt(np.median([choice.mask.sum() for choice in seen_in.values()])))


def _judged(options: list[Candidate], seen: Bool[np.ndarray, "h w"]) -> list[Candidate]:
    """The candidates of a frame, dearer the less of them the network calls the object: robots have its colours, too."""
    return [replace(one, cost=one.cost + UNSEEN_COST * (1 - float(seen[one.mask].mean()))) for one in options]


def _middle(mask: Bool[np.ndarray, "h w"]) -> np.ndarray:
    """Median pixel (x, y): stray pixels do not move it."""
    rows, columns = np.nonzero(mask)
    return np.array([np.median(columns), np.median(rows)])


def _completed(
    film: _Film,
    t: int,
    part: Bool[np.ndarray, "h w"],
    moving: Bool[np.ndarray, "h w"],
    looks: Appearance,
    size: float,
) -> Bool[np.ndarray, "h w"]:
    """The followed part with what the network adds next to it."""
    kernel = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (2 * max(1, round(REACH * size)) + 1,) * 2)
    near = cv2.dilate(part.astype(np.uint8), kernel) > 0
    return part | (film.object[t] & moving & near & (looks.object_share(film.video[t]) > OWN_SHARE))


def _contradicted(
    seen: Bool[np.ndarray, "h w"], part: Bool[np.ndarray, "h w"], size: float, home: Bool[np.ndarray, "h w"]
) -> bool:
    """Whether the network saw a thing that the followed part is not, or only a scrap of.

    It is as good as the network is: sure of a thing that rests at `home`, and of one of the object's own size.
    """
    if (seen & home).any() and not (seen & part).any():
        return True
    _, labels, stats, _ = cv2.connectedComponentsWithStats(seen.astype(np.uint8), connectivity=8)
    touched = np.unique(labels[part & seen])
    areas = stats[touched, cv2.CC_STAT_AREA]
    whole = touched[areas > 2 * np.bincount(labels[part & seen], minlength=len(stats))[touched]]
    return bool((stats[whole, cv2.CC_STAT_AREA] < SAME_SIZE * size**2).any())


def _edged(
    film: _Film, t: int, mask: Bool[np.ndarray, "h w"], moving: Bool[np.ndarray, "h w"]
) -> Bool[np.ndarray, "h w"]:
    """A mask whose edge has the pixels that show more of the object than of the scene, and no others."""
    core = _core(mask)
    if not core.any():
        return mask
    apart = distance(film.video[t], film.scene)
    more = apart > 0.5 * np.median(apart[core])
    around = cv2.dilate(mask.astype(np.uint8), np.ones((3, 3), np.uint8)) > 0
    return (mask & (core | ~film.known | more)) | (around & film.known & more & moving & ~film.actor[t])


def _iou(first: Bool[np.ndarray, "h w"], second: Bool[np.ndarray, "h w"]) -> float:
    return float((first & second).sum() / max((first | second).sum(), 1))
