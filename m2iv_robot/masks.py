"""What masks can do: move, measure, compare, grow, and change into colours or label images and back."""

import cv2
import numpy as np
import torch
from jaxtyping import Bool, Float, Int, Int64, UInt8
from torch import Tensor
from torch.nn import functional

from m2iv_robot.errors import SegmentationError
from m2iv_robot.types import MaskTrajectory

BACKGROUND, ACTOR, OBJECT, IGNORE = 0, 1, 2, 255
CONTACT_KERNEL_PX = 7  # Mask2IV's dilation


def area(masks: Bool[Tensor, "*b h w"]) -> Int64[Tensor, " *b"]:
    """Number of pixels of each mask."""
    return masks.flatten(-2).sum(-1)


def centroid(masks: Bool[Tensor, "*b h w"]) -> Float[Tensor, "*b 2"]:
    """Mean (x, y) of each mask's pixels; NaN where a mask is empty."""
    height, width = masks.shape[-2:]
    weights = masks.to(torch.float64)
    x = (weights.sum(-2) * torch.arange(width, device=masks.device, dtype=torch.float64)).sum(-1)
    y = (weights.sum(-1) * torch.arange(height, device=masks.device, dtype=torch.float64)).sum(-1)
    return (torch.stack([x, y], -1) / area(masks).unsqueeze(-1)).to(torch.float32)


def bounding_box(mask: Bool[Tensor, "h w"]) -> tuple[int, int, int, int] | None:
    """Smallest (left, top, right, bottom), the last two exclusive; None for an empty mask."""
    rows, columns = torch.where(mask)
    if rows.numel() == 0:
        return None
    return int(columns.min()), int(rows.min()), int(columns.max()) + 1, int(rows.max()) + 1


def iou(first: Bool[Tensor, "*b h w"], second: Bool[Tensor, "*b h w"]) -> Float[Tensor, " *b"]:
    """Intersection over union of each pair; 1 where both masks are empty."""
    union = area(first | second)
    ratio = area(first & second).to(torch.float32) / union.clamp(min=1)
    return torch.where(union == 0, torch.ones_like(ratio), ratio)


def shift(masks: Bool[Tensor, "*b h w"], shift_px: tuple[float, float], scale: float = 1.0) -> Bool[Tensor, "*b h w"]:
    """Move masks by (x, y) pixels and scale each about its own centroid; what leaves the frame is lost.

    Whole-pixel shifts at scale 1 copy pixels exactly; others sample the mask between pixels and cut at one half.
    """
    height, width = masks.shape[-2:]
    flat = masks.reshape(-1, 1, height, width)
    centre = torch.nan_to_num(centroid(flat[:, 0]))
    y, x = torch.meshgrid(
        torch.arange(height, device=masks.device, dtype=torch.float32),
        torch.arange(width, device=masks.device, dtype=torch.float32),
        indexing="ij",
    )
    target = torch.stack([x, y], -1).expand(flat.shape[0], height, width, 2)
    centre = centre[:, None, None, :]
    moved = torch.tensor(shift_px, device=masks.device, dtype=torch.float32)
    source = target - moved if scale == 1.0 else (target - centre - moved) / scale + centre
    size = torch.tensor([width, height], device=masks.device, dtype=torch.float32)
    grid = (2 * source + 1) / size - 1
    sampled = functional.grid_sample(flat.to(torch.float32), grid, padding_mode="zeros", align_corners=False)
    return (sampled[:, 0] > 0.499).reshape(masks.shape)


def dilate(masks: Bool[Tensor, "*b h w"], kernel_px: int) -> Bool[Tensor, "*b h w"]:
    """Grow masks by a square kernel of odd side `kernel_px`."""
    if kernel_px < 1 or kernel_px % 2 == 0:
        raise ValueError(f"kernel_px must be odd and positive, got {kernel_px}")
    height, width = masks.shape[-2:]
    flat = masks.reshape(-1, 1, height, width).to(torch.float32)
    reach = kernel_px // 2
    columns = functional.max_pool2d(flat, (kernel_px, 1), stride=1, padding=(reach, 0))
    grown = functional.max_pool2d(columns, (1, kernel_px), stride=1, padding=(0, reach))
    return (grown > 0.5).reshape(masks.shape)


