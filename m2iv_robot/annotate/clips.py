"""Clips for training both stages: real recordings with the segmenter's masks, simulated ones with exact masks."""

import logging
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Float, UInt8

from m2iv_robot.background import build_plate, spread
from m2iv_robot.camera.tip import arm_tips
from m2iv_robot.data.clip_store import Clip, save_clip
from m2iv_robot.data.simulation import SimulationConfig, simulate_episode
from m2iv_robot.data.stores import StoreConfig, clips_of, drawn_lab, episodes_of
from m2iv_robot.errors import M2IVError, PlanError, SegmentationError
from m2iv_robot.exemplar import Exemplar, build_exemplar
from m2iv_robot.masks import area, centroid
from m2iv_robot.segmentation import Segmenter
from m2iv_robot.types import Episode, MaskTrajectory

logger = logging.getLogger(__name__)

MOVING_SHARE = 0.01  # of the width, from one frame to the next but one: the object moves
MEETING_SHARE = 0.12  # of the width: the tip is at the object
LEAST_MEETINGS = 3  # frames in which both are seen
APART_SHARE = 0.25  # of a clip: a frame beside the wanted one is the answer itself


@dataclass(frozen=True)
class ClipStoreConfig:
    """configs/clip_store/*.yaml: how a recording becomes a clip."""

    frames: int = 24  # kept of each recording, spread evenly
    least_confidence: float = 0.35  # of the segmenter, averaged over the clip; less is left out
    least_object_share: float = 0.5  # of the frames that must show the object
    least_actor_share: float = 0.4  # of the frames that must show the actor
    part: int = 0  # this process makes every `parts`-th recording, from this one on
    parts: int = 1
    excluded: list[str] = field(default_factory=list)  # recordings by name

    def __post_init__(self) -> None:
        if self.frames < 16 or not 0 <= self.part < self.parts:
            raise SegmentationError("clip_store: frames must be at least 16, and part one of 0 .. parts - 1")


def annotated_clips(store: StoreConfig, config: ClipStoreConfig, segmenter: Segmenter, folder: Path) -> Counter:
    """Write a clip for every real recording that is not there yet; returns how many were kept and why others not."""
    recordings = clips_of(store) if store.kind == "clips" else episodes_of(store)
    outcomes: Counter = Counter()
    for name, group, frames in mine(recordings, config):
        path = folder / f"{name}.npz"
        if path.exists() or name in config.excluded:
            outcomes["there already, or left out"] += 1
            continue
        try:
            clip = annotated_clip(frames, name, group.split("_")[0], config, segmenter)
            save_clip(path, clip)
            outcomes["kept"] += 1
        except M2IVError as error:
            outcomes[type(error).__name__] += 1
            logger.info("%s: %s", name, error)
    return outcomes


def mine(recordings: Iterable[tuple], config: ClipStoreConfig) -> Iterable[tuple]:
    """The recordings of this process."""
    return (entry for number, entry in enumerate(recordings) if number % config.parts == config.part)


def annotated_clip(
    frames: UInt8[np.ndarray, "t h w 3"], name: str, group: str, config: ClipStoreConfig, segmenter: Segmenter
) -> Clip:
    """A clip of one real recording.

    Raises:
        SegmentationError: nothing is moved, the segmenter is not sure, or too few frames show actor and object.
    """
    chosen = spread(len(frames), config.frames)
    if len(chosen) < config.frames:
        raise SegmentationError(f"{name}: {len(frames)} frames; a clip takes {config.frames}")
    video = torch.from_numpy(frames[chosen]).permute(0, 3, 1, 2).contiguous()
    episode = Episode(
        dataset=name,
        index=0,
        camera="",
        frames=video,
        state=None,
        action=None,
        state_names=(),
        action_names=(),
        fps=5.0,
        task="",
        robot_type=None,
    )
    masks = segmenter.segment(episode)
    check_clip(masks, name, config)
    plate = build_plate([video], [masks])
    tips = tips_at_object(masks)
    found = exemplar_apart(video, masks)
    return Clip(video, masks.actor, masks.object, plate.image, plate.known, tips, found.image, found.known, group)


