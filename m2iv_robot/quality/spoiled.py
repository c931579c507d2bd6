"""Known-bad variants of a good candidate: what the gate must reject. For setting thresholds and for tests."""

from dataclasses import replace

import cv2
import numpy as np
import torch
from jaxtyping import Bool, Float, UInt8
from torch import Tensor

from m2iv_robot.masks import centroid, dilate, shift
from m2iv_robot.metrics.control import width_px
from m2iv_robot.types import Candidate, Plate

EDGE_PX = 5  # kernel by which the object is grown before it is painted over
LEAST_CHROMA = 35.0  # of a changed colour: a grey thing becomes coloured
SHADOW_PX = 4


def frames_shuffled(candidate: Candidate, generator: torch.Generator) -> Candidate:
    """The frames in random order, labels as they were."""
    frames = candidate.episode.frames
    return _with_frames(candidate, frames[torch.randperm(len(frames), generator=generator)])


def object_erased(candidate: Candidate, plate: Plate) -> Candidate:
    """The object painted over with the plate in every frame."""
    hidden = dilate(candidate.masks.object, EDGE_PX) & ~candidate.masks.actor
    return _with_frames(candidate, torch.where(hidden[:, None], plate.image[None], candidate.episode.frames))


def frozen_midway(candidate: Candidate) -> Candidate:
    """From the middle of the carry on always the same picture; from the middle of the video without a plan."""
    frames, motion = candidate.episode.frames, candidate.motion
    middle = len(frames) // 2 if motion is None else (motion.grasp_frame + motion.release_frame) // 2
    still = frames[middle : middle + 1].expand(len(frames) - middle, *frames.shape[1:])
    return _with_frames(candidate, torch.cat([frames[:middle], still]))


def object_recoloured(candidate: Candidate) -> Candidate:
    """The object in the opposite hue, as light and textured as before."""
    frames = [
        recoloured(frame, mask)
        for frame, mask in zip(candidate.episode.frames, dilate(candidate.masks.object, 3), strict=True)
    ]
    return _with_frames(candidate, torch.stack(frames))


def recoloured(frame: UInt8[Tensor, "3 h w"], mask: Bool[Tensor, "h w"]) -> UInt8[Tensor, "3 h w"]:
    """One frame with the hue inside a mask turned by half a circle."""
    picture = np.ascontiguousarray(frame.permute(1, 2, 0).numpy()).astype(np.float32) / 255
    lab = cv2.cvtColor(picture, cv2.COLOR_RGB2LAB)
    inside = mask.numpy()
    if not inside.any():
        return frame
    hue = np.median(lab[inside][:, 1:], axis=0)
    strength = max(float(np.linalg.norm(hue)), 1e-3)
    lab[inside, 1:] -= 2 * hue if strength >= LEAST_CHROMA / 2 else hue / strength * LEAST_CHROMA
    changed = np.clip(cv2.cvtColor(lab, cv2.COLOR_LAB2RGB) * 255, 0, 255).round().astype(np.uint8)
    painted = torch.from_numpy(changed).permute(2, 0, 1)
    return torch.where(mask[None], painted, frame)


def object_elsewhere(candidate: Candidate, widths: float = 1.5) -> Candidate:
    """The request moved away from where the object is seen, to the side on which there is more room."""
    placement = candidate.placement
    start = placement.start
    step = widths * float(width_px(start[None])[0])
    middle = start.shape[1] / 2
    sign = 1.0 if float(centroid(start)[0]) < middle else -1.0
    return replace(candidate, placement=replace(placement, start=shift(start, (sign * step, 0.0))))


def labels_shifted(candidate: Candidate, seconds: float = 1.0) -> Candidate:
    """State and action that many seconds late (early where negative); the first (last) ones held."""
    episode = candidate.episode
    if episode.state is None or episode.action is None:
        return candidate
    late = (torch.arange(episode.length) - round(seconds * episode.fps)).clamp(0, episode.length - 1)
    return replace(candidate, episode=replace(episode, state=episode.state[late], action=episode.action[late]))


def gripper_inverted(candidate: Candidate, state_column: int, action_column: int) -> Candidate:
    """Open is closed and closed is open, in state and action."""
    episode = candidate.episode
    if episode.state is None or episode.action is None:
        return candidate
    state, action = _inverted(episode.state, state_column), _inverted(episode.action, action_column)
    return replace(candidate, episode=replace(episode, state=state, action=action))


def _inverted(labels: Float[Tensor, "t s"], column: int) -> Float[Tensor, "t s"]:
    changed = labels.clone()
    values = labels[:, column]
    changed[:, column] = values.min() + values.max() - values
    return changed


def other_actions(candidate: Candidate, other: Candidate) -> Candidate:
    """The actions of another episode, cut or held at its end to fit; the states stay."""
    episode, given = candidate.episode, other.episode.action
    if episode.action is None or given is None:
        return candidate
    rows = torch.arange(episode.length).clamp(max=len(given) - 1)
    return replace(candidate, episode=replace(episode, action=given[rows]))


def other_labels(candidate: Candidate, other: Candidate) -> Candidate:
    """State and action of another episode."""
    episode, state = other_actions(candidate, other).episode, other.episode.state
    if episode.state is None or state is None:
        return candidate
    rows = torch.arange(episode.length).clamp(max=len(state) - 1)
    return replace(candidate, episode=replace(episode, state=state[rows]))


def _with_frames(candidate: Candidate, frames: UInt8[Tensor, "t 3 h w"]) -> Candidate:
    return replace(candidate, episode=replace(candidate.episode, frames=frames.contiguous()))
