"""Running the trained segmenter over an episode: sizes, batches, what it is told, and what that makes."""

from dataclasses import dataclass

import cv2
import numpy as np
import torch
from jaxtyping import Bool, Float, Float16, UInt8
from torch import Tensor

from m2iv_robot.masks import fill_holes, remove_specks, resize, trajectory
from m2iv_robot.models.segmenter import STRIDE, Reference, Segmenter, SegmenterInput
from m2iv_robot.segmentation import Prompt
from m2iv_robot.types import MaskTrajectory, Plate

CLICK_RADIUS_PX = 4  # of the blob that stands for a click, as in training
BATCH = 8  # frames at a time


@dataclass(frozen=True)
class Target:
    """Which thing is the object: its mask in one frame, and where it rests before and after, as far as known."""

    frame: UInt8[Tensor, "3 h w"]
    mask: Bool[Tensor, "h w"]
    rest: Bool[Tensor, "h w"]


def working_size(height: int, width: int, pixels: int) -> tuple[int, int]:
    """Height and width that the network sees: about `pixels` in all, multiples of its stride, nearly the same shape."""
    scale = (pixels / (height * width)) ** 0.5
    rows, columns = (max(STRIDE, STRIDE * round(side * scale / STRIDE)) for side in (height, width))
    return rows, columns


def shrink(images: UInt8[Tensor, "t 3 _ _"], height: int, width: int) -> UInt8[Tensor, "t 3 {height} {width}"]:
    """Images at another size, without aliasing."""
    if images.shape[-2:] == (height, width):
        return images
    out = np.empty((images.shape[0], height, width, 3), np.uint8)
    smaller = height * width < images.shape[-2] * images.shape[-1]
    for index, image in enumerate(images):
        picture = np.ascontiguousarray(image.permute(1, 2, 0).numpy())
        out[index] = cv2.resize(picture, (width, height), interpolation=cv2.INTER_AREA if smaller else cv2.INTER_LINEAR)
    return torch.from_numpy(out).permute(0, 3, 1, 2).contiguous()


def click_hint(x: float, y: float, height: int, width: int) -> Bool[Tensor, "{height} {width}"]:
    """The blob that stands for a click, as the network was trained with."""
    hint = np.zeros((height, width), np.uint8)
    cv2.circle(hint, (round(x), round(y)), CLICK_RADIUS_PX, 1, -1)
    return torch.from_numpy(hint > 0)


def network_input(
    frames: UInt8[Tensor, "b 3 h w"],
    plate: Plate,
    hint: Bool[Tensor, "h w"] | None,
    rest: Bool[Tensor, "h w"] | None,
    device: torch.device,
) -> SegmenterInput:
    """What the network is told; the same plate, hint and rest for every frame."""
    count, _, height, width = frames.shape

    def channel(mask: Bool[Tensor, "h w"] | None) -> Float[Tensor, "b 1 h w"]:
        plane = torch.zeros(height, width) if mask is None else mask.float()
        return plane.to(device).expand(count, 1, height, width).contiguous(memory_format=torch.channels_last)

    known = channel(plate.known)
    scene = plate.image.to(device).float() / 255 * known[0]
    return SegmenterInput(
        frame=(frames.to(device).float() / 255).contiguous(memory_format=torch.channels_last),
        plate=scene.expand(count, 3, height, width).contiguous(memory_format=torch.channels_last),
        known=known,
        hint=channel(hint),
        rest=channel(rest),
    )


def repeat(reference: Reference, count: int) -> Reference:
    """The same reference for each of `count` frames."""
    return Reference(
        *(
            getattr(reference, name).expand(count, *getattr(reference, name).shape[1:])
            for name in ("object_points", "object_valid", "background_points", "background_valid")
        )
    )


@torch.inference_mode()
def predict(
    network: Segmenter,
    frames: UInt8[Tensor, "t 3 h w"],
    plate: Plate,
    target: Target | None = None,
    hint: Bool[Tensor, "h w"] | None = None,
) -> Float16[Tensor, "t 2 h w"]:
    """Probabilities of actor and object in every frame, in [0, 1]; `plate` has the frames' size."""
    device = next(network.parameters()).device
    with torch.autocast(device.type, torch.bfloat16):
        if target is None:
            rest, mask, given = (
                None,
                torch.zeros_like(plate.known),
                network_input(frames[:1], plate, None, None, device),
            )
        else:
            rest, mask = target.rest, target.mask
            given = network_input(target.frame[None], plate, target.mask, rest, device)
        scene, _ = network.features(given)
        reference = network.remember(scene, mask[None, None].float().to(device))
        out = torch.empty(frames.shape[0], 2, *frames.shape[-2:], dtype=torch.float16)
        for first in range(0, frames.shape[0], BATCH):
            batch = frames[first : first + BATCH]
            scene, fine = network.features(network_input(batch, plate, hint, rest, device))
            logits = network.decode(scene, fine, repeat(reference, len(batch)))
            out[first : first + BATCH] = logits.float().softmax(1)[:, 1:].half().cpu()
    return out


def hint_of(prompt: Prompt, given_on: tuple[int, int], size: tuple[int, int]) -> Bool[Tensor, "h w"]:
    """A prompt as a mask at working size; `given_on` is the size of the frames that it was given on."""
    rows, columns = size[0] / given_on[0], size[1] / given_on[1]
    if prompt.mask is not None:
        return resize(prompt.mask, *size)
    if prompt.click is not None:
        return click_hint(prompt.click[0] * columns, prompt.click[1] * rows, *size)
    left, top, right, bottom = prompt.box
    hint = torch.zeros(size, dtype=torch.bool)
    hint[round(top * rows) : max(round(bottom * rows), 1), round(left * columns) : max(round(right * columns), 1)] = (
        True
    )
    return hint


def decide(probabilities: Float16[Tensor, "t 2 h w"], least: int) -> MaskTrajectory:
    """Masks from probabilities: the likeliest class of each pixel, without specks and pinholes."""
    values = probabilities.float()
    actor_p, object_p = values[:, 0], values[:, 1]
    nothing_p = 1 - actor_p - object_p
    actor = (actor_p > object_p) & (actor_p > nothing_p)
    object_ = (object_p >= actor_p) & (object_p > nothing_p)
    actor = torch.stack([fill_holes(remove_specks(mask, 3 * least), least) for mask in actor])
    object_ = torch.stack([remove_specks(mask, max(3, least // 3)) for mask in object_]) & ~actor
    sure = values.amax(1).clamp(min=0.5)
    either = actor | object_
    confidence = (sure * either).sum((1, 2)) / either.sum((1, 2)).clamp(min=1)
    return trajectory(actor, object_, (2 * confidence - 1).clamp(0, 1))
