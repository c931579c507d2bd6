"""The clean plate of a static camera, and putting a region back into a frame at source resolution."""

from dataclasses import dataclass

import cv2
import numpy as np
import torch
from jaxtyping import Bool, Float, UInt8
from torch import Tensor
from torch.nn import functional

from m2iv_robot.errors import ConfigError, SegmentationError
from m2iv_robot.masks import check_fits, dilate, remove_specks
from m2iv_robot.types import MaskTrajectory, Plate

GAIN_PIXEL_STEP = 3  # gains are medians: a ninth of the pixels is plenty
DARKEST, BRIGHTEST = 12, 243  # darker or brighter pixels say little about exposure
OTHER_LEVELS = 24  # of 255: a pixel that differs by more from another picture of its scene shows another thing
STEADY_LEVELS = 16  # of 255: a thing that stands still varies by less
STEADY_SHARE = 0.8  # of a pixel's bare views that must be alike
OWN_SHARE = 0.15  # of an episode's frames in which a pixel must be bare
STEADY_PART = 0.2  # of a thing that must be steady: shadows pass over the rest
SHADE_SPREAD = 0.12  # of the logarithms of a pixel's channels: so evenly a shadow darkens
LEAST_THING_PX = 12
THING_EDGE_PX = 2


@dataclass(frozen=True)
class PlateConfig:
    """How a plate is built from frames and masks."""

    frames_per_episode: int = 60  # at most, spread evenly over the episode
    margin_px: int = 2  # masks are grown by this before they are left out
    min_views: int = 2  # a pixel seen bare less often is unknown

    def __post_init__(self) -> None:
        """Counts are positive."""
        if self.frames_per_episode < 1 or self.margin_px < 0 or self.min_views < 1:
            raise ConfigError("plate: frames_per_episode and min_views must be at least 1, margin_px at least 0")


def exposure_gains(
    frames: UInt8[Tensor, "t 3 h w"], reference: UInt8[Tensor, "3 h w"], hidden: Bool[Tensor, "t h w"] | None = None
) -> Float[Tensor, "t 3"]:
    """Per frame and channel, the factor that brings a frame to the reference's exposure.

    A median of ratios over pixels that are neither black nor burnt out, so that what moves hardly counts;
    `hidden` pixels do not count at all.
    """
    step = GAIN_PIXEL_STEP
    sampled = frames[:, :, ::step, ::step].to(torch.float32)
    target = reference[:, ::step, ::step].to(torch.float32)
    usable = (sampled > DARKEST) & (sampled < BRIGHTEST) & (target > DARKEST) & (target < BRIGHTEST)
    if hidden is not None:
        usable &= ~hidden[:, None, ::step, ::step]
    ratio = torch.where(usable, torch.log(target.clamp(min=1)) - torch.log(sampled.clamp(min=1)), torch.nan)
    gains = torch.nanmedian(ratio.flatten(2), -1).values
    enough = usable.flatten(2).sum(-1) >= 50
    return torch.where(enough, gains, torch.zeros_like(gains)).clamp(-0.7, 0.7).exp()


def apply_gains(frames: UInt8[Tensor, "t 3 h w"], gains: Float[Tensor, "t 3"]) -> UInt8[Tensor, "t 3 h w"]:
    """Frames at another exposure, rounded and clipped."""
    scaled = frames.to(torch.float32) * gains[:, :, None, None]
    return scaled.round_().clamp_(0, 255).to(torch.uint8)


