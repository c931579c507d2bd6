"""Training labels without an annotator: what differs from the empty scene of a fixed camera is the robot or the object.

Labels are 0 background, 1 actor, 2 object, 3 actor or object (one of the two, not known which), 255 not known.
Whatever is doubtful (shadows, outlines, camouflage, a scene that is never seen empty) is 255: precision before recall.
"""

import logging
from dataclasses import dataclass

import cv2
import numpy as np
from jaxtyping import Bool, Float, UInt8

from m2iv_robot.data.moved_objects import MovedObject, find_moved_object, rest_scenes
from m2iv_robot.errors import ConfigError

logger = logging.getLogger(__name__)

BACKGROUND, ACTOR, OBJECT, ACTOR_OR_OBJECT, UNKNOWN = 0, 1, 2, 3, 255
COLOURFUL = 22.0  # Lab chroma above which a thing is not taken for a (white, grey, black) robot


@dataclass(frozen=True)
class PseudoLabelConfig:
    """When a pixel, a frame and a clip are sure enough to learn from; colours are CIE Lab, L in [0, 100]."""

    frame_count: int = 14  # labelled frames per clip, evenly spread
    plate_frame_count: int = 28  # frames that vote for the empty scene
    same_colour: float = 7.0  # Lab distance below which two samples of a pixel are the same thing
    foreground_colour: float = 17.0  # Lab distance from the empty scene above which a pixel is foreground
    background_colour: float = 8.0  # and below which it may be background
    min_plate_support: float = 0.35  # share of frames that must agree on the empty scene's pixel
    min_actor_share: float = 0.01  # of the frame; a smaller foreground is no arm
    max_actor_share: float = 0.40
    max_doubt_share: float = 0.25  # of the frame that may be neither sure foreground nor sure background
    min_object_px: int = 50
    max_object_share: float = 0.06
    max_camera_shift_px: float = 0.6

    def __post_init__(self) -> None:
        if not 0 < self.background_colour < self.foreground_colour:
            raise ConfigError("pseudo_labels: background_colour must be positive and below foreground_colour")


@dataclass(frozen=True)
class LabelledClip:
    """A clip's labelled frames with its empty scene and the scene before and after the robot touched it."""

    frames: UInt8[np.ndarray, "t h w 3"]
    labels: UInt8[np.ndarray, "t h w"]
    plate: UInt8[np.ndarray, "h w 3"]
    known: Bool[np.ndarray, "h w"]
    before: UInt8[np.ndarray, "h w 3"]
    after: UInt8[np.ndarray, "h w 3"]
    before_labels: UInt8[np.ndarray, "h w"]
    after_labels: UInt8[np.ndarray, "h w"]


def to_lab(image: UInt8[np.ndarray, "h w 3"]) -> Float[np.ndarray, "h w 3"]:
    """RGB to CIE Lab, slightly smoothed against compression noise."""
    return cv2.cvtColor(cv2.GaussianBlur(image, (3, 3), 0).astype(np.float32) / 255, cv2.COLOR_RGB2LAB)


def empty_scene(
    labs: Float[np.ndarray, "t h w 3"], same_colour: float
) -> tuple[Float[np.ndarray, "h w 3"], Float[np.ndarray, "h w"]]:
    """The colour that each pixel shows most often, and the share of frames that agree with it.

    The mode outlives an arm that covers a pixel in most frames but never in one colour; a median does not.
    """
    count = len(labs)
    votes = np.zeros(labs.shape[:3], np.uint8)
    for index in range(count):
        for other in range(index, count):
            same = np.square(labs[other] - labs[index]) @ np.ones(3, np.float32) < same_colour**2
            votes[index] += same
            votes[other] += same
    winner = np.take_along_axis(labs, votes.argmax(0)[None, ..., None], axis=0)[0]
    agrees = np.square(labs - winner).sum(-1) < same_colour**2
    mean = (labs * agrees[..., None]).sum(0) / np.maximum(agrees.sum(0), 1)[..., None]
    return mean.astype(np.float32), agrees.mean(0).astype(np.float32)


