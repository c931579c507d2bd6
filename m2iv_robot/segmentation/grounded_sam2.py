"""Grounding DINO finds robot and things by name, SAM 2 follows them, and what moves most is the object.

Needs the package `transformers`; the weights come from the Hugging Face hub on first use.
"""

import importlib
import logging
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from jaxtyping import Bool, Float
from torch import Tensor

from m2iv_robot.background import spread
from m2iv_robot.errors import CheckpointError, ConfigError, SegmentationError
from m2iv_robot.masks import area, iou, trajectory
from m2iv_robot.segmentation import Prompt
from m2iv_robot.segmentation.prompts import check_prompt
from m2iv_robot.types import Episode, EpisodePhases, MaskTrajectory, Plate

logger = logging.getLogger(__name__)

ACTOR_ID = 1  # of the tracked things; objects follow


@dataclass(frozen=True)
class GroundedSam2Config:
    """Settings of Grounding DINO and SAM 2."""

    name: str = "grounded_sam2"
    detector: str = "IDEA-Research/grounding-dino-tiny"  # hub name or folder
    tracker: str = "facebook/sam2.1-hiera-tiny"
    device: str = "cpu"
    actor_text: str = "robot arm. robotic gripper."
    object_text: str = "object. block. cup. bowl. pot. plate. toy. fruit. cloth. bottle."
    box_threshold: float = 0.3
    text_threshold: float = 0.25
    max_objects: int = 8  # tracked at once
    max_box_share: float = 0.25  # of the frame; a larger box is furniture
    spaced_frames: int = 5  # between which the temporal IoU is taken
    still_iou: float = 0.9  # an object whose masks overlap more has not been moved
    min_object_share: float = 0.0004

    def __post_init__(self) -> None:
        for name in ("box_threshold", "text_threshold", "max_box_share", "still_iou", "min_object_share"):
            if not 0 <= getattr(self, name) <= 1:
                raise ConfigError(f"segmentation.{name} must be in [0, 1], got {getattr(self, name)}")
        if self.max_objects < 1 or self.spaced_frames < 2:
            raise ConfigError("segmentation: max_objects must be at least 1 and spaced_frames at least 2")


@dataclass(frozen=True)
class Tracks:
    """Masks of several things over a video, and how sure the tracker is that each is there."""

    masks: Bool[Tensor, "n t h w"]
    sure: Float[Tensor, "n t"]


