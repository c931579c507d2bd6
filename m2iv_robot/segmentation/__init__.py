"""Who moves and what is moved: segmenters behind one protocol, and the prompts that steer them."""

import importlib
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Protocol, runtime_checkable

from jaxtyping import Bool
from torch import Tensor

from m2iv_robot.config import parse
from m2iv_robot.errors import ConfigError, PromptError
from m2iv_robot.types import Episode, EpisodePhases, MaskTrajectory, Plate

SEGMENTERS = {  # name -> module, its config dataclass, its segmenter class
    "learned": ("m2iv_robot.segmentation.learned", "LearnedConfig", "LearnedSegmenter"),
    "motion": ("m2iv_robot.segmentation.motion", "MotionConfig", "MotionSegmenter"),
    "grounded_sam2": ("m2iv_robot.segmentation.grounded_sam2", "GroundedSam2Config", "GroundedSam2Segmenter"),
}


@dataclass(frozen=True)
class Prompt:
    """What is said about the object, in one frame of one episode; exactly one of the first four ways is given."""

    frame: int = 0
    click: tuple[float, float] | None = None  # (x, y) pixel on the object
    box: tuple[float, float, float, float] | None = None  # (left, top, right, bottom) pixels around the object
    mask: Bool[Tensor, "h w"] | None = None
    text: str = ""  # what the object is called
    rest: Bool[Tensor, "h w"] | None = None  # where the object should lie before and after, as far as that is known

    def __post_init__(self) -> None:
        """Exactly one way of saying it."""
        given = [self.click is not None, self.box is not None, self.mask is not None, bool(self.text)]
        if sum(given) != 1:
            raise PromptError(f"a prompt is one of click, box, mask and text, {sum(given)} are given; keep one")


@runtime_checkable
class Segmenter(Protocol):
    """Finds actor and object in every frame of an episode."""

    def segment(
        self,
        episode: Episode,
        plate: Plate | None = None,
        prompt: Prompt | None = None,
        phases: tuple[EpisodePhases, ...] = (),
    ) -> MaskTrajectory:
        """Masks and a confidence per frame.

        `plate` is the scene without actor and object where it is known, `phases` when the gripper holds something.

        Raises:
            SegmentationError: nothing is moved, or the object cannot be told.
            PromptError: the prompt does not fit the episode or the segmenter.
        """
        ...


def parse_segmentation(node: Mapping):
    """The config dataclass of the segmenter that the group's `name` asks for, checked.

    Raises:
        ConfigError: no such segmenter, or a bad value.
    """
    name = str(node.get("name", ""))
    if name not in SEGMENTERS:
        raise ConfigError(f"segmentation.name: unknown segmenter {name!r}; known are {', '.join(sorted(SEGMENTERS))}")
    module, schema, _ = SEGMENTERS[name]
    return parse(getattr(importlib.import_module(module), schema), node, "segmentation")


def load_segmenter(config) -> Segmenter:
    """A segmenter ready for use; `config` is what `parse_segmentation` returns and has the segmenter's `name`.

    Raises:
        ConfigError: no such segmenter.
        CheckpointError: its weights are missing or damaged.
    """
    if getattr(config, "name", None) not in SEGMENTERS:
        raise ConfigError(f"{type(config).__name__} names no segmenter; known are {', '.join(sorted(SEGMENTERS))}")
    module, _, segmenter = SEGMENTERS[config.name]
    return getattr(importlib.import_module(module), segmenter)(config)
