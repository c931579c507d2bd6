"""A synthetic episode in a file, for whoever shows it: frames, masks, states, the gripper's path."""

import os
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from jaxtyping import Bool, Float, UInt8

from m2iv_robot.errors import RequestError
from m2iv_robot.types import Candidate


@dataclass(frozen=True)
class Preview:
    """What there is to show of a synthetic episode."""

    frames: UInt8[np.ndarray, "t h w 3"]
    actor: Bool[np.ndarray, "t h w"]
    object: Bool[np.ndarray, "t h w"]
    state: Float[np.ndarray, "t s"]  # in the dataset's own units; no column where it has no state
    state_names: list[str]
    gripper_path_m: Float[np.ndarray, "n 3"]  # base frame; no row where the projection is unknown
    held: tuple[int, int]  # frames between which the object is held; (0, 0) where that is unknown
    fps: float
    accepted: bool


def save_preview(path: Path, candidate: Candidate, accepted: bool) -> None:
    """Write it, whole or not at all."""
    episode, motion = candidate.episode, candidate.motion
    state = np.zeros((episode.length, 0)) if episode.state is None else episode.state.double().numpy()
    unfinished = path.with_suffix(".unfinished.npz")
    np.savez(
        unfinished,
        frames=episode.frames.permute(0, 2, 3, 1).contiguous().numpy(),
        actor=np.packbits(candidate.masks.actor.numpy(), axis=-1),
        object=np.packbits(candidate.masks.object.numpy(), axis=-1),
        state=state,
        state_names=np.array(list(episode.state_names), dtype=str),
        gripper_path_m=np.zeros((0, 3)) if motion is None else np.asarray(motion.gripper_path_m, dtype=np.float64),
        held=np.array([0, 0] if motion is None else [motion.grasp_frame, motion.release_frame]),
        fps=episode.fps,
        accepted=accepted,
    )
    os.replace(unfinished, path)


def load_preview(path: Path) -> Preview:
    """Read it.

    Raises:
        RequestError: the file is missing or damaged.
    """
    try:
        with np.load(path) as stored:
            read = {name: stored[name] for name in stored.files}
    except (OSError, ValueError) as error:
        raise RequestError(f"{path}: no preview to show ({error})") from error
    width = read["frames"].shape[2]
    masks = {name: np.unpackbits(read[name], axis=-1, count=width).astype(bool) for name in ("actor", "object")}
    return Preview(
        frames=read["frames"],
        state=read["state"],
        state_names=[str(name) for name in read["state_names"]],
        gripper_path_m=read["gripper_path_m"],
        held=(int(read["held"][0]), int(read["held"][1])),
        fps=float(read["fps"]),
        accepted=bool(read["accepted"]),
        **masks,
    )