def build_plate(
    frames: list[UInt8[Tensor, "_ 3 h w"]], masks: list[MaskTrajectory], config: PlateConfig | None = None
) -> Plate:
    """The scene without actor and object, from all episodes of one camera pose.

    Each pixel is the median over the frames in which no mask covers it, after every frame is brought to one
    exposure: the object's start place so comes from frames after it left, its end place from frames before it came.
    Pixels that are never bare are filled in from their surroundings and marked unknown.

    Raises:
        SegmentationError: no frames, or masks that do not fit them.
    """
    config = config or PlateConfig()
    if not frames or len(frames) != len(masks):
        raise SegmentationError(f"plate: {len(frames)} videos and {len(masks)} mask trajectories; give one each")
    samples, covers = [], []
    for index, (video, mask) in enumerate(zip(frames, masks, strict=True)):
        check_fits(mask, video, f"plate, video {index}")
        chosen = spread(video.shape[0], config.frames_per_episode)
        samples.append(video[chosen])
        covers.append(hidden_by(mask, config.margin_px, chosen))
    video, hidden = torch.cat(samples), torch.cat(covers)
    reference, _ = masked_median(video, hidden)
    even = apply_gains(video, exposure_gains(video, reference, hidden))
    image, views = masked_median(even, hidden)
    known = views >= min(config.min_views, video.shape[0])
    return Plate(image=fill_unknown(image, known), known=known)


def hidden_by(masks: MaskTrajectory, margin_px: int, frames: list[int]) -> Bool[Tensor, "n h w"]:
    """Where actor, object or their edges hide the scene, in some frames."""
    return dilate(masks.actor[frames] | masks.object[frames], 2 * margin_px + 1)


def own_plate(
    frames: UInt8[Tensor, "t 3 h w"], hidden: Bool[Tensor, "t h w"], common: Plate, min_views: int = 2
) -> tuple[Plate, Bool[Tensor, "h w"]]:
    """One episode's scene, at the exposure of its pose's `common` plate, and where it is not the common one.

    What stands about may be moved between episodes (a dish, a mark of the goal): where the episode steadily shows
    something else, its own frames count, and the common plate elsewhere. A shadow that comes and goes is not steady.
    """
    video = apply_gains(frames, exposure_gains(frames, common.image, hidden))
    image, views = masked_median(video, hidden)
    alike = (levels_apart(video, image) < STEADY_LEVELS) & ~hidden
    seen = views >= max(min_views, OWN_SHARE * len(frames))
    steady = seen & (alike.sum(0) >= STEADY_SHARE * views)
    differs = seen & (~common.known | (levels_apart(image, common.image) > OTHER_LEVELS))
    differs = mostly(differs & (steady | ~only_shade(image, common.image)), steady)
    edge = dilate(differs[None], 2 * THING_EDGE_PX + 1)[0] & seen
    own = differs | edge
    return Plate(torch.where(own, image, common.image), common.known | own), own


def other_things(first: Plate, second: Plate) -> Bool[Tensor, "h w"]:
    """Where two scenes of one camera pose, at one exposure, show different things."""
    apart = first.known & second.known & (levels_apart(first.image, second.image) > OTHER_LEVELS)
    return remove_specks(apart, LEAST_THING_PX)


def brought_into(
    frames: UInt8[Tensor, "t 3 h w"], hidden: Bool[Tensor, "t h w"], own: Plate, scene: Plate
) -> UInt8[Tensor, "t 3 h w"]:
    """Frames recorded in their `own` scene as if recorded in another one.

    Where the two differ and nothing hides it, they show the other one, at the exposure of each frame.
    """
    other = other_things(own, scene)
    if not bool(other.any()):
        return frames
    other = dilate(other[None], 2 * THING_EDGE_PX + 1)
    gains = exposure_gains(frames, own.image, hidden)
    shown = apply_gains(scene.image.expand(len(frames), -1, -1, -1), 1 / gains)
    return torch.where((other & ~hidden)[:, None], shown, frames)


def mostly(mask: Bool[Tensor, "h w"], sure: Bool[Tensor, "h w"]) -> Bool[Tensor, "h w"]:
    """The connected parts of a mask, specks aside, of which enough is sure."""
    _, labels, stats, _ = cv2.connectedComponentsWithStats(mask.numpy().astype(np.uint8), connectivity=8)
    agreed = np.bincount(labels[sure.numpy()], minlength=len(stats))
    kept = (stats[:, cv2.CC_STAT_AREA] >= LEAST_THING_PX) & (agreed >= STEADY_PART * stats[:, cv2.CC_STAT_AREA])
    kept[0] = False
    return torch.from_numpy(kept[labels])


