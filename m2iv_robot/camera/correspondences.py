"""Pixels that belong to known tool poses, from masks and the times when something is held."""

from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Bool, Float
from torch import Tensor

from m2iv_robot.camera.config import CameraConfig
from m2iv_robot.camera.object_centre import outline_of, whole_centre
from m2iv_robot.camera.records import OBJECT, TIP, Correspondences, join
from m2iv_robot.camera.tip import arm_tips
from m2iv_robot.errors import CameraError
from m2iv_robot.types import EpisodePhases, MaskTrajectory

LEAST_AREA_PX = 6  # of an object's mask, for an image 320 wide
LEAST_VISIBLE = 0.35  # share of the object's usual area; below, its centre is anywhere
REST_FRAMES = 60  # looked at before a grasp and after a release, at most
HELD_FRAMES = 60  # of a grasp that are looked at; neighbours say the same
SETTLE_S = 0.5  # after the fingers open
PUSH_SHARE = 0.15  # of the object's size: how far closing fingers push it and opening ones leave it
NEAR_FRAMES = 1  # of a contact, in which the held object is looked at again
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
    parts = []
    for number, phase in enumerate(phases):
        after_last = phases[number - 1].release + round(SETTLE_S * fps) if number else 0
        before_next = phases[number + 1].grasp if number + 1 < len(phases) else len(poses)
        settled = min(phase.release + round(SETTLE_S * fps), before_next)
        parts.append(of_phase(masks, poses, phase, ((after_last, phase.grasp), (settled, before_next)), config))
    parts = [part for part in parts if len(part)]
    return join(parts) if parts else Correspondences(*EMPTY)


def least_area(width: int) -> float:
    """Fewest pixels that count as the object, for an image `width` wide."""
    return max(1.0, LEAST_AREA_PX * (width / 320) ** 2)


def object_track(masks: Bool[Tensor, "t h w"]) -> Float[np.ndarray, "t 3"]:
    """Centre (x, y) and area of the object's mask per frame, in pixels; centre NaN where it is not seen."""
    width = masks.shape[2]
    least = least_area(width)
    rows = []
    for mask in masks:
        y, x = torch.nonzero(mask, as_tuple=True)
        seen = len(x) >= least
        rows.append((float(x.double().mean()), float(y.double().mean()), len(x)) if seen else (np.nan, np.nan, 0))
    return np.array(rows, dtype=float).reshape(-1, 3)


def of_phase(
    masks: MaskTrajectory,
    poses: Float[np.ndarray, "t 4 4"],
    phase: EpisodePhases,
    spans: tuple[tuple[int, int], tuple[int, int]],
    config: CameraConfig,
) -> Correspondences:
    """Correspondences of one grasp; `spans` are the frames before and after it in which the object rests."""
    before, after = (rest(masks.object, span) for span in spans)
    clear = before or after
    if clear is None:
        return Correspondences(*EMPTY)
    size_px = float(np.sqrt(clear.area))
    frames, pixels, sigma = held_centres(masks, phase, clear, config)
    for place, contact in ((before, phase.grasp), (after, phase.release - 1)):
        if place is not None and belongs(place, contact, frames, pixels, 3 * config.pixel_sigma):
            frames.append(contact)
            pixels.append(place.centre)
            sigma.append(float(np.hypot(config.pixel_sigma, PUSH_SHARE * size_px)))
    if not moved(np.array(pixels), size_px):
        return Correspondences(*EMPTY)
    chosen, count = np.array(frames, dtype=int), len(frames)
    kind, group = np.full(count, OBJECT), np.zeros(count, int)
    return Correspondences(poses[chosen], np.array(pixels), np.array(sigma), kind, group, chosen)


def held_centres(
    masks: MaskTrajectory, phase: EpisodePhases, clear: "Rest", config: CameraConfig
) -> tuple[list[int], list[Float[np.ndarray, "2"]], list[float]]:
    """Frames in which enough of the held object is seen, where its whole centre is, and how sure that is."""
    frames, pixels, sigma = [], [], []
    count = min(HELD_FRAMES, phase.release - phase.grasp)
    for frame in np.linspace(phase.grasp, phase.release - 1, count).round().astype(int):
        visible = masks.object[frame].cpu().numpy()
        if visible.sum() < max(LEAST_VISIBLE * clear.area, least_area(visible.shape[1])):
            continue
        centre, misfit = whole_centre(visible, masks.actor[frame].cpu().numpy(), clear.outline)
        frames.append(int(frame))
        pixels.append(centre)
        sigma.append(float(np.hypot(config.pixel_sigma, 0.3 * min(misfit, 1.0) * np.sqrt(clear.area))))
    return frames, pixels, sigma


def belongs(
    place: "Rest", contact: int, frames: list[int], pixels: list[Float[np.ndarray, "2"]], limit_px: float
) -> bool:
    """Whether the resting object was where the tool had it at the contact: fingers push it, and it may drop or roll."""
    near = [pixel for frame, pixel in zip(frames, pixels, strict=False) if abs(frame - contact) <= NEAR_FRAMES]
    return not near or bool(np.linalg.norm(np.median(near, axis=0) - place.centre) < limit_px)


@dataclass(frozen=True)
class Rest:
    """The object lying still: centre, area and silhouette where it is least hidden."""

    centre: Float[np.ndarray, " 2"]
    area: float
    outline: Float[np.ndarray, "_ _"]


def rest(masks: Bool[Tensor, "t h w"], span: tuple[int, int]) -> Rest | None:
    """Median over the frames of a span in which the object is least hidden; None if it is never seen."""
    begin, end = span
    begin = max(begin, end - REST_FRAMES) if begin == 0 else begin
    track = object_track(masks[begin : min(end, begin + REST_FRAMES)])
    seen = np.flatnonzero(np.isfinite(track[:, 0]))
    if not len(seen):
        return None
    areas = track[seen, 2]
    clear = seen[areas >= 0.8 * np.percentile(areas, 90)]
    area = float(np.median(track[clear, 2]))
    typical = clear[np.abs(track[clear, 2] - area).argmin()]
    return Rest(np.median(track[clear, :2], axis=0), area, outline_of(masks[begin + typical].cpu().numpy()))


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
