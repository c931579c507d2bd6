"""Whether object, actor and background look like the source's, from frame to frame."""

import numpy as np
from jaxtyping import Bool, Float
from torch import Tensor

from m2iv_robot.background import apply_gains, exposure_gains, spread
from m2iv_robot.masks import area, dilate, erode
from m2iv_robot.quality.config import QualityConfig
from m2iv_robot.quality.context import reference_frame
from m2iv_robot.quality.evidence import Case
from m2iv_robot.quality.place import resting_rows
from m2iv_robot.quality.verdict import at_most
from m2iv_robot.segmentation.change import histogram
from m2iv_robot.segmentation.parts import lab_of
from m2iv_robot.segmentation.states import is_shadow
from m2iv_robot.types import CheckResult, MaskTrajectory

MOST_LIGHT = 1.35  # by which light may scale L + 16: 2.5 times as much light, or as little
BACKGROUND_LAB = 15.0  # distance from which a pixel differs from the plate
REGION_SHARE = 0.03  # of the frame's width by which actor and object are grown: soft edges, contact shadows
LOOKS = 12  # frames of the source that are looked at
LEAST_PX = 6


def object_colour(case: Case, config: QualityConfig) -> CheckResult:
    """Lab distance of the resting object's colour from the nearest look at the source's, whatever light falls on it."""
    wanted = source_colours(case)
    colours = [colour for colour in resting_colours(case, config) if colour is not None]
    values = [min(colour_distance(colour, look) for look in wanted) for colour in colours]
    return at_most("object_colour", float(np.median(values)) if values else float("inf"), config.max_object_colour)


def source_colours(case: Case) -> list[Float[np.ndarray, " 3"]]:
    """The source's object where it is seen best, and after it was put down."""
    context = case.context
    last = [phase.release for phase in context.phases[-1:]] or [0]
    after = [frame for frame in range(last[0], context.episode.length) if bool(context.masks.object[frame].any())]
    frames = [reference_frame(context), *after[-1:]]
    colours = (colour_of(context.episode.frames[frame], context.masks.object[frame]) for frame in frames)
    return [colour for colour in colours if colour is not None]


def colour_distance(own: Float[np.ndarray, " 3"], wanted: Float[np.ndarray, " 3"]) -> float:
    """Lab distance after the light that brings both together best; black never becomes white.

    More of the same light scales L + 16, a and b alike (CIE 1976, away from black).
    """
    black = np.array([16.0, 0.0, 0.0])
    first, second = own + black, wanted + black
    scale = np.clip(first @ second / (first @ first), 1 / MOST_LIGHT, MOST_LIGHT)
    return float(np.linalg.norm(scale * first - second))


def object_flicker(case: Case, config: QualityConfig) -> CheckResult | None:
    """Typical Lab distance between consecutive looks at the resting object."""
    colours = [colour for colour in resting_colours(case, config) if colour is not None]
    if len(colours) < 3:
        return None
    steps = np.linalg.norm(np.diff(np.stack(colours), axis=0), axis=1)
    return at_most("object_flicker", float(np.median(steps)), config.max_object_flicker)


def resting_colours(case: Case, config: QualityConfig) -> list[Float[np.ndarray, " 3"] | None]:
    """The object's colour in every row in which it rests in the open; None where it is not seen."""
    rows = [row for row, _whole, _hidden in resting_rows(case, config)]
    return [colour_of(case.images[row], case.seen.object[row]) for row in rows]


def colour_of(image: Tensor, mask: Bool[Tensor, "h w"]) -> Float[np.ndarray, " 3"] | None:
    """Median Lab colour inside a mask, away from its edge where it is large enough."""
    inner = erode(mask[None], 3)[0]
    inner = inner if int(area(inner)) >= LEAST_PX else mask
    if int(area(inner)) < LEAST_PX:
        return None
    return np.median(lab_of(image)[inner.numpy()], axis=0).astype(np.float64)


def actor_colour(case: Case, config: QualityConfig) -> CheckResult | None:
    """Share of the actor's colours that the source's actor does not have, by histogram."""
    context = case.context
    chosen = spread(context.episode.length, LOOKS)
    masks = MaskTrajectory(context.masks.actor[chosen], context.masks.object[chosen], context.masks.confidence[chosen])
    rows = spread(len(case.frames), LOOKS)
    source = _colours(context.episode.frames[chosen], masks.actor)
    own = _colours(case.images[rows], case.seen.actor[rows])
    if source is None:
        return None
    if own is None:
        return at_most("actor_colour", 1.0, config.max_actor_colour)
    return at_most("actor_colour", 1 - float(np.minimum(source, own).sum()), config.max_actor_colour)


def _colours(images: Tensor, masks: Bool[Tensor, "n h w"]) -> np.ndarray | None:
    colours = [lab_of(image)[mask.numpy()] for image, mask in zip(images, masks, strict=True)]
    joined = np.concatenate(colours)
    return histogram(joined) if len(joined) >= LEAST_PX else None


def background_change(case: Case, config: QualityConfig) -> CheckResult | None:
    """Share of the background that differs from the plate, in the 90th percentile frame; shadows do not count."""
    plate = case.context.plate
    grown = 2 * max(1, round(REGION_SHARE * plate.known.shape[1])) + 1
    free = plate.known & ~dilate(case.seen.actor | case.seen.object, grown)
    images = apply_gains(case.images, exposure_gains(case.images, plate.image, ~free))
    scene = lab_of(plate.image)
    shares = []
    for image, place in zip(images, free.numpy(), strict=True):
        if place.sum() < 0.05 * place.size:
            continue
        frame = lab_of(image)
        differs = (np.linalg.norm(frame - scene, axis=-1) > BACKGROUND_LAB) & ~is_shadow(frame, scene)
        shares.append(float(differs[place].mean()))
    if not shares:
        return None
    return at_most("background_change", float(np.quantile(shares, 0.9)), config.max_background_change)