def tips_at_object(masks: MaskTrajectory) -> Float[torch.Tensor, "n 2"]:
    """The arm's tip per frame; NaN throughout where it does not meet the object while that moves: it is not the tip."""
    tips = torch.from_numpy(arm_tips(masks.actor)).float()
    centres = centroid(masks.object)
    speed = (centres[2:] - centres[:-2]).norm(dim=1)
    width = masks.actor.shape[-1]
    moving = torch.nonzero(speed > MOVING_SHARE * width)[:, 0] + 1  # a comparison with NaN is False
    distance = (tips - centres).norm(dim=1)[moving]
    distance = distance[~distance.isnan()]
    if len(distance) >= LEAST_MEETINGS and float(distance.median()) < MEETING_SHARE * width:
        return tips
    return torch.full_like(tips, torch.nan)


def exemplar_apart(video: UInt8[torch.Tensor, "n 3 h w"], masks: MaskTrajectory) -> Exemplar:
    """For each frame the best exemplar at least a quarter of the clip away."""
    index = torch.arange(len(video))
    far = (index[:, None] - index[None, :]).abs() >= APART_SHARE * len(video)
    return build_exemplar(video, masks, masks, far)


def check_clip(masks: MaskTrajectory, name: str, config: ClipStoreConfig) -> None:
    """Refuse masks that a network should not learn from.

    Raises:
        SegmentationError: says which limit was missed.
    """
    shares = [float((area(part) > 0).float().mean()) for part in (masks.object, masks.actor)]
    found = {
        "confidence": (float(masks.confidence.mean()), config.least_confidence),
        "share of frames with object": (shares[0], config.least_object_share),
        "share of frames with actor": (shares[1], config.least_actor_share),
    }
    for what, (value, least) in found.items():
        if value < least:
            raise SegmentationError(f"{name}: {what} is {value:.2f}, at least {least:.2f} is wanted")


def simulated_clips(store: StoreConfig, config: ClipStoreConfig, simulation: SimulationConfig, folder: Path) -> Counter:
    """Write simulated clips that are not there yet, each of another lab; returns the outcome of each."""
    outcomes: Counter = Counter()
    for number, *_ in mine(((number,) for number in range(store.count)), config):
        path = folder / f"{number:04d}.npz"
        if path.exists():
            outcomes["there already"] += 1
            continue
        try:
            save_clip(path, simulated_clip(simulation, store.first_scene + number, number, config))
            outcomes["kept"] += 1
        except PlanError as error:
            outcomes["not solved"] += 1
            logger.info("%s", error)
    return outcomes


def simulated_clip(simulation: SimulationConfig, seed: int, number: int, config: ClipStoreConfig) -> Clip:
    """A clip of a lab of its own, with exact masks and the tool's true path in pixels.

    Raises:
        PlanError: the operator found no way.
    """
    lab = drawn_lab(simulation, seed, number, np.random.default_rng([78, number]))
    simulated = simulate_episode(lab, 9000 + seed)
    chosen = spread(simulated.episode.length, config.frames)
    if len(chosen) < config.frames:
        raise PlanError(f"simulated lab {seed}: {simulated.episode.length} frames; a clip takes {config.frames}")
    tool = simulated.tool_positions_m[chosen] @ simulated.world_to_camera[:3, :3].T + simulated.world_to_camera[:3, 3]
    pixels = tool @ simulated.intrinsics.T
    video = simulated.episode.frames[chosen].contiguous()
    masks = MaskTrajectory(
        simulated.masks.actor[chosen], simulated.masks.object[chosen], simulated.masks.confidence[chosen]
    )
    found = exemplar_apart(video, masks)
    return Clip(
        frames=video,
        actor=masks.actor,
        object=masks.object,
        plate=simulated.plate.image.contiguous(),
        plate_known=simulated.plate.known,
        gripper_path_px=torch.from_numpy(pixels[:, :2] / pixels[:, 2:]).float(),
        exemplar=found.image,
        exemplar_known=found.known,
        group=f"simulated_{simulation.robot}",
    )
