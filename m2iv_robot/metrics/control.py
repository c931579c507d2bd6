"""Did it land where asked: numbers from masks that were segmented again in the generated frames.

`actor` and `object_` here are always what a segmenter sees in the generated video, never the masks it was made from.
Every function gives one number per clip.
"""

from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from m2iv_robot import masks

PART_AREA_SHARE = 0.25  # a second part counts from this share of the object's area on


@dataclass(frozen=True)
class ControlFigures:
    """All control figures of a batch of clips."""

    placement_error_widths: Float[Tensor, " b"]
    final_iou: Float[Tensor, " b"]
    contact_share: Float[Tensor, " b"]
    present_share: Float[Tensor, " b"]
    doubled_share: Float[Tensor, " b"]
    left_behind_share: Float[Tensor, " b"]


def measure_control(
    actor: Bool[Tensor, "b t h w"],
    object_: Bool[Tensor, "b t h w"],
    start: Bool[Tensor, "b h w"],
    requested: Bool[Tensor, "b h w"],
    carry: Bool[Tensor, "b t"],
) -> ControlFigures:
    """Every figure at once; `start` and `requested` are the whole object's masks, `carry` the frames it is held in."""
    return ControlFigures(
        placement_error_widths(object_[:, -1], requested),
        masks.iou(object_[:, -1], requested),
        contact_share(actor, object_, carry),
        present_share(object_),
        doubled_share(object_, requested),
        left_behind_share(object_[:, -1], start, requested, actor[:, -1]),
    )


def width_px(mask: Bool[Tensor, "b h w"]) -> Float[Tensor, " b"]:
    """Columns from a mask's leftmost to its rightmost pixel, both included; 0 for an empty mask."""
    columns = mask.any(-2)
    first = columns.int().argmax(-1)
    last = columns.shape[-1] - 1 - columns.flip(-1).int().argmax(-1)
    return torch.where(columns.any(-1), last - first + 1, torch.zeros_like(first)).to(torch.float32)


def placement_error_widths(
    final_object: Bool[Tensor, "b h w"], requested: Bool[Tensor, "b h w"]
) -> Float[Tensor, " b"]:
    """Distance between the centroids of the last frame's object and the requested one, in requested widths.

    Infinite where the object is gone: a lost object must not drop out of a median.
    """
    distance = (masks.centroid(final_object) - masks.centroid(requested)).norm(dim=-1)
    error = distance / width_px(requested)
    return torch.where(masks.area(final_object) == 0, torch.full_like(error, torch.inf), error)


def contact_share(
    actor: Bool[Tensor, "b t h w"],
    object_: Bool[Tensor, "b t h w"],
    carry: Bool[Tensor, "b t"],
    kernel_px: int = masks.CONTACT_KERNEL_PX,
) -> Float[Tensor, " b"]:
    """Share of the carry's frames in which actor and object, each grown by the kernel, overlap the other.

    A frame in which either is not seen has no contact; NaN for a clip without carry.
    """
    touching = masks.contact_map(actor, object_, kernel_px).flatten(2).any(-1)
    return (touching & carry).sum(1) / carry.sum(1)


def present_share(object_: Bool[Tensor, "b t h w"]) -> Float[Tensor, " b"]:
    """Share of frames in which any of the object is seen."""
    return object_.flatten(2).any(-1).float().mean(1)


def is_doubled(object_: Bool[Tensor, "h w"], area_px: float, apart_px: float) -> bool:
    """Whether one frame shows two objects: a second large part, further than `apart_px` from the largest.

    A gripper's finger in front of the object also makes two parts, but near ones.
    """
    parts = masks.components(object_)
    large = parts[masks.area(parts) >= PART_AREA_SHARE * area_px]
    if len(large) < 2:
        return False
    centres = masks.centroid(large)
    return bool(((centres[1:] - centres[0]).norm(dim=-1) > apart_px).any())


def doubled_share(object_: Bool[Tensor, "b t h w"], whole: Bool[Tensor, "b h w"]) -> Float[Tensor, " b"]:
    """Share of frames that show the object twice; `whole` is the object unoccluded, for its area and width."""
    areas, widths = masks.area(whole).float().tolist(), width_px(whole).tolist()
    doubled = [
        [is_doubled(frame, area, width) for frame in clip]
        for clip, area, width in zip(object_, areas, widths, strict=True)
    ]
    return torch.tensor(doubled, dtype=torch.float32, device=object_.device).mean(1)


def left_behind_share(
    final_object: Bool[Tensor, "b h w"],
    start: Bool[Tensor, "b h w"],
    requested: Bool[Tensor, "b h w"],
    final_actor: Bool[Tensor, "b h w"],
) -> Float[Tensor, " b"]:
    """Share of the vacated place in which the last frame's object mask still is; NaN where nothing is vacated.

    The vacated place is where the object started, less where it was asked to be and what the actor hides.
    """
    vacated = start & ~requested & ~final_actor
    return masks.area(final_object & vacated) / masks.area(vacated)


def ghost_strength(
    final_frame: Float[Tensor, "b 3 h w"],
    first_frame: Float[Tensor, "b 3 h w"],
    plate: Float[Tensor, "b 3 h w"],
    vacated: Bool[Tensor, "b h w"],
) -> Float[Tensor, " b"]:
    """How much of the object still shines through at the place it left, from colours: 0 the plate, 1 the object.

    Least-squares share s in final = plate + s (first - plate) over the vacated pixels (known in the plate, not
    hidden by the actor). A segmenter may miss a faint ghost; this does not. NaN where object and plate look the same.
    """
    object_colour = (first_frame - plate) * vacated[:, None]
    shown = ((final_frame - plate) * object_colour).flatten(1).sum(1)
    return shown / object_colour.square().flatten(1).sum(1)
