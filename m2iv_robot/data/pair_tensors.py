"""A drawn pair as the segmenter's loss reads it: framed, lit, degraded, and with the hints that a person would give."""

import cv2
import numpy as np
import torch
from jaxtyping import Bool, UInt8
from torch import Tensor

from m2iv_robot.data.augmentation import degrade, random_framing, random_light, relight
from m2iv_robot.data.pairs import Pair, PairConfig
from m2iv_robot.data.pseudo_labels import OBJECT, UNKNOWN

CLICK_RADIUS_PX = 4  # of the blob that stands for a click, at the network's resolution


def drawn_hint(mask: Bool[np.ndarray, "h w"], generator: np.random.Generator) -> UInt8[np.ndarray, "h w"]:
    """A prompt as a person or a program would give it for `mask`: a click, a box or a rough mask, 0 or 255."""
    hint = np.zeros(mask.shape, np.uint8)
    rows, columns = np.nonzero(mask)
    kind = generator.random()
    if kind < 0.6:
        pick = int(generator.integers(len(rows)))
        cv2.circle(hint, (int(columns[pick]), int(rows[pick])), CLICK_RADIUS_PX, 255, -1)
    elif kind < 0.8:
        slack = generator.integers(-2, 4, 4)
        corners = (columns.min() - slack[0], rows.min() - slack[1]), (columns.max() + slack[2], rows.max() + slack[3])
        cv2.rectangle(hint, *[tuple(int(value) for value in corner) for corner in corners], 255, -1)
    else:
        hint = rough(mask, generator).astype(np.uint8) * 255
    return hint


def rough(mask: Bool[np.ndarray, "h w"], generator: np.random.Generator) -> Bool[np.ndarray, "h w"]:
    """The mask grown or shrunk and shifted a little."""
    kernel = np.ones((int(generator.integers(1, 5)),) * 2, np.uint8)
    change = cv2.dilate if generator.random() < 0.5 else cv2.erode
    changed = change(mask.astype(np.uint8), kernel)
    return np.roll(changed if changed.any() else mask, generator.integers(-2, 3, 2), (0, 1)).astype(bool)


def to_tensors(pair: Pair, config: PairConfig, generator: np.random.Generator) -> dict[str, Tensor]:
    """The pair framed, lit, degraded and hinted, as the segmenter's loss reads it (leading axis: the two frames)."""
    size = (config.width, config.height)
    matrix = random_framing(pair.plate.shape[:2], size[::-1], (config.min_scale, config.max_scale), generator)

    def framed(image: np.ndarray) -> np.ndarray:
        return cv2.warpAffine(image, matrix, size, flags=cv2.INTER_LINEAR, borderMode=cv2.BORDER_REFLECT_101)

    def framed_labels(image: np.ndarray, outside: int) -> np.ndarray:
        flags = {"flags": cv2.INTER_NEAREST, "borderMode": cv2.BORDER_CONSTANT, "borderValue": outside}
        return cv2.warpAffine(image.astype(np.uint8), matrix, size, **flags)

    light, soft = random_light(generator, 1.0), 0.25
    frames = [
        degrade(relight(relight(framed(frame), light), random_light(generator, soft)), generator)
        for frame in pair.frames
    ]
    plate = relight(framed(pair.plate), light)
    labels = [framed_labels(each, UNKNOWN) for each in pair.labels]
    known = framed_labels(pair.known, 0) > 0
    rest = np.zeros(known.shape, bool)
    if generator.random() < config.rest and pair.rest.any():
        rest = rough(framed_labels(pair.rest, 0) > 0, generator)
    objects = [each == OBJECT for each in labels]
    hint_share, reference_share = (0.7, 0.85) if pair.told else (config.hint, config.reference)
    hints = [
        drawn_hint(mask, generator)
        if mask.sum() >= 12 and generator.random() < hint_share
        else np.zeros(mask.shape, np.uint8)
        for mask in objects
    ]
    wanted = objects[0].sum() >= 12 and generator.random() < reference_share
    reference = rough(objects[0], generator) if wanted else objects[0] & False

    def image_tensor(images: list[np.ndarray]) -> Tensor:
        return torch.from_numpy(np.stack(images)).permute(0, 3, 1, 2)

    both = torch.from_numpy(np.stack([known, known]))[:, None]
    return {
        "frame": image_tensor(frames),
        "plate": image_tensor([plate, plate]) * both,
        "known": both.to(torch.uint8) * 255,
        "hint": torch.from_numpy(np.stack(hints))[:, None],
        "rest": torch.from_numpy(np.stack([rest, rest]))[:, None].to(torch.uint8) * 255,
        "labels": torch.from_numpy(np.stack(labels)),
        "reference": torch.from_numpy(reference)[None, None].to(torch.uint8) * 255,
    }
