"""Prompts: a click, box, mask or text given once for a dataset, and carried to its other episodes by appearance."""

from dataclasses import dataclass, field
from pathlib import Path

import cv2
import numpy as np
import torch
from jaxtyping import Bool, Float32, UInt8
from torch import Tensor

from m2iv_robot.background import spread
from m2iv_robot.errors import ConfigError, PromptError
from m2iv_robot.segmentation import Prompt
from m2iv_robot.segmentation.change import histogram, lookup, outline, overlap
from m2iv_robot.segmentation.states import distance, to_lab
from m2iv_robot.types import Episode

CLICK_COLOUR = 16.0  # Lab distance from the colour under the click that is still the same thing
LARGEST_SHARE = 0.2  # of the frame; a larger region is no object but the background
LIKENESS = 0.45  # least histogram overlap with the prompted object
SIZE_RATIO = 4.0  # how much larger or smaller the object may look in another episode
FRAMES_SEARCHED = 6


@dataclass(frozen=True)
class PromptConfig:
    """What the person gives; all empty: the object is found from the episodes alone."""

    episode: int = 0  # the one that the person looked at
    frame: int = 0
    click: list[float] = field(default_factory=list)  # x, y
    box: list[float] = field(default_factory=list)  # left, top, right, bottom
    mask: str = ""  # an image, white (or label 2) on the object
    text: str = ""

    def __post_init__(self) -> None:
        """One kind of prompt at most, with the right number of coordinates."""
        given = [name for name in ("click", "box", "mask", "text") if getattr(self, name)]
        if len(given) > 1:
            raise ConfigError(f"prompt: {' and '.join(given)} are given; keep one")
        if self.click and len(self.click) != 2:
            raise ConfigError(f"prompt.click is [x,y], got {list(self.click)}")
        if self.box and len(self.box) != 4:
            raise ConfigError(f"prompt.box is [left,top,right,bottom], got {list(self.box)}")

    @property
    def empty(self) -> bool:
        """Nothing is prompted."""
        return not (self.click or self.box or self.mask or self.text)


def read_prompt(config: PromptConfig, episode: Episode) -> Prompt:
    """The prompt for the episode that the person looked at, checked against its frames.

    Raises:
        PromptError: the frame does not exist, the prompt is outside the frame, or the mask image does not fit.
    """
    prompt = Prompt(
        frame=config.frame,
        click=tuple(config.click) if config.click else None,
        box=tuple(config.box) if config.box else None,
        mask=read_mask(config.mask) if config.mask else None,
        text=config.text,
    )
    check_prompt(prompt, episode)
    return prompt


def read_mask(path: str) -> Bool[Tensor, "h w"]:
    """The object's pixels in a mask image: label 2 where the image holds labels, else everything bright.

    Raises:
        PromptError: no such image.
    """
    image = cv2.imread(str(Path(path).expanduser()), cv2.IMREAD_GRAYSCALE)
    if image is None:
        raise PromptError(f"{path}: no image that can be read; prompt.mask is the path of a PNG")
    if image.max() <= 3:
        return torch.from_numpy(image == 2)
    return torch.from_numpy(image > 127)


def check_prompt(prompt: Prompt, episode: Episode) -> None:
    """Make sure that a prompt is inside an episode.

    Raises:
        PromptError: it is not.
    """
    where = f"{episode.dataset} episode {episode.index}, {episode.camera}"
    height, width = episode.frames.shape[-2:]
    if not 0 <= prompt.frame < episode.length:
        raise PromptError(f"{where}: no frame {prompt.frame}; prompt.frame is 0 to {episode.length - 1}")
    if prompt.click is not None:
        x, y = prompt.click
        if not (0 <= x < width and 0 <= y < height):
            raise PromptError(f"{where}: the click ({x:g}, {y:g}) is outside the frame, which is {width}x{height}")
    if prompt.box is not None:
        left, top, right, bottom = prompt.box
        if not (0 <= left < right <= width and 0 <= top < bottom <= height):
            raise PromptError(
                f"{where}: the box {list(prompt.box)} is not [left,top,right,bottom] inside the {width}x{height} frame"
            )
    if prompt.mask is not None:
        if tuple(prompt.mask.shape) != (height, width):
            size = f"{prompt.mask.shape[1]}x{prompt.mask.shape[0]}"
            raise PromptError(f"{where}: the mask is {size}, the frame {width}x{height}; draw it at the frame's size")
        if not prompt.mask.any():
            raise PromptError(f"{where}: the mask holds no object pixel; paint the object white")


def check_drawn(prompt: Prompt | None, episode: Episode) -> None:
    """Make sure that a prompt, if there is one, is drawn inside an episode: for segmenters that cannot read.

    Raises:
        PromptError: it is a text, or outside the episode.
    """
    if prompt is None:
        return
    if prompt.text:
        where = f"{episode.dataset} episode {episode.index}, {episode.camera}"
        raise PromptError(f"{where}: a text prompt needs segmentation=grounded_sam2; give a click, box or mask")
    check_prompt(prompt, episode)