def erode(masks: Bool[Tensor, "*b h w"], kernel_px: int) -> Bool[Tensor, "*b h w"]:
    """Shrink masks by a square kernel of odd side `kernel_px`; the frame's border does not shrink them."""
    return ~dilate(~masks, kernel_px)


def contact_map(
    actor: Bool[Tensor, "*b h w"], object_: Bool[Tensor, "*b h w"], kernel_px: int = CONTACT_KERNEL_PX
) -> Bool[Tensor, "*b h w"]:
    """Where actor and object touch: (dilated actor and object) or (actor and dilated object).

    Source: Mask2IV, equation 1.
    """
    return (dilate(actor, kernel_px) & object_) | (actor & dilate(object_, kernel_px))


def components(mask: Bool[Tensor, "h w"]) -> Bool[Tensor, "n h w"]:
    """The connected parts (8 neighbours) of a mask, largest first."""
    count, labels, stats, _ = cv2.connectedComponentsWithStats(mask.cpu().numpy().astype(np.uint8), connectivity=8)
    order = sorted(range(1, count), key=lambda label: -stats[label, cv2.CC_STAT_AREA])
    parts = [torch.from_numpy(labels == label) for label in order]
    return torch.stack(parts).to(mask.device) if parts else mask.new_zeros((0, *mask.shape))


def largest_component(mask: Bool[Tensor, "h w"]) -> Bool[Tensor, "h w"]:
    """The largest connected part of a mask; an empty mask stays empty."""
    parts = components(mask)
    return parts[0] if len(parts) else torch.zeros_like(mask)


def main_part(mask: Bool[Tensor, "h w"]) -> Bool[Tensor, "h w"]:
    """The largest connected part with those no further from it than its own longer side.

    A finger in front of an object parts it into near pieces; what is far is something else.
    """
    parts = components(mask)
    if len(parts) < 2:
        return mask
    left, top, right, bottom = bounding_box(parts[0])
    return touching(mask, dilate(parts[:1], 2 * max(right - left, bottom - top) + 1)[0])


def touching(mask: Bool[Tensor, "h w"], hint: Bool[Tensor, "h w"]) -> Bool[Tensor, "h w"]:
    """The parts of a mask that the hint touches."""
    parts = [part for part in components(mask) if bool((part & hint).any())]
    return torch.stack(parts).any(0) if parts else torch.zeros_like(mask)


def remove_specks(mask: Bool[Tensor, "h w"], min_area_px: int) -> Bool[Tensor, "h w"]:
    """Drop connected parts smaller than `min_area_px`."""
    _count, labels, stats, _ = cv2.connectedComponentsWithStats(mask.cpu().numpy().astype(np.uint8), connectivity=8)
    keep = stats[:, cv2.CC_STAT_AREA] >= min_area_px
    keep[0] = False
    return torch.from_numpy(keep[labels]).to(mask.device)


def from_nearest(numbers: Int[np.ndarray, "h w"]) -> Int[np.ndarray, "h w"]:
    """Every pixel's number, or for one that has none (below 0) that of the nearest pixel that has one."""
    empty = (numbers < 0).astype(np.uint8)
    _, labels = cv2.distanceTransformWithLabels(empty, cv2.DIST_L2, cv2.DIST_MASK_5, labelType=cv2.DIST_LABEL_PIXEL)
    lookup = np.zeros(labels.max() + 1, numbers.dtype)
    lookup[labels[empty == 0]] = numbers[empty == 0]
    return lookup[labels]


def fill_holes(mask: Bool[Tensor, "h w"], max_area_px: int) -> Bool[Tensor, "h w"]:
    """Fill background parts enclosed by the mask and no larger than `max_area_px`; parts at the border stay open."""
    _hole_count, labels, stats, _ = cv2.connectedComponentsWithStats(
        (~mask).cpu().numpy().astype(np.uint8), connectivity=4
    )
    height, width = mask.shape
    left, top = stats[:, cv2.CC_STAT_LEFT], stats[:, cv2.CC_STAT_TOP]
    right, bottom = left + stats[:, cv2.CC_STAT_WIDTH], top + stats[:, cv2.CC_STAT_HEIGHT]
    inside = (left > 0) & (top > 0) & (right < width) & (bottom < height)
    fill = inside & (stats[:, cv2.CC_STAT_AREA] <= max_area_px)
    fill[0] = False
    return mask | torch.from_numpy(fill[labels]).to(mask.device)


