"""One training sample of the segmenter: two frames of a labelled scene, varied and hinted as real use would."""

from dataclasses import dataclass, replace

import cv2
import numpy as np
from jaxtyping import Bool, UInt8

from m2iv_robot.data.augmentation import (
    Sprite,
    blend,
    cast_shadow,
    cut_out,
    place,
    random_light,
    relight,
    textured_sprite,
    turned,
)
from m2iv_robot.data.pseudo_labels import ACTOR, ACTOR_OR_OBJECT, BACKGROUND, OBJECT, UNKNOWN, LabelledClip
from m2iv_robot.errors import ConfigError

MIN_STANDING_SHARE = 0.01  # of the picture, that a standing robot covers


@dataclass(frozen=True)
class PairConfig:
    """configs/training/segmenter.yaml (pairs): sizes and how often each variation happens."""

    width: int = 224
    height: int = 128
    min_scale: float = 0.6
    max_scale: float = 1.4
    new_plate: float = 0.6  # a simulated robot before a real plate
    pasted_object: float = 0.8  # a scene without an object of its own gets one
    held: float = 0.4  # of a pasted object's states, in the gripper; else where it started or ends
    distractor: float = 0.4
    under_hand: float = 0.35  # of distractors, lies where the hand is
    rest_scene: float = 0.15  # the pair is the scene before against the scene after
    still_robot: float = 0.35  # parts of the robot that do not move are in the plate
    standing_robot: float = 0.3  # another scene's robot base stands at the edge, where a scene is lent that has one
    shadow: float = 0.4  # of each frame; the robot's shadow, or of something outside the picture, passes over the scene
    damaged_plate: float = 0.5
    hint: float = 0.45
    rest: float = 0.5
    reference: float = 0.75

    def __post_init__(self) -> None:
        if self.width % 32 or self.height % 32:
            raise ConfigError(f"pairs: width and height must be multiples of 32, got {self.width}x{self.height}")


@dataclass(frozen=True)
class Pair:
    """Two frames of a scene on their way to the network."""

    frames: list[UInt8[np.ndarray, "h w 3"]]
    labels: list[UInt8[np.ndarray, "h w"]]
    plate: UInt8[np.ndarray, "h w 3"]
    known: Bool[np.ndarray, "h w"]
    rest: Bool[np.ndarray, "h w"]
    told: bool = False  # the pictures alone do not say what the object is: a hint or reference must


def draw_pair(
    scene: LabelledClip,
    other: LabelledClip,
    config: PairConfig,
    generator: np.random.Generator,
    standing: LabelledClip | None = None,
) -> Pair:
    """A pair of frames of `scene`; `other` lends textures, objects and its plate, `standing` a robot's base."""
    pair = choose_frames(scene, config, generator)
    if (scene.labels != UNKNOWN).all() and generator.random() < config.new_plate:
        pair = before_new_plate(pair, other.plate, generator)
    pair = pass_shadows(pair, config.shadow, generator)
    if standing is not None and generator.random() < config.standing_robot:
        pair = add_standing_robot(pair, standing, generator)
    if generator.random() < config.distractor:
        pair = add_distractor(pair, other, config.under_hand, generator)
    has_object = any((labels == OBJECT).sum() >= 12 for labels in pair.labels)
    if generator.random() < (0.25 if has_object else 1.0) * config.pasted_object:
        pair = add_object(pair, other, config.held, generator)
    if generator.random() < config.still_robot:
        pair = keep_still_parts(pair, generator)
    if generator.random() < config.damaged_plate:
        pair = damage_plate(pair, generator)
    return pair


def choose_frames(scene: LabelledClip, config: PairConfig, generator: np.random.Generator) -> Pair:
    """Two frames (the first one rather shows the object), or one frame and the scene before against the scene after."""
    with_object = np.flatnonzero((scene.labels == OBJECT).sum((1, 2)) >= 12)
    candidates = with_object if len(with_object) and generator.random() < 0.8 else np.arange(len(scene.frames))
    first, second = int(generator.choice(candidates)), int(generator.integers(len(scene.frames)))
    start, goal = scene.before_labels == OBJECT, scene.after_labels == OBJECT
    rest = [start | goal, start, goal][int(generator.integers(3))]
    if start.any() and goal.any() and generator.random() < config.rest_scene:
        images, labels = [scene.before, scene.after], [scene.before_labels, scene.after_labels]
        if generator.random() < 0.5:
            images, labels = images[::-1], labels[::-1]
        both = (labels[0] != UNKNOWN) & (labels[1] != UNKNOWN)
        known = scene.known if generator.random() < 0.5 else both | start | goal
        return Pair([scene.frames[first], images[0]], [scene.labels[first], labels[0]], images[1], known, rest & False)
    return Pair(
        [scene.frames[first], scene.frames[second]],
        [scene.labels[first], scene.labels[second]],
        scene.plate,
        scene.known,
        rest,
    )


