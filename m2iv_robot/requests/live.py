"""The live camera's frame: whether it is the view of the recorded episode, and where the object is in it now."""

from dataclasses import replace

import cv2
import torch
from jaxtyping import Bool, UInt8
from torch import Tensor

from m2iv_robot.annotate import AnnotationTask
from m2iv_robot.camera import median_frame, same_pose
from m2iv_robot.data.lerobot_io import read_episode
from m2iv_robot.errors import PromptError, RequestError
from m2iv_robot.masks import area, centroid
from m2iv_robot.requests.request import AugmentRequest, pixels_of
from m2iv_robot.segmentation import Prompt
from m2iv_robot.segmentation.prompts import carry_prompt, exemplar_of, prompted_region, read_mask
from m2iv_robot.types import Episode


def place_now(annotation: AnnotationTask, request: AugmentRequest) -> tuple[float, float]:
    """Centre of the object in the live frame, in pixels of the recorded images.

    Without a click, box, mask or text it is what looks like the object of the recorded episode.

    Raises:
        RequestError: the camera stands elsewhere than in that episode, or the object is not to be seen.
        PromptError: nothing stands out at the click, box or mask.
    """
    recorded = read_episode(annotation.dataset, request.episode, annotation.camera)
    height, width = recorded.frames.shape[-2:]
    live = pixels_of(request.live_frame)
    frame = resized(live, (height, width))
    if not same_pose(frame, median_frame(recorded.frames), annotation.camera_check):
        raise RequestError(
            f"the live camera does not stand where {annotation.camera} stood in episode {request.episode}: put it "
            "back, or name an episode of its present pose"
        )
    now = replace(recorded, frames=frame[None], state=None, action=None, extra={})
    region = region_now(annotation, request, recorded, now, width / live.shape[-1])
    return tuple(centroid(region).tolist())


def region_now(
    annotation: AnnotationTask, request: AugmentRequest, recorded: Episode, now: Episode, shrink: float
) -> Bool[Tensor, "h w"]:
    """The object's pixels in the one frame of `now`; clicks are in live pixels, `shrink` of them to a recorded one."""
    frame = now.frames[0]
    if request.object_text:
        return annotation.segmenter.segment(now, None, Prompt(text=request.object_text)).object[0]
    if request.object_xy:
        return prompted_region(frame, Prompt(click=tuple(value * shrink for value in request.object_xy)))
    if request.object_box:
        return prompted_region(frame, Prompt(box=tuple(value * shrink for value in request.object_box)))
    if request.object_mask:
        mask = read_mask(request.object_mask)[None].to(torch.uint8).expand(3, -1, -1)
        return resized(mask * 255, tuple(frame.shape[-2:]))[0] > 127
    masks = annotation.store.load(annotation.dataset.name, recorded.index, annotation.camera)
    shown = int(area(masks.object).argmax())
    try:
        looks = exemplar_of(recorded, Prompt(frame=shown, mask=masks.object[shown]))
        return carry_prompt(looks, now).mask
    except PromptError as error:
        raise RequestError(
            f"the live frame shows nothing like the object of episode {request.episode} ({error}); click on it"
        ) from error


def resized(image: UInt8[Tensor, "3 _ _"], size: tuple[int, int]) -> UInt8[Tensor, "3 h w"]:
    """The image at another size, (height, width)."""
    if tuple(image.shape[-2:]) == size:
        return image
    made = cv2.resize(image.permute(1, 2, 0).contiguous().numpy(), size[::-1], interpolation=cv2.INTER_AREA)
    return torch.from_numpy(made).permute(2, 0, 1)