def only_shade(image: UInt8[Tensor, "3 h w"], lit: UInt8[Tensor, "3 h w"]) -> Bool[Tensor, "h w"]:
    """Where a picture shows what the lit one shows, evenly darker."""
    share = ((image.float() + DARKEST) / (lit.float() + DARKEST)).log()
    return (share.mean(0) < 0) & (share.std(0) < SHADE_SPREAD)


def levels_apart(first: UInt8[Tensor, "*n 3 h w"], second: UInt8[Tensor, "3 h w"]) -> UInt8[Tensor, "*n h w"]:
    """By how much pixels differ from a picture in their most different channel, of 255."""
    return torch.maximum(first, second).sub(torch.minimum(first, second)).amax(-3)


def masked_median(
    frames: UInt8[Tensor, "t 3 h w"], hidden: Bool[Tensor, "t h w"]
) -> tuple[UInt8[Tensor, "3 h w"], UInt8[Tensor, "h w"]]:
    """Per pixel the median over frames that are not hidden there (0 where all are), and their number up to 255."""
    views = (~hidden).sum(0)
    masked = torch.where(hidden[:, None], 256, frames.to(torch.int16))
    ordered = masked.sort(0).values
    middle = ((views - 1).clamp(min=0) // 2)[None, None].expand(1, *ordered.shape[1:])
    image = ordered.gather(0, middle)[0]
    image = torch.where(views > 0, image, torch.zeros_like(image))
    return image.to(torch.uint8), views.clamp(max=255).to(torch.uint8)


def fill_unknown(image: UInt8[Tensor, "3 h w"], known: Bool[Tensor, "h w"]) -> UInt8[Tensor, "3 h w"]:
    """Unknown pixels painted in from their surroundings (Telea's method); a guess, never evidence."""
    if bool(known.all()) or not bool(known.any()):
        return image
    holes = (~known).numpy().astype(np.uint8)
    painted = cv2.inpaint(np.ascontiguousarray(image.permute(1, 2, 0).numpy()), holes, 3, cv2.INPAINT_TELEA)
    return torch.from_numpy(painted).permute(2, 0, 1).contiguous()


def composite(
    background: UInt8[Tensor, "t 3 h w"],
    foreground: UInt8[Tensor, "t 3 h2 w2"],
    region: Bool[Tensor, "t h w"],
    edge_px: float = 2.0,
) -> UInt8[Tensor, "t 3 h w"]:
    """Foreground inside the region, background outside, blended over a soft edge, at the background's size.

    The edge lies outside the region (which is shown whole); beyond `3 * edge_px` of it the background stays bit for
    bit.
    """
    height, width = background.shape[-2:]
    patch = foreground.to(torch.float32)
    if patch.shape[-2:] != (height, width):
        patch = functional.interpolate(patch, (height, width), mode="bicubic", align_corners=False, antialias=True)
    alpha = soft_edge(region, edge_px)[:, None]
    blended = alpha * patch + (1 - alpha) * background.to(torch.float32)
    blended = blended.round().clamp(0, 255).to(torch.uint8)
    return torch.where(alpha > 0, blended, background)


def soft_edge(region: Bool[Tensor, "t h w"], edge_px: float) -> Float[Tensor, "t h w"]:
    """1 inside the region, falling to 0 within `3 * edge_px` outside of it."""
    if edge_px <= 0:
        return region.to(torch.float32)
    reach = 3 * edge_px
    alphas = []
    for mask in region:
        distance = cv2.distanceTransform((~mask).numpy().astype(np.uint8), cv2.DIST_L2, cv2.DIST_MASK_PRECISE)
        distance = torch.from_numpy(distance) if bool(mask.any()) else torch.full(mask.shape, reach)
        falloff = 0.5 + 0.5 * torch.cos(torch.pi * (distance / reach).clamp(0, 1))
        alphas.append(torch.where(mask, torch.ones_like(falloff), falloff))
    return torch.stack(alphas)


def spread(length: int, count: int) -> list[int]:
    """At most `count` frame numbers spread evenly over `length` frames, both ends included."""
    if length <= count:
        return list(range(length))
    return sorted({round(index) for index in np.linspace(0, length - 1, count)})