def before_new_plate(pair: Pair, plate: UInt8[np.ndarray, "h w 3"], generator: np.random.Generator) -> Pair:
    """Robot and object of an exactly labelled pair before another scene, with its own shadows."""
    shape = pair.plate.shape[:2]
    plate = cv2.resize(plate, shape[::-1], interpolation=cv2.INTER_AREA)
    light = random_light(generator, 1.0)
    softness = float(generator.uniform(0.3, 0.9))
    frames = []
    for frame, labels in zip(pair.frames, pair.labels, strict=True):
        mask = labels != BACKGROUND
        under = cast_shadow(plate, mask, generator) if generator.random() < 0.6 else plate
        frames.append(blend(under, relight(frame, light), mask, softness))
    return Pair(frames, pair.labels, plate, np.ones(shape, bool), pair.rest)


def pass_shadows(pair: Pair, share: float, generator: np.random.Generator) -> Pair:
    """Soft shadows on the scene of each frame, of the robot or of a thing that is not seen; labels stay as they are."""
    frames = []
    for frame, labels in zip(pair.frames, pair.labels, strict=True):
        if generator.random() < share:
            mask = labels == ACTOR
            if not mask.any() or generator.random() < 0.5:
                thing = textured_sprite(pair.plate, int(generator.uniform(0.1, 0.6) * mask.shape[0]), generator)
                _, mask = place(thing, random_spot(mask.shape, generator), mask.shape)
            scene = np.isin(labels, (BACKGROUND, UNKNOWN))
            frame = np.where(scene[..., None], cast_shadow(frame, mask, generator), frame)
        frames.append(frame)
    return replace(pair, frames=frames)


