"""Self-training: a trained segmenter mends the pseudo-labels that it was trained on.

Unknown pixels that it is sure of become known, labels that it contradicts become unknown, and scenes whose robot it
mostly contradicts are dropped. A robot that stands still is in the empty scene: what looks like
one to a network that is not told of the scene is unknown.
"""

from collections import Counter
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Bool, Float, UInt8
from torch import Tensor

from m2iv_robot.data.clips import load_scene, save_scene, without_background
from m2iv_robot.data.pseudo_labels import ACTOR, ACTOR_OR_OBJECT, BACKGROUND, UNKNOWN, LabelledClip
from m2iv_robot.masks import resize
from m2iv_robot.models.segmenter import Segmenter
from m2iv_robot.segmentation.prediction import predict, shrink, working_size
from m2iv_robot.types import Plate

WORKING_PIXELS = 192 * 320
SURE_ACTOR, SURE_BACKGROUND = 0.93, 0.04  # probability above which, of anything below which, unknown becomes known
NOT_ACTOR, NOT_BACKGROUND = 0.2, 0.9  # probability that contradicts a label
STANDING = 0.5  # median probability without a plate from which background may be a robot that stands still
MAX_CONTRADICTED = 0.35  # share of a scene's actor pixels


def relabel_store(network: Segmenter, scenes: list[Path], folder: Path) -> Counter:
    """Write the mended scenes into `folder`, those that are there already left alone; returns what became of each."""
    outcomes: Counter = Counter()
    for path in scenes:
        target = folder / path.name
        if target.exists():
            outcomes["there already"] += 1
            continue
        scene = load_scene(path)
        actor, object_ = probabilities(network, scene, Plate(*plate_of(scene)))
        contradicted = (scene.labels == ACTOR) & (actor < NOT_ACTOR)
        if contradicted.sum() > MAX_CONTRADICTED * max(1, (scene.labels == ACTOR).sum()):
            outcomes["dropped: robot contradicted"] += 1
            continue
        with np.load(path) as stored:
            group = str(stored["group"])
        scene = replace(scene, labels=mended(scene.labels, actor, object_))
        save_scene(target, without_standing(network, scene), group)
        outcomes["kept"] += 1
    return outcomes


def plate_of(scene: LabelledClip) -> tuple[UInt8[Tensor, "3 h w"], Bool[Tensor, "h w"]]:
    """The scene's plate at its own size: image and which pixels are known."""
    return torch.from_numpy(scene.plate).permute(2, 0, 1), torch.from_numpy(scene.known)


def probabilities(
    network: Segmenter, scene: LabelledClip, plate: Plate
) -> tuple[Float[np.ndarray, "t h w"], Float[np.ndarray, "t h w"]]:
    """The network's probability of actor and of object in every pixel, without a prompt."""
    frames = torch.from_numpy(scene.frames).permute(0, 3, 1, 2)
    height, width = frames.shape[-2:]
    size = working_size(height, width, WORKING_PIXELS)
    plate = Plate(shrink(plate.image[None], *size)[0], resize(plate.known, *size))
    found = predict(network, shrink(frames, *size), plate).float()
    found = torch.nn.functional.interpolate(found, (height, width), mode="bilinear").numpy()
    return found[:, 0], found[:, 1]


def without_standing(network: Segmenter, scene: LabelledClip) -> LabelledClip:
    """The scene with unknown labels where its background looks like a robot to a network that is given no plate."""
    image, known = plate_of(scene)
    actor, _ = probabilities(network, scene, Plate(image, known & False))
    return without_background(scene, np.median(actor, 0) > STANDING)


def mended(
    labels: UInt8[np.ndarray, "t h w"], actor: Float[np.ndarray, "t h w"], object_: Float[np.ndarray, "t h w"]
) -> UInt8[np.ndarray, "t h w"]:
    """Labels after the network was heard."""
    anything = actor + object_
    out = labels.copy()
    out[(labels == UNKNOWN) & (actor > SURE_ACTOR)] = ACTOR
    out[(labels == UNKNOWN) & (anything < SURE_BACKGROUND)] = BACKGROUND
    out[(labels == ACTOR) & (actor < NOT_ACTOR) & (object_ < 0.5)] = UNKNOWN
    out[(labels == ACTOR) & (actor < 0.4) & (object_ >= 0.3)] = ACTOR_OR_OBJECT
    out[(labels == BACKGROUND) & (anything > NOT_BACKGROUND)] = UNKNOWN
    return out