def camera_shift_px(first: UInt8[np.ndarray, "h w 3"], last: UInt8[np.ndarray, "h w 3"]) -> float:
    """How far the picture moved between two frames, by phase correlation: second least of four corners."""
    edges = [
        np.abs(cv2.Laplacian(cv2.cvtColor(image, cv2.COLOR_RGB2GRAY).astype(np.float32), -1)) for image in (first, last)
    ]
    height, width = edges[0].shape
    shifts = []
    for rows in (slice(0, height // 2), slice(height // 2, height)):
        for columns in (slice(0, width // 2), slice(width // 2, width)):
            (dx, dy), _ = cv2.phaseCorrelate(
                np.ascontiguousarray(edges[0][rows, columns]), np.ascontiguousarray(edges[1][rows, columns])
            )
            shifts.append(float(np.hypot(dx, dy)))
    return sorted(shifts)[1]


def is_shadow(lab: Float[np.ndarray, "h w 3"], plate: Float[np.ndarray, "h w 3"]) -> Bool[np.ndarray, "h w"]:
    """Where a pixel looks like the empty scene in less light: same hue, colourfulness scaled with the lightness."""
    ratio = (lab[..., 0] + 1) / (plate[..., 0] + 1)
    chroma_error = np.hypot(lab[..., 1] - ratio * plate[..., 1], lab[..., 2] - ratio * plate[..., 2])
    return (ratio > 0.5) & (ratio < 1.15) & (chroma_error < 5.0)


def match_gain(lab: Float[np.ndarray, "h w 3"], plate: Float[np.ndarray, "h w 3"]) -> Float[np.ndarray, "h w 3"]:
    """The frame with the exposure and white balance of the empty scene, by medians over most of the picture."""
    scale = float(np.median((plate[..., 0] + 1) / (lab[..., 0] + 1)))
    matched = lab.copy()
    matched[..., 0] = (lab[..., 0] + 1) * np.clip(scale, 0.8, 1.25) - 1
    matched[..., 1:] += np.clip(np.median(plate[..., 1:] - lab[..., 1:], axis=(0, 1)), -5, 5)
    return matched


def fill_holes(mask: Bool[np.ndarray, "h w"], max_px: int) -> Bool[np.ndarray, "h w"]:
    """The mask with its holes of at most `max_px` pixels filled."""
    count, parts, statistics, _ = cv2.connectedComponentsWithStats((~mask).astype(np.uint8), connectivity=4)
    small = [part for part in range(1, count) if statistics[part, cv2.CC_STAT_AREA] <= max_px]
    return mask | np.isin(parts, small)


def grow(mask: Bool[np.ndarray, "h w"], radius_px: int) -> Bool[np.ndarray, "h w"]:
    """The mask dilated by a disc."""
    kernel = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (2 * radius_px + 1, 2 * radius_px + 1))
    return cv2.dilate(mask.astype(np.uint8), kernel).astype(bool)


def split_foreground(
    lab: Float[np.ndarray, "h w 3"], plate: Float[np.ndarray, "h w 3"], config: PseudoLabelConfig
) -> tuple[Bool[np.ndarray, "h w"], Bool[np.ndarray, "h w"]]:
    """Sure foreground and sure background of one frame; the rest is doubtful."""
    distance = np.linalg.norm(lab - plate, axis=-1)
    strong = (distance > config.foreground_colour) & ~(
        is_shadow(lab, plate) & (distance < 2.2 * config.foreground_colour)
    )
    kernel = np.ones((3, 3), np.uint8)
    strong = cv2.morphologyEx(strong.astype(np.uint8), cv2.MORPH_OPEN, kernel)
    strong = cv2.morphologyEx(strong, cv2.MORPH_CLOSE, kernel, iterations=2).astype(bool)
    strong = fill_holes(strong, max_px=150)
    weak = cv2.morphologyEx((distance > config.background_colour).astype(np.uint8), cv2.MORPH_OPEN, kernel).astype(bool)
    return strong, ~grow(weak | strong, 2)


def main_part(foreground: Bool[np.ndarray, "h w"], min_px: int) -> Bool[np.ndarray, "h w"]:
    """The parts of a foreground that can be an arm: large, most of all if they reach the picture's edge."""
    count, parts, statistics, _ = cv2.connectedComponentsWithStats(foreground.astype(np.uint8), connectivity=8)
    width = foreground.shape[1]
    arm = np.zeros_like(foreground)
    for part in range(1, count):
        left, top, wide, _, area = statistics[part]
        at_edge = left <= 1 or top <= 1 or left + wide >= width - 1
        if area >= (min_px if at_edge else 2.5 * min_px):
            arm |= parts == part
    near = grow(arm, 5)
    for part in range(1, count):
        if statistics[part, cv2.CC_STAT_AREA] >= 40 and (near & (parts == part)).any():
            arm |= parts == part
    return arm


def looks_like(lab: Float[np.ndarray, "h w 3"], colours: Float[np.ndarray, "n 3"]) -> Bool[np.ndarray, "h w"]:
    """Pixels whose colour is one of the object's."""
    bins = (np.array([12.0, 8.0, 8.0]), np.array([0.0, -100.0, -100.0]), (9, 26, 26))
    histogram = np.zeros(bins[2], np.float32)
    np.add.at(histogram, tuple(((colours - bins[1]) / bins[0]).astype(int).clip(0, np.array(bins[2]) - 1).T), 1)
    common = cv2.dilate((histogram > 0.03 * len(colours)).astype(np.uint8).reshape(9, -1), np.ones((1, 3), np.uint8))
    place = ((lab - bins[1]) / bins[0]).astype(int).clip(0, np.array(bins[2]) - 1)
    return common.reshape(bins[2])[place[..., 0], place[..., 1], place[..., 2]].astype(bool)


def label_held(
    labels: UInt8[np.ndarray, "h w"], lab: Float[np.ndarray, "h w 3"], moved: MovedObject | None
) -> UInt8[np.ndarray, "h w"]:
    """Labels in which the part of the actor that may be a held object is an object, or one of the two."""
    labels, arm = labels.copy(), labels == ACTOR
    if moved is None:
        colourful = np.hypot(lab[..., 1], lab[..., 2]) > COLOURFUL
        labels[arm & grow(arm & colourful, 1)] = ACTOR_OR_OBJECT
        return labels
    alike = cv2.morphologyEx(
        (arm & looks_like(lab, moved.colours)).astype(np.uint8), cv2.MORPH_OPEN, np.ones((2, 2), np.uint8)
    )
    count, parts, statistics, _ = cv2.connectedComponentsWithStats(alike, connectivity=8)
    labels[arm & grow(alike.astype(bool), 2)] = ACTOR_OR_OBJECT
    distinct = np.median(np.hypot(moved.colours[:, 1], moved.colours[:, 2])) > COLOURFUL
    if distinct and count > 1:
        largest = 1 + int(statistics[1:, cv2.CC_STAT_AREA].argmax())
        if 0.25 * moved.start.sum() < statistics[largest, cv2.CC_STAT_AREA] < 2 * moved.start.sum():
            labels[parts == largest] = OBJECT
    return labels


def label_frame(
    lab: Float[np.ndarray, "h w 3"],
    plate: Float[np.ndarray, "h w 3"],
    moved: MovedObject | None,
    config: PseudoLabelConfig,
) -> UInt8[np.ndarray, "h w"]:
    """Labels of one frame that is exposure-matched to the empty scene."""
    foreground, background = split_foreground(lab, plate, config)
    arm = main_part(foreground, min_px=int(config.min_actor_share * foreground.size))
    labels = np.full(arm.shape, UNKNOWN, np.uint8)
    labels[background] = BACKGROUND
    labels[arm] = ACTOR
    labels = label_held(labels, lab, moved)
    inside = cv2.erode(arm.astype(np.uint8), np.ones((3, 3), np.uint8)).astype(bool)
    labels[grow(arm, 1) & ~inside & (labels != OBJECT)] = UNKNOWN
    return labels


def label_resting(
    labels: UInt8[np.ndarray, "h w"],
    lab: Float[np.ndarray, "h w 3"],
    scene: Float[np.ndarray, "h w 3"],
    place: Bool[np.ndarray, "h w"],
    same_colour: float,
) -> UInt8[np.ndarray, "h w"]:
    """Labels with the object's resting `place` set, where the frame shows what `scene` shows there."""
    labels = labels.copy()
    core = cv2.erode(place.astype(np.uint8), np.ones((2, 2), np.uint8)).astype(bool)
    arm = np.isin(labels, (ACTOR, ACTOR_OR_OBJECT)) & ~place
    same = np.linalg.norm(lab - scene, axis=-1) < 1.5 * same_colour
    labels[grow(place, 2)] = UNKNOWN
    if same[place].mean() > 0.85 and not (grow(arm, 3) & place).any():
        labels[core] = OBJECT
    elif (~same)[place].mean() > 0.85 and not (grow(arm, 3) & place).any():
        labels[core] = BACKGROUND
    return labels


def scene_labels(
    moved: MovedObject, place: Bool[np.ndarray, "h w"], seen: Bool[np.ndarray, "h w"]
) -> UInt8[np.ndarray, "h w"]:
    """Labels of the scene before (or after): the object at `place`, unknown wherever else something changed."""
    labels = np.full(place.shape, BACKGROUND, np.uint8)
    labels[grow(moved.changed, 3) | ~seen] = UNKNOWN
    labels[grow(place, 1)] = UNKNOWN
    labels[cv2.erode(place.astype(np.uint8), np.ones((2, 2), np.uint8)).astype(bool)] = OBJECT
    return labels


def reject_reason(labels: UInt8[np.ndarray, "t h w"], config: PseudoLabelConfig) -> Bool[np.ndarray, " t"]:
    """Which frames are sure enough to keep."""
    doubt = (labels == UNKNOWN).mean((1, 2))
    actor = (labels == ACTOR).mean((1, 2))
    return (doubt < config.max_doubt_share) & (actor < config.max_actor_share)


def find_scene(
    frames: UInt8[np.ndarray, "t h w 3"],
    labs: Float[np.ndarray, "t h w 3"],
    plate: Float[np.ndarray, "h w 3"],
    config: PseudoLabelConfig,
) -> tuple[MovedObject | None, tuple[UInt8[np.ndarray, "h w 3"], UInt8[np.ndarray, "h w 3"], Bool[np.ndarray, "h w"]]]:
    """The moved object, and the scenes before and after without the robot."""
    least = int(config.min_actor_share * plate.shape[0] * plate.shape[1])
    covered = np.stack([grow(main_part(split_foreground(lab, plate, config)[0], least), 4) for lab in labs])
    before, after, seen = rest_scenes(frames, covered)
    lab_before, lab_after = to_lab(before), to_lab(after)
    lab_after = match_gain(lab_after, lab_before)
    distance = np.linalg.norm(lab_before - lab_after, axis=-1)
    changed = (distance > config.foreground_colour) & ~is_shadow(lab_after, lab_before) & seen
    changed = cv2.morphologyEx(changed.astype(np.uint8), cv2.MORPH_OPEN, np.ones((3, 3), np.uint8))
    changed = fill_holes(cv2.morphologyEx(changed, cv2.MORPH_CLOSE, np.ones((3, 3), np.uint8)).astype(bool), 60)
    if changed.mean() > 2 * config.max_object_share:
        return None, (before, after, seen)
    return find_moved_object(before, after, changed, config.min_object_px), (before, after, seen)


def label_clip(frames: UInt8[np.ndarray, "t h w 3"], config: PseudoLabelConfig) -> LabelledClip | str:
    """Pseudo-labels of a fixed-camera clip (RGB), or why it is not sure enough to learn from."""
    if len(frames) < config.frame_count:
        return "too short"
    votes = frames[np.linspace(0, len(frames) - 1, config.plate_frame_count).round().astype(int)]
    if camera_shift_px(votes[0], votes[-1]) > config.max_camera_shift_px:
        return "camera moves"
    labs = np.stack([to_lab(frame) for frame in votes])
    plate, support = empty_scene(labs, config.same_colour)
    labs = np.stack([match_gain(lab, plate) for lab in labs])
    known = cv2.medianBlur((support >= config.min_plate_support).astype(np.uint8), 5).astype(bool)
    if known.mean() < 0.8:
        return "empty scene not seen"
    moved, (before, after, seen) = find_scene(votes, labs, plate, config)
    chosen = np.linspace(0, len(votes) - 1, config.frame_count).round().astype(int)
    labels = np.stack([label_frame(labs[index], plate, moved, config) for index in chosen])
    if moved is not None:
        scenes = [to_lab(before), to_lab(after)]
        for row, index in enumerate(chosen):
            for scene, place in zip(scenes, (moved.start, moved.goal), strict=True):
                labels[row] = label_resting(
                    labels[row], labs[index], match_gain(scene, plate), place, config.same_colour
                )
    labels[:, ~known] = UNKNOWN
    keep = reject_reason(labels, config)
    actor = (labels == ACTOR).mean((1, 2))
    if keep.mean() < 0.5 or (actor > config.min_actor_share).sum() < 3:
        return "foreground unclear"
    image = (cv2.cvtColor(plate, cv2.COLOR_LAB2RGB) * 255).round().clip(0, 255).astype(np.uint8)
    sides = [
        scene_labels(moved, place, seen) if moved is not None else np.full(known.shape, UNKNOWN, np.uint8)
        for place in ((moved.start, moved.goal) if moved is not None else (known, known))
    ]
    return LabelledClip(votes[chosen][keep], labels[keep], image, known, before, after, *sides)