class GroundedSam2Segmenter:
    """Finds actor and object by their names, or the object by a prompt."""

    def __init__(self, config: GroundedSam2Config | None = None) -> None:
        """Loads both networks.

        Raises:
            CheckpointError: `transformers` is not installed, or the weights cannot be loaded.
        """
        self.config = config or GroundedSam2Config()
        self.device = torch.device(self.config.device)
        detector, tracker = self.config.detector, self.config.tracker
        self.detector_processor = load("AutoProcessor", detector)
        self.detector = load("AutoModelForZeroShotObjectDetection", detector).to(self.device).eval()
        self.tracker_processor = load("Sam2VideoProcessor", tracker)
        self.tracker = load("Sam2VideoModel", tracker).to(self.device).eval()

    def segment(
        self,
        episode: Episode,
        plate: Plate | None = None,
        prompt: Prompt | None = None,
        phases: tuple[EpisodePhases, ...] = (),
    ) -> MaskTrajectory:
        """Masks and a confidence per frame; see `Segmenter`. The plate and the phases are not used.

        Raises:
            SegmentationError: no robot or no object is detected, or no object moves.
            PromptError: the prompt is outside the episode.
        """
        where = f"{episode.dataset} episode {episode.index}, {episode.camera}"
        if prompt is not None:
            check_prompt(prompt, episode)
        actor_frame, actor_boxes = self._detect_first(episode, self.config.actor_text, 1.0)
        if not len(actor_boxes):
            raise SegmentationError(f"{where}: no {self.config.actor_text!r} is seen; change segmentation.actor_text")
        actors = self._track(episode, actor_frame, {"input_boxes": [actor_boxes.tolist()]}, len(actor_boxes))
        actor = actors.masks.any(0)
        if prompt is not None and not prompt.text:
            objects = self._track(episode, prompt.frame, prompt_inputs(prompt), 1)
            chosen = 0
        else:
            objects = self._named_objects(episode, prompt.text if prompt else self.config.object_text, where)
            chosen = moved_thing(objects, actor, self.config, prompt is not None, where)
        confidence = torch.minimum(actors.sure.amax(0), objects.sure[chosen])
        return trajectory(actor, objects.masks[chosen], confidence.clamp(0, 1).to(torch.float32))

    def _named_objects(self, episode: Episode, text: str, where: str) -> Tracks:
        """Everything that a text names, followed through the video."""
        frame, boxes = self._detect_first(episode, text, self.config.max_box_share)
        if not len(boxes):
            raise SegmentationError(
                f"{where}: nothing that {text!r} names is seen; give another text, or a click (prompt.click=[x,y])"
            )
        boxes = boxes[: self.config.max_objects]
        return self._track(episode, frame, {"input_boxes": [boxes.tolist()]}, len(boxes))

    def _detect_first(self, episode: Episode, text: str, max_share: float) -> tuple[int, Float[Tensor, "n 4"]]:
        """The first of some spread frames in which the text is detected, with boxes (left, top, right, bottom)."""
        for frame in spread(episode.length, self.config.spaced_frames):
            boxes = self._detect(episode.frames[frame].permute(1, 2, 0).numpy(), text, max_share)
            if len(boxes):
                return frame, boxes
        return 0, torch.zeros(0, 4)

    @torch.inference_mode()
    def _detect(self, image: np.ndarray, text: str, max_share: float) -> Float[Tensor, "n 4"]:
        """Boxes of what a text names in a frame (uint8 h w 3), surest first, without near-duplicates."""
        words = text.strip().lower()
        words = words if words.endswith(".") else words + "."
        inputs = self.detector_processor(images=image, text=words, return_tensors="pt").to(self.device)
        outputs = self.detector(**inputs)
        found = self.detector_processor.post_process_grounded_object_detection(
            outputs,
            inputs["input_ids"],
            threshold=self.config.box_threshold,
            text_threshold=self.config.text_threshold,
            target_sizes=[image.shape[:2]],
        )[0]
        boxes, order = found["boxes"].cpu(), found["scores"].cpu().argsort(descending=True)
        height, width = image.shape[:2]
        limits = torch.tensor([width, height, width, height], dtype=boxes.dtype)
        boxes = torch.minimum(boxes.clamp(min=0), limits)[order]
        sides = boxes[:, 2:] - boxes[:, :2]
        boxes = boxes[(sides.amin(1) >= 2) & (sides.prod(1) <= max_share * width * height)]
        return without_duplicates(boxes).to(torch.float32)

    @torch.inference_mode()
    def _track(self, episode: Episode, frame: int, inputs: dict[str, Any], count: int) -> Tracks:
        """Follow `count` prompted things from a frame to both ends of the video."""
        length, _, height, width = episode.frames.shape
        video = episode.frames.permute(0, 2, 3, 1).numpy()
        session = self.tracker_processor.init_video_session(video=list(video), inference_device=self.device)
        ids = list(range(ACTOR_ID, ACTOR_ID + count))
        self.tracker_processor.add_inputs_to_inference_session(session, frame, ids, **inputs)
        masks = torch.zeros(count, length, height, width, dtype=torch.bool)
        sure = torch.zeros(count, length)
        self.tracker(inference_session=session, frame_idx=frame)
        for reverse in (False, True) if frame > 0 else (False,):
            for output in self.tracker.propagate_in_video_iterator(session, start_frame_idx=frame, reverse=reverse):
                logits = output.pred_masks.float().cpu().reshape(count, *output.pred_masks.shape[-2:])
                masks[:, output.frame_idx] = resize_logits(logits, height, width) > 0
                sure[:, output.frame_idx] = certainty(logits, output.object_score_logits)
        return Tracks(masks, sure)


def load(class_name: str, weights: str) -> Any:
    """A network or processor of `transformers` by its class and its hub name or folder.

    Raises:
        CheckpointError: `transformers` is missing or too old, or the weights cannot be had.
    """
    try:
        kind = getattr(importlib.import_module("transformers"), class_name)
    except (ImportError, AttributeError) as error:
        raise CheckpointError(
            f"segmentation=grounded_sam2 needs transformers 5.4 or newer ({error}): pip install 'transformers>=5.4'"
        ) from error
    try:
        return kind.from_pretrained(weights)
    except (OSError, ValueError, KeyError) as error:
        raise CheckpointError(
            f"{weights}: cannot be loaded as {class_name} ({str(error).splitlines()[0]}); check the network connection "
            "and HF_HUB_OFFLINE, or give a folder: segmentation.detector=..., segmentation.tracker=..."
        ) from error