def prompted_region(frame: UInt8[Tensor, "3 h w"], prompt: Prompt) -> Bool[Tensor, "h w"]:
    """The pixels of the thing that a click, box or mask means in its frame.

    Raises:
        PromptError: nothing stands out there, or the prompt is a text.
    """
    if prompt.mask is not None:
        return prompt.mask
    if prompt.text:
        raise PromptError("a text prompt needs segmentation=grounded_sam2; give a click, box or mask")
    lab = to_lab(frame)
    region = region_in_box(lab, prompt.box) if prompt.box is not None else region_at(lab, prompt.click)
    share = region.mean()
    if region.sum() < 6 or share > LARGEST_SHARE:
        raise PromptError(
            f"frame {prompt.frame}: no single thing stands out at the prompt ({share:.0%} of the frame looks alike "
            "there); give a box or a mask"
        )
    return torch.from_numpy(region)


def region_at(lab: Float32[np.ndarray, "h w 3"], click: tuple[float, float]) -> Bool[np.ndarray, "h w"]:
    """What looks like the clicked pixel and is connected to it, drawn to its edges."""
    height, width = lab.shape[:2]
    x, y = min(round(click[0]), width - 1), min(round(click[1]), height - 1)
    patch = lab[max(y - 1, 0) : y + 2, max(x - 1, 0) : x + 2].reshape(-1, 3)
    colour = np.median(patch, 0)
    alike = (distance(lab, np.broadcast_to(colour, lab.shape)) < CLICK_COLOUR).astype(np.uint8)
    alike = cv2.morphologyEx(alike, cv2.MORPH_CLOSE, np.ones((3, 3), np.uint8))
    alike[y, x] = 1
    _, labels = cv2.connectedComponents(alike, connectivity=4)
    region = labels == labels[y, x]
    if region.mean() > LARGEST_SHARE:
        return region
    return outline(lab, region, np.zeros_like(region))


def region_in_box(lab: Float32[np.ndarray, "h w 3"], box: tuple[float, float, float, float]) -> Bool[np.ndarray, "h w"]:
    """What differs inside a box from what is around it (GrabCut); all of the box where nothing does."""
    left, top, right, bottom = (round(value) for value in box)
    inside = np.zeros(lab.shape[:2], bool)
    inside[top:bottom, left:right] = True
    middle = np.zeros_like(inside)
    dx, dy = max(1, (right - left) // 6), max(1, (bottom - top) // 6)
    middle[top + dy : bottom - dy, left + dx : right - dx] = True
    drawn = outline(lab, middle, inside) & inside if middle.any() else inside
    return drawn if drawn.sum() > 0.1 * inside.sum() else inside


@dataclass(frozen=True)
class Exemplar:
    """The prompted object as it looks in the prompted episode."""

    colours: Float32[np.ndarray, "l a b"]
    scene_colours: Float32[np.ndarray, "l a b"]
    area_px: int


def exemplar_of(episode: Episode, prompt: Prompt) -> Exemplar:
    """What to look for in other episodes.

    Raises:
        PromptError: nothing stands out at the prompt.
    """
    frame = episode.frames[prompt.frame]
    region = prompted_region(frame, prompt).numpy()
    lab = to_lab(frame)
    return Exemplar(histogram(lab[region]), histogram(lab[~region]), int(region.sum()))


def carry_prompt(exemplar: Exemplar, episode: Episode) -> Prompt:
    """The prompt for another episode: the part of one of its frames that looks most like the exemplar.

    Early and late frames are searched, since the object may be hidden in some; the part must be of similar size.

    Raises:
        PromptError: nothing there looks like it.
    """
    best = (0.0, 0, None)
    for frame in spread(episode.length, FRAMES_SEARCHED):
        for likeness, region in alike_regions(to_lab(episode.frames[frame]), exemplar):
            if likeness > best[0] + (0.05 if best[2] is not None else 0.0):
                best = (likeness, frame, region)
    if best[2] is None or best[0] < LIKENESS:
        raise PromptError(
            f"{episode.dataset} episode {episode.index}, {episode.camera}: nothing looks like the prompted object "
            f"(best likeness {best[0]:.2f}, needed {LIKENESS}); give this episode a prompt of its own"
        )
    return Prompt(frame=best[1], mask=torch.from_numpy(best[2]))


def alike_regions(lab: Float32[np.ndarray, "h w 3"], exemplar: Exemplar) -> list[tuple[float, Bool[np.ndarray, "h w"]]]:
    """Parts of a frame in the exemplar's colours, with their likeness in [0, 1]."""
    own, other = lookup(exemplar.colours, lab), lookup(exemplar.scene_colours, lab)
    share = own / (own + other + 1e-5)
    mask = (cv2.GaussianBlur(share.astype(np.float32), (0, 0), 1.0) > 0.4).astype(np.uint8)
    mask = cv2.morphologyEx(mask, cv2.MORPH_CLOSE, np.ones((3, 3), np.uint8))
    _, labels, stats, _ = cv2.connectedComponentsWithStats(mask, connectivity=8)
    found = []
    for label in range(1, len(stats)):
        area = stats[label, cv2.CC_STAT_AREA]
        if not exemplar.area_px / SIZE_RATIO <= area <= exemplar.area_px * SIZE_RATIO:
            continue
        region = labels == label
        size = min(area, exemplar.area_px) / max(area, exemplar.area_px)
        found.append((overlap(histogram(lab[region]), exemplar.colours) * size**0.25, region))
    return found