def trajectory(
    actor: Bool[Tensor, "t h w"], object_: Bool[Tensor, "t h w"], confidence: Float[Tensor, " t"]
) -> MaskTrajectory:
    """A MaskTrajectory whose masks do not overlap: pixels claimed by both belong to the actor."""
    return MaskTrajectory(actor=actor, object=object_ & ~actor, confidence=confidence)


def colour_code(masks: MaskTrajectory) -> Float[Tensor, "t 3 h w"]:
    """Object red, actor green, background black, in [0, 1]."""
    blue = torch.zeros_like(masks.actor)
    return torch.stack([masks.object, masks.actor, blue], 1).to(torch.float32)


def colour_decode(video: Float[Tensor, "t 3 h w"], threshold: float = 0.5) -> MaskTrajectory:
    """Masks of a colour-coded video; the stronger colour wins, and confidence is how clear the colours are."""
    red, green = video[:, 0], video[:, 1]
    actor = (green > threshold) & (green >= red)
    object_ = (red > threshold) & (red > green)
    margin = (torch.stack([red, green]).clamp(0, 1) - threshold).abs().amin(0).flatten(1)
    confidence = (margin.mean(1) / max(threshold, 1 - threshold)).clamp(0, 1)
    return MaskTrajectory(actor, object_, confidence.to(torch.float32))


def to_labels(actor: Bool[Tensor, "*b h w"], object_: Bool[Tensor, "*b h w"]) -> UInt8[Tensor, "*b h w"]:
    """Label image: 0 background, 1 actor, 2 object; the actor wins where both are set."""
    labels = torch.where(object_, OBJECT, BACKGROUND)
    return torch.where(actor, ACTOR, labels).to(torch.uint8)


def from_labels(
    labels: UInt8[Tensor, "*b h w"],
) -> tuple[Bool[Tensor, "*b h w"], Bool[Tensor, "*b h w"], Bool[Tensor, "*b h w"]]:
    """Actor, object and ignored pixels of a label image.

    Raises:
        SegmentationError: the image holds another value than 0, 1, 2 and 255.
    """
    actor, object_, ignored = labels == ACTOR, labels == OBJECT, labels == IGNORE
    other = ~(actor | object_ | ignored | (labels == BACKGROUND))
    if other.any():
        value = int(labels[other][0])
        raise SegmentationError(f"label image holds the value {value}; use 0 background, 1 actor, 2 object, 255 ignore")
    return actor, object_, ignored


def resize(masks: Bool[Tensor, "*b _ _"], height: int, width: int) -> Bool[Tensor, "*b {height} {width}"]:
    """Masks at another size: area average cut at one half."""
    flat = masks.reshape(-1, 1, *masks.shape[-2:]).to(torch.float32)
    resized = functional.interpolate(flat, (height, width), mode="bilinear", align_corners=False, antialias=True)
    return (resized > 0.499).reshape(*masks.shape[:-2], height, width)


def check_fits(
    masks: MaskTrajectory, frames: UInt8[Tensor, "t2 3 h2 w2"] | Int[Tensor, "t2 3 h2 w2"], where: str
) -> None:
    """Make sure that masks belong to these frames.

    Raises:
        SegmentationError: another number of frames or another size; `where` names the episode in the message.
    """
    wanted = (frames.shape[0], *frames.shape[2:])
    for part, mask in (("actor", masks.actor), ("object", masks.object)):
        if tuple(mask.shape) != wanted:
            raise SegmentationError(
                f"{where}: {part} masks are {tuple(mask.shape)} (frames, height, width), the video is {wanted}; "
                "delete the masks and annotate again, or bring them to the video's size"
            )
