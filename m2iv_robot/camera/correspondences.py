"""Pixels that belong to known tool poses, from masks and the times when something is held."""

import numpy as np
import torch
from jaxtyping import Bool, Float
from torch import Tensor

from m2iv_robot.camera.config import CameraConfig
from m2iv_robot.camera.records import OBJECT, TIP, Correspondences, join
from m2iv_robot.camera.tip import arm_tips
from m2iv_robot.errors import CameraError
from m2iv_robot.types import EpisodePhases, MaskTrajectory

LEAST_AREA_PX = 6  # of an object's mask, for an image 320 wide
LEAST_VISIBLE = 0.35  # share of the object's usual area; below, its centre is anywhere
REST_FRAMES = 60  # looked at before a grasp and after a release, at most
SETTLE_S = 0.5  # after the fingers open
TIP_SIGMA = 3.0  # times the pixel noise: the outermost pixel of the arm is not always the same point of it
EMPTY = (np.zeros((0, 4, 4)), np.zeros((0, 2)), np.zeros(0), np.zeros(0, int), np.zeros(0, int), np.zeros(0, int))


def correspondences(
    masks: MaskTrajectory,
    poses: Float[np.ndarray, "t 4 4"],
    phases: list[EpisodePhases],
    fps: float,
    config: CameraConfig | None = None,
) -> Correspondences:
    """Of one episode, what does not ask where in the actor's mask the gripper is.

    While the object is held its centre belongs to the tool's pose of that frame; where it rests before, to the
    pose at the grasp; where it rests after, to the pose at the release. Each span is a group of its own. Spans in
    which the object stays where it was (a closing beside it) give nothing.
    """
    config = config or CameraConfig()
    if len(poses) != len(masks.object):
        raise CameraError(
            f"{len(poses)} tool poses for {len(masks.object)} frames of masks; they must be one episode's"
        )
    track = object_track(masks.object)
    parts = []
    for number, phase in enumerate(phases):
        after_last = phases[number - 1].release if number else 0
        before_next = phases[number + 1].grasp if number + 1 < len(phases) else len(poses)
        part = of_phase(track, poses, phase, (after_last, before_next), round(SETTLE_S * fps), config)
        if len(part):
            parts.append(part)
    return join(parts) if parts else Correspondences(*EMPTY)


def object_track(masks: Bool[Tensor, "t h w"]) -> Float[np.ndarray, "t 3"]:
    """Centre (x, y) and area of the object's mask per frame, in pixels; centre NaN where it is not seen."""
    width = masks.shape[2]
    least = LEAST_AREA_PX * (width / 320) ** 2
    rows = []
    for mask in masks:
        y, x = torch.nonzero(mask, as_tuple=True)
        seen = len(x) >= max(least, 1)
        rows.append((float(x.double().mean()), float(y.double().mean()), len(x)) if seen else (np.nan, np.nan, 0))
    return np.array(rows, dtype=float).reshape(-1, 3)


def of_phase(
    track: Float[np.ndarray, "t 3"],
    poses: Float[np.ndarray, "t 4 4"],
    phase: EpisodePhases,
    free: tuple[int, int],
    settle: int,
    config: CameraConfig,
) -> Correspondences:
    """Correspondences of one grasp; `free` bounds the frames before and after in which nothing else is held."""
    grasp, release = phase.grasp, min(phase.release, len(poses) - 1)
    before = rest(track, max(free[0] + settle if free[0] else 0, grasp - REST_FRAMES), grasp)
    after = rest(track, release + settle, min(free[1], release + settle + REST_FRAMES))
    full = np.nanmax([before[2], after[2], np.percentile(track[grasp : release + 1, 2], 90), 1.0])
    held = np.arange(grasp, phase.release)
    visible = np.clip(track[held, 2] / full, 0.0, 1.0)
    kept = np.isfinite(track[held, 0]) & (visible > LEAST_VISIBLE)
    held, visible = held[kept], visible[kept]
    pixels = [*track[held, :2]]
    # a hidden part pulls the centre of what is left away by up to half the object's size
    sigma = [*np.hypot(config.pixel_sigma, 0.3 * (1 - visible) * np.sqrt(full))]
    frames = [*held]
    for place, contact in ((before, grasp), (after, phase.release - 1)):
        if np.isfinite(place[0]):
            pixels.append(place[:2])
            sigma.append(config.pixel_sigma)
            frames.append(contact)
    if not pixels or not moved(np.array(pixels), np.sqrt(full)):
        return Correspondences(*EMPTY)
    frames_array = np.array(frames, dtype=int)
    count = len(frames)
    return Correspondences(
        poses[frames_array],
        np.array(pixels),
        np.array(sigma),
        np.full(count, OBJECT),
        np.zeros(count, int),
        frames_array,
    )


def rest(track: Float[np.ndarray, "t 3"], begin: int, end: int) -> Float[np.ndarray, "3"]:
    """Median centre and area of the object over the frames of a span in which it is least hidden; NaN if never."""
    span = track[max(begin, 0) : max(end, 0)]
    span = span[np.isfinite(span[:, 0])]
    if not len(span):
        return np.full(3, np.nan)
    clear = span[span[:, 2] >= 0.8 * np.percentile(span[:, 2], 90)]
    return np.median(clear, axis=0)


def moved(pixels: Float[np.ndarray, "n 2"], size_px: float) -> bool:
    """Whether the object left its place: by more than a quarter of its own size."""
    spread = np.linalg.norm(pixels - np.median(pixels, axis=0), axis=1)
    return bool(np.percentile(spread, 90) > 0.25 * size_px)


def tip_correspondences(
    masks: MaskTrajectory,
    poses: Float[np.ndarray, "t 4 4"],
    frames: Bool[np.ndarray, " t"] | None = None,
    config: CameraConfig | None = None,
) -> Correspondences:
    """The gripper's tip in each of `frames` (default all), of a sweep or where objects give too few points.

    Less sure than the object's centre, and weighted so: which point of the gripper is outermost changes with its
    pose.
    """
    config = config or CameraConfig()
    if len(poses) != len(masks.actor):
        raise CameraError(f"{len(poses)} tool poses for {len(masks.actor)} frames of masks; they must be one episode's")
    tips = arm_tips(masks.actor)
    wanted = np.isfinite(tips[:, 0]) if frames is None else np.isfinite(tips[:, 0]) & frames
    chosen = np.flatnonzero(wanted)
    count = len(chosen)
    return Correspondences(
        poses[chosen],
        tips[chosen],
        np.full(count, TIP_SIGMA * config.pixel_sigma),
        np.full(count, TIP),
        np.zeros(count, int),
        chosen,
    )