def prompt_inputs(prompt: Prompt) -> dict[str, Any]:
    """A click, box or mask as the tracker takes it."""
    if prompt.click is not None:
        return {"input_points": [[[list(prompt.click)]]], "input_labels": [[[1]]]}
    if prompt.box is not None:
        return {"input_boxes": [[list(prompt.box)]]}
    return {"input_masks": [prompt.mask.numpy()]}


def temporal_iou(masks: Bool[Tensor, "t h w"], count: int, least_px: int) -> Float[Tensor, ""]:
    """Mean IoU of every two of some spaced frames that show the thing; 1 where fewer than two do.

    Source: Mask2IV, "Benchmark Construction": "Objects with low temporal mIoU are identified as those being
    manipulated".
    """
    seen = [frame for frame in spread(len(masks), count) if int(area(masks[frame])) >= least_px]
    pairs = [(first, second) for at, first in enumerate(seen) for second in seen[at + 1 :]]
    if not pairs:
        return torch.tensor(1.0)
    return torch.stack([iou(masks[first], masks[second]) for first, second in pairs]).mean()


def moved_thing(
    objects: Tracks, actor: Bool[Tensor, "t h w"], config: GroundedSam2Config, named: bool, where: str
) -> int:
    """The thing with the lowest temporal IoU.

    Raises:
        SegmentationError: all stay where they are, and none was asked for by name.
    """
    least = max(1, round(config.min_object_share * actor[0].numel()))
    overlaps = torch.stack([temporal_iou(masks, config.spaced_frames, least) for masks in objects.masks])
    covered = torch.stack([(masks & actor).sum() / masks.sum().clamp(min=1) for masks in objects.masks])
    overlaps = torch.where(covered > 0.5, 1.0, overlaps)  # a part of the robot, not a thing
    chosen = int(overlaps.argmin())
    if float(overlaps[chosen]) > config.still_iou and not (named and len(overlaps) == 1):
        raise SegmentationError(
            f"{where}: none of {len(overlaps)} things moves (temporal IoU {overlaps[chosen]:.2f} or more); "
            "give a click (prompt.click=[x,y]), or change segmentation.object_text"
        )
    return chosen


def without_duplicates(boxes: Float[Tensor, "n 4"], most: float = 0.7) -> Float[Tensor, "m 4"]:
    """Boxes, in order, that overlap none before them by more than IoU `most`."""
    kept: list[Tensor] = []
    for box in boxes:
        if all(box_iou(box, other) <= most for other in kept):
            kept.append(box)
    return torch.stack(kept) if kept else boxes[:0]


def box_iou(first: Float[Tensor, "4"], second: Float[Tensor, "4"]) -> float:
    """Intersection over union of two boxes."""
    sides = (torch.minimum(first[2:], second[2:]) - torch.maximum(first[:2], second[:2])).clamp(min=0)
    shared = float(sides.prod())
    whole = float((first[2:] - first[:2]).prod() + (second[2:] - second[:2]).prod()) - shared
    return shared / max(whole, 1e-9)


def resize_logits(logits: Float[Tensor, "n _ _"], height: int, width: int) -> Float[Tensor, "n {height} {width}"]:
    """Mask logits at the frame's size."""
    return torch.nn.functional.interpolate(logits[:, None], (height, width), mode="bilinear", align_corners=False)[:, 0]


def certainty(logits: Float[Tensor, "n h w"], present: Tensor | None) -> Float[Tensor, " n"]:
    """How clear-cut a mask is, times how surely the thing is there at all; in [0, 1]."""
    inside = logits > 0
    clear = (torch.sigmoid(logits) * inside).flatten(1).sum(1) / inside.flatten(1).sum(1).clamp(min=1)
    if present is None:
        return clear
    return clear * torch.sigmoid(present.float().cpu().reshape(-1)[: len(clear)])