def add_standing_robot(pair: Pair, standing: LabelledClip, generator: np.random.Generator) -> Pair:
    """What stands still of another scene's robot, behind everything, at the edge at which it stood there.

    The plate has it, or does not know what is behind it; a scene whose robot has no such part changes nothing.
    """
    still = (standing.labels == ACTOR).all(0)
    if still.mean() < MIN_STANDING_SHARE:
        return pair
    shape = pair.plate.shape[:2]
    sprite = cut_out(relight(standing.frames[0], random_light(generator, 0.6)), still)
    left = still[:, : still.shape[1] // 2].sum() > still[:, still.shape[1] // 2 :].sum()
    if generator.random() < 0.5:
        sprite, left = Sprite(sprite.image[:, ::-1].copy(), sprite.mask[:, ::-1].copy()), not left
    sprite = turned(sprite, float(np.exp(generator.uniform(-0.3, 0.5))), float(generator.normal(0, 5)))
    reach = int(np.flatnonzero(sprite.mask.any(0)).size)
    inward = generator.uniform(-0.1, 0.5) * reach
    x = inward if left else shape[1] - inward
    image, mask = place(sprite, (x, float(generator.uniform(0.3, 1.0) * shape[0])), shape)
    frames, all_labels = [], []
    for frame, labels in zip(pair.frames, pair.labels, strict=True):
        visible = mask & np.isin(labels, (BACKGROUND, UNKNOWN))
        frames.append(blend(frame, image, visible, 0.5))
        all_labels.append(np.where(visible, ACTOR, labels).astype(np.uint8))
    plate, known = blend(pair.plate, image, mask, 0.5), pair.known | mask
    if generator.random() < 0.3:
        known = known & ~mask
    return Pair(frames, all_labels, plate, known, pair.rest & ~mask, pair.told)


def random_sprite(other: LabelledClip, height: int, generator: np.random.Generator) -> Sprite:
    """The other scene's object, or a thing with some of its texture."""
    mask = other.before_labels == OBJECT
    if mask.sum() >= 40 and generator.random() < 0.6:
        sprite = cut_out(other.before, mask)
        return turned(sprite, float(np.exp(generator.uniform(-0.5, 0.4))), float(generator.normal(0, 25)))
    size = height * float(np.exp(generator.uniform(np.log(0.05), np.log(0.45))))
    return textured_sprite(other.plate, max(int(size), 5), generator)


def random_spot(shape: tuple[int, int], generator: np.random.Generator) -> tuple[float, float]:
    """A place (x, y), rather in the lower part of the picture."""
    return float(generator.uniform(0.03, 0.97) * shape[1]), float(generator.uniform(0.25, 0.97) * shape[0])


def add_distractor(pair: Pair, other: LabelledClip, under_hand: float, generator: np.random.Generator) -> Pair:
    """A thing that lies still: in the plate and, behind robot and object, in both frames; some under the hand."""
    shape = pair.plate.shape[:2]
    spot = held_spot(pair.labels[int(generator.integers(2))], generator) if generator.random() < under_hand else None
    image, mask = place(random_sprite(other, shape[0], generator), spot or random_spot(shape, generator), shape)
    plate = blend(pair.plate, image, mask, 0.5)
    frames = [
        blend(frame, image, mask & (labels == BACKGROUND), 0.5)
        for frame, labels in zip(pair.frames, pair.labels, strict=True)
    ]
    return Pair(frames, pair.labels, plate, pair.known | mask, pair.rest & ~mask)


def held_spot(labels: UInt8[np.ndarray, "h w"], generator: np.random.Generator) -> tuple[float, float] | None:
    """A place at the robot's low end, where a gripper is likely; None without a robot."""
    rows, columns = np.nonzero(labels == ACTOR)
    if len(rows) < 60:
        return None
    low = np.flatnonzero(rows >= np.quantile(rows, 0.93))
    pick = int(generator.choice(low))
    return float(columns[pick] + generator.normal(0, 2)), float(rows[pick] + generator.uniform(-4, 6))


def add_object(pair: Pair, other: LabelledClip, held_share: float, generator: np.random.Generator) -> Pair:
    """An object of which each frame shows one state: where it started, where it ends, or in the gripper.

    An object that the pair already has is no longer what is asked for: its pixels become unknown.
    """
    shape = pair.plate.shape[:2]
    sprite = random_sprite(other, shape[0], generator)
    spots = [random_spot(shape, generator) for _ in range(2)]
    frames, all_labels, rest = [], [], np.zeros(shape, bool)
    for frame, labels in zip(pair.frames, pair.labels, strict=True):
        held = held_spot(labels, generator) if generator.random() < held_share else None
        spot = held if held is not None else spots[int(generator.integers(2))]
        now = turned(sprite, 1.0, float(generator.normal(0, 20))) if held is not None else sprite
        image, mask = place(now, spot, shape)
        over = generator.random() < 0.5
        allowed = (labels != UNKNOWN) | (held is not None) if held is not None and over else labels == BACKGROUND
        labels = np.where(np.isin(labels, (OBJECT, ACTOR_OR_OBJECT)), UNKNOWN, labels).astype(np.uint8)
        visible = mask & allowed
        frames.append(blend(frame, image, visible, 0.5))
        labels[visible] = OBJECT
        all_labels.append(labels)
        if held is None:
            rest |= mask
    return Pair(frames, all_labels, pair.plate, pair.known, rest)


def keep_still_parts(pair: Pair, generator: np.random.Generator) -> Pair:
    """A plate made while part of the robot stood still: what both frames (or one) show of the robot is in it."""
    source = int(generator.integers(2))
    still = pair.labels[source] == ACTOR
    if generator.random() < 0.7:
        still &= pair.labels[1 - source] == ACTOR
    plate = blend(pair.plate, pair.frames[source], still, 0.0)
    return Pair(pair.frames, pair.labels, plate, pair.known, pair.rest)


def damage_plate(pair: Pair, generator: np.random.Generator) -> Pair:
    """A plate as pipelines have them: holes where the robot always was, leftovers of things, or none at all."""
    plate, known = pair.plate.copy(), pair.known.copy()
    source = int(generator.integers(2))
    frame, labels = pair.frames[source], pair.labels[source]
    kind = generator.random()
    near = (
        cv2.dilate(np.isin(labels, (ACTOR, ACTOR_OR_OBJECT, UNKNOWN)).astype(np.uint8), np.ones((9, 9), np.uint8)) > 0
    )
    window = np.zeros(known.shape, bool)
    x, y = random_spot(known.shape, generator)
    reach = generator.uniform(0.1, 0.5) * known.shape[0]
    window[max(int(y - reach), 0) : int(y + reach), max(int(x - reach), 0) : int(x + reach)] = True
    if kind < 0.3:
        mask = near & (window if generator.random() < 0.5 else True)
        known &= ~mask
    elif kind < 0.5:
        mask = labels == OBJECT
        plate[mask] = frame[mask]
        return Pair(pair.frames, pair.labels, plate, known, pair.rest, told=True)
    elif kind < 0.7:
        mask = near & window
        share = generator.uniform(0.3, 1.0)
        plate[mask] = (plate[mask] * (1 - share) + frame[mask] * share).astype(np.uint8)
    else:
        known[:] = False
    return Pair(pair.frames, pair.labels, plate, known, pair.rest)
