"""What one generated clip is worth: against the real frames, and by what a segmenter sees in it."""

import logging
from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float, UInt8
from torch import Tensor

from m2iv_robot.benchmark.generation.cases import Case
from m2iv_robot.errors import M2IVError
from m2iv_robot.masks import area, centroid, contact_map
from m2iv_robot.metrics import i3d
from m2iv_robot.metrics.control import ghost_strength, measure_control, width_px
from m2iv_robot.metrics.features import PerceptualMetric, perceptual_distance
from m2iv_robot.metrics.frame import average, background_change, moving_region, psnr, sharpness, ssim_map
from m2iv_robot.segmentation import Prompt, Segmenter
from m2iv_robot.types import Episode, MaskTrajectory, Plate

logger = logging.getLogger(__name__)

CARRIED_WIDTHS = 0.25  # of the object, from both its first and its last place: then it is being carried
LEVELS = 255
INDEPENDENT_STEP = 3


@dataclass(frozen=True)
class Tools:
    """The networks that measure; None where one is not to be used."""

    perceptual: PerceptualMetric
    independent: PerceptualMetric | None  # of everything that is trained here
    i3d: i3d.InceptionI3d | None
    segmenter: Segmenter | None


def to_video(frames: UInt8[Tensor, "t 3 h w"]) -> Float[Tensor, "1 t 3 h w"]:
    """Frames as the metrics take them."""
    return frames[None].float() / LEVELS


@torch.no_grad()
def frame_scores(
    case: Case,
    frames: UInt8[Tensor, "t 3 h w"],
    perceptual: PerceptualMetric,
    independent: PerceptualMetric | None = None,
) -> dict[str, float]:
    """Likeness to the real frames, over all but the first, which every method is given.

    The independent metric is slow: it sees every third frame, the last one among them.
    """
    generated, real = to_video(frames)[:, 1:], to_video(case.frames)[:, 1:]
    region = moving_region(case.masks.actor[None], case.masks.object[None])[:, 1:]
    similarity, unlike = ssim_map(generated, real), perceptual.distance_map(generated[0], real[0])[None]
    figures = {
        "lpips_region": average(unlike, region),
        "lpips": average(unlike),
        "psnr": psnr(generated, real),
        "psnr_region": psnr(generated, real, region),
        "ssim": average(similarity),
        "ssim_region": average(similarity, region),
        "sharpness_region": sharpness(generated, real, region),
        "background_change_levels": LEVELS * background_change(generated, real, region),
    }
    if independent is not None:
        some = slice(INDEPENDENT_STEP - 1, None, INDEPENDENT_STEP)
        pair = generated[:, some], real[:, some]
        figures[f"{independent.name}_region"] = perceptual_distance(independent, *pair, region[:, some])
    return {name: float(value[0]) for name, value in figures.items()}


def embedding(frames: UInt8[Tensor, "t 3 h w"], network: i3d.InceptionI3d) -> Float[Tensor, " 400"]:
    """What FVD compares: the whole clip, its first frame included."""
    return i3d.embed(network, to_video(frames))[0]


@dataclass(frozen=True)
class Request:
    """What was asked of a video: where the object is, frame by frame, and when it is held."""

    first_frame: UInt8[Tensor, "3 h w"]
    masks: MaskTrajectory
    carry: Bool[Tensor, " t"]
    plate: Plate


def request_of(case: Case) -> Request:
    """A held-out clip's own motion, asked for again."""
    return Request(case.frames[0], case.masks, carried(case.masks.object), case.plate)


def control_scores(frames: UInt8[Tensor, "t 3 h w"], request: Request, segmenter: Segmenter) -> dict[str, float]:
    """Where the object went and whether it was held, in the generated frames segmented again.

    The segmenter is given the plate and the object's mask in the first (real) frame. Empty where that frame or the
    last one shows no object: then nothing says what to look for, or where.
    """
    start, requested = request.masks.object[0], request.masks.object[-1]
    if not bool(start.any()) or not bool(requested.any()):
        return {}
    episode = Episode("", 0, "", frames, None, None, (), (), 5.0, "", None)
    try:
        seen = segmenter.segment(episode, request.plate, Prompt(frame=0, mask=start))
    except M2IVError as error:
        logger.info("not measured for control: %s", error)
        return {}
    carry = request.carry
    figures = measure_control(seen.actor[None], seen.object[None], start[None], requested[None], carry[None])
    vacated = start & ~requested & ~request.masks.actor[-1] & request.plate.known
    images = (frames[-1], request.first_frame, request.plate.image)
    final, first, plate = (image[None].float() / LEVELS for image in images)
    wanted = contact_map(request.masks.actor, request.masks.object).flatten(1).any(1)
    return {
        "place_error_percent": 100 * float(figures.placement_error_widths[0]),
        "final_iou": float(figures.final_iou[0]),
        "contact_percent": 100 * float(figures.contact_share[0]),
        "contact_wanted_percent": 100 * float((wanted & carry).sum() / carry.sum()),
        "present_percent": 100 * float(figures.present_share[0]),
        "doubled_percent": 100 * float(figures.doubled_share[0]),
        "left_behind_percent": 100 * float(figures.left_behind_share[0]),
        "ghost": float(ghost_strength(final, first, plate, vacated[None])[0]),
    }


def carried(object_: Bool[Tensor, "t h w"]) -> Bool[Tensor, " t"]:
    """Frames in which the object is away from both its first and its last place; none where it is not seen."""
    centres = centroid(object_)
    width = width_px(object_[:1])[0]
    away = torch.minimum((centres - centres[0]).norm(dim=1), (centres - centres[-1]).norm(dim=1))
    return (away > CARRIED_WIDTHS * width) & (area(object_) > 0)
