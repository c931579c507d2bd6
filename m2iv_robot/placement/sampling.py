"""Placements spread evenly over the free part of the support, scaled by perspective."""

from collections.abc import Callable
from dataclasses import dataclass, field

import cv2
import numpy as np
import torch
from jaxtyping import Bool, Float
from torch import Tensor

from m2iv_robot.camera import Block, Camera
from m2iv_robot.errors import PlanError
from m2iv_robot.masks import area, centroid, shift
from m2iv_robot.placement.config import PlacementConfig
from m2iv_robot.types import Placement

REFUSALS = 40  # per placement, before giving up
ROUNDS = 15  # of candidates without a free place, before giving up


@dataclass(frozen=True)
class Place:
    """A place of the object's centre: in the image, and on the plane where centres of resting objects lie."""

    xy_px: tuple[float, float]
    xy_m: tuple[float, float] | None  # None without a camera


@dataclass(frozen=True)
class Scene:
    """What placements of one episode are made in."""

    start: Bool[Tensor, "h w"]  # whole outline of the object where it really started
    goal: Bool[Tensor, "h w"]  # and ended
    robot: Bool[Tensor, "h w"]  # in the frame in which the placed object is first seen
    support: Bool[Tensor, "h w"]  # of the camera's pose
    camera: Camera | None = None
    plane_z_m: float = 0.0  # height of the plane in which centres of resting objects lie
    reach: Callable[[Float[np.ndarray, "n 3"]], Bool[np.ndarray, " n"]] | None = None  # of points, base frame
    real: tuple[Place, ...] = ()  # where objects really started (or ended), in all episodes
    turning: "Turning | None" = None  # how it is turned at another place; None: it lies as it lay
    taken: tuple[Place, ...] = ()  # placements that others are to keep away from


@dataclass(frozen=True)
class Turning:
    """An object that is turned where it is moved, and what it looks like then."""

    block: Block
    motion: Callable[[tuple[float, float]], Float[np.ndarray, "4 4"]]  # of a shift (m, base frame)


@dataclass(frozen=True)
class Refusal:
    """A place that was free, and why the motion to it is not possible."""

    place: Place
    shift_m: tuple[float, float] | None
    reason: str


@dataclass
class _Sampler:
    """One run of `sample_placements`: what stays the same, and what has been found."""

    scene: Scene
    config: PlacementConfig
    generator: torch.Generator
    free: Float[np.ndarray, "h w"]  # distance to the nearest pixel that is not free, px
    home: Place
    size_px: float
    taken: list[Place] = field(default_factory=list)


def sample_placements(
    scene: Scene,
    config: PlacementConfig,
    count: int,
    generator: torch.Generator,
    feasible: Callable[[Placement], None] | None = None,
) -> tuple[list[Placement], list[Refusal]]:
    """Up to `count` placements, each far from the others, and the places that `feasible` refused with a PlanError.

    Each is the best of several random candidates (uniform on the plane, or in the image without a camera): the one
    farthest from all places taken before. Fewer than `count` are returned where there is no more room.

    Source: Mitchell 1991, "Spectrally optimal sampling for distribution ray tracing", section 4.

    Raises:
        PlanError: there is no free place at all.
    """
    sampler = _start(scene, config, generator)
    placements, refusals = [], []
    for _ in range(count * REFUSALS):
        if len(placements) == count or len(refusals) >= count * REFUSALS:
            break
        found = _propose(sampler)
        if found is None:
            break
        place, placement = found
        try:
            if feasible is not None:
                feasible(placement)
        except PlanError as error:
            refusals.append(Refusal(place, placement.shift_m, str(error)))
            sampler.taken.append(place)  # look elsewhere
            continue
        placements.append(placement)
        sampler.taken.append(place)
    if not placements and not refusals:
        raise PlanError(
            f"no free place for the object: of the frame {float(scene.support.float().mean()):.0%} is support; "
            "give placement.polygon_px, or loosen placement.clearance_sizes or placement.apart_sizes"
        )
    return placements, refusals


def place_at(scene: Scene, config: PlacementConfig, xy_px: tuple[float, float]) -> Placement:
    """The object put exactly there, whatever it stands on.

    Raises:
        PlanError: it would leave the frame, touch the robot, or lie at the episode's other end.
    """
    sampler = _start(scene, config, torch.Generator())
    place = place_of(xy_px, scene.camera, scene.plane_z_m)
    if place.xy_m is not None and not np.isfinite(place.xy_m).all():
        raise PlanError(f"the object cannot be put at ({xy_px[0]:.0f}, {xy_px[1]:.0f}): no table is seen so high up")
    placement = _moved(sampler, place)
    trouble = _in_the_way(sampler, placement)
    if trouble:
        raise PlanError(f"the object cannot be put at ({xy_px[0]:.0f}, {xy_px[1]:.0f}): {trouble}")
    return placement


def place_of(xy_px: tuple[float, float], camera: Camera | None, plane_z_m: float) -> Place:
    """A pixel as a place."""
    if camera is None:
        return Place(xy_px, None)
    x, y, _ = camera.unproject(np.array([xy_px]), plane_z_m)[0]
    return Place(xy_px, (float(x), float(y)))


def _start(scene: Scene, config: PlacementConfig, generator: torch.Generator) -> _Sampler:
    moved = scene.start if config.kind == "start" else scene.goal
    size = float(np.sqrt(int(area(moved))))
    open_pixels = np.pad((scene.support & ~scene.robot).numpy().astype(np.uint8), 1)
    free = cv2.distanceTransform(open_pixels, cv2.DIST_L2, 5)[1:-1, 1:-1].astype(np.float64)
    home = place_of(tuple(centroid(moved).tolist()), scene.camera, scene.plane_z_m)
    return _Sampler(scene, config, generator, free, home, size, list(scene.taken))


def _uniform(generator: torch.Generator, low: float, high: float) -> float:
    return low + (high - low) * float(torch.rand((), generator=generator, dtype=torch.float64))


def _propose(sampler: _Sampler) -> tuple[Place, Placement] | None:
    """The free candidate farthest from what is taken; None where no candidate is free."""
    box = _box(sampler)
    for _ in range(ROUNDS):
        drawn = [_candidate(sampler, box) for _ in range(sampler.config.candidates)]
        places = [place for place in drawn if place is not None]
        for place in sorted(places, key=lambda one: -_nearest(one, sampler.taken)):
            placement = _placement(sampler, place)
            if placement is not None:
                return place, placement
    return None


def _box(sampler: _Sampler) -> tuple[float, float, float, float]:
    """Left, right, low and high of where candidates are drawn: on the plane, or in the image."""
    rows, columns = np.nonzero(sampler.free > 0)
    if not len(rows):
        return (0.0, 0.0, 0.0, 0.0)
    if sampler.scene.camera is None:
        return float(columns.min()), float(columns.max()), float(rows.min()), float(rows.max())
    points = sampler.scene.camera.unproject(
        np.stack([columns, rows], axis=1)[::7].astype(np.float64), sampler.scene.plane_z_m
    )
    seen = np.isfinite(points).all(axis=1)
    points = points[seen]
    if sampler.scene.reach is not None:
        points = points[sampler.scene.reach(points)]
    if not len(points):
        return (0.0, 0.0, 0.0, 0.0)
    (left, low, _), (right, high, _) = points.min(axis=0), points.max(axis=0)
    return float(left), float(right), float(low), float(high)


def _candidate(sampler: _Sampler, box: tuple[float, float, float, float]) -> Place | None:
    """A random place; None where it is out of reach, out of the frame, or not free."""
    scene = sampler.scene
    x, y = _uniform(sampler.generator, *box[:2]), _uniform(sampler.generator, *box[2:])
    place = Place((x, y), None)
    if scene.camera is not None:
        point = np.array([[x, y, scene.plane_z_m]])
        if not scene.camera.visible(point)[0] or (scene.reach is not None and not scene.reach(point)[0]):
            return None
        column, row = scene.camera.project(point)[0]
        place = Place((float(column), float(row)), (x, y))
    column, row = (round(value) for value in place.xy_px)
    height, width = scene.support.shape
    inside = 0 <= column < width and 0 <= row < height
    return place if inside and sampler.free[row, column] > 0 else None


def _placement(sampler: _Sampler, place: Place) -> Placement | None:
    """The object put there; None where it would touch the robot, another object, the goal or the frame's edge."""
    placement = _moved(sampler, place)
    return placement if _stands_free(sampler, placement) and not _in_the_way(sampler, placement) else None


def _moved(sampler: _Sampler, place: Place) -> Placement:
    """The object put there, its size by perspective."""
    scene, config, home = sampler.scene, sampler.config, sampler.home
    scale = 1.0
    if scene.camera is not None:
        points = np.array([[*place.xy_m, scene.plane_z_m], [*home.xy_m, scene.plane_z_m]])
        new, old = scene.camera.px_per_m(points)
        scale = float(new / old)
    moved = scene.start if config.kind == "start" else scene.goal
    shift_px = (place.xy_px[0] - home.xy_px[0], place.xy_px[1] - home.xy_px[1])
    placed, motion = shift(moved, shift_px, scale), None
    shift_m = None if home.xy_m is None else (place.xy_m[0] - home.xy_m[0], place.xy_m[1] - home.xy_m[1])
    if scene.turning is not None:
        placed, motion, shift_px = _turned(scene, home, shift_m)
    return Placement(
        kind=config.kind,
        start=placed if config.kind == "start" else scene.start,
        goal=placed if config.kind == "goal" else scene.goal,
        shift_px=shift_px,
        scale=scale,
        shift_m=shift_m,
        nearest_real_px=_nearest(Place(place.xy_px, None), list(scene.real or (home,))),
        nearest_real_m=None if place.xy_m is None else _nearest(place, list(scene.real or (home,))),
        motion_m=motion,
    )


def _turned(
    scene: Scene, home: Place, shift_m: tuple[float, float]
) -> tuple[Bool[Tensor, "h w"], Float[np.ndarray, "4 4"], tuple[float, float]]:
    """The outline of the object moved and turned, its rigid motion, and how far its centre goes in the picture."""
    motion = scene.turning.motion(shift_m)
    drawn = scene.turning.block.moved(motion)
    outline = torch.zeros_like(scene.start) if drawn is None else torch.from_numpy(drawn[1] > 0.5)
    centre = motion[:3, :3] @ np.array([*home.xy_m, scene.plane_z_m]) + motion[:3, 3]
    x, y = scene.camera.project(centre[None])[0] - home.xy_px
    return outline, motion, (float(x), float(y))


def _stands_free(sampler: _Sampler, placement: Placement) -> bool:
    """Its lower half on the support, with room around it."""
    config, size = sampler.config, sampler.size_px * placement.scale
    placed = placement.start if placement.kind == "start" else placement.goal
    if not placed.any():
        return False
    rows = torch.nonzero(placed.any(dim=1))[:, 0]
    foot = placed.clone()
    foot[: int(rows.float().median())] = False
    clear = torch.from_numpy(sampler.free > 0)
    if float(clear[foot].float().mean()) < config.support_share:
        return False
    column, row = (round(value) for value in centroid(foot).tolist())
    return bool(
        sampler.free[row, column] >= (0.4 + config.clearance_sizes) * size  # the foot's own half width, and the rest
    )


def _in_the_way(sampler: _Sampler, placement: Placement) -> str:
    """Why the object cannot be there whatever it stands on; "" where it can."""
    scene, config, size = sampler.scene, sampler.config, sampler.size_px * placement.scale
    placed, fixed = placement.start, placement.goal
    if placement.kind == "goal":
        placed, fixed = fixed, placed
    border = torch.ones_like(placed)
    border[1:-1, 1:-1] = False
    if int(area(placed)) < 0.8 * size**2 or (placed & border).any():
        return "a part of it would be outside the frame"
    if (placed & scene.robot).any():
        return "the robot is there"
    apart = float(torch.linalg.vector_norm(centroid(placed) - centroid(fixed)))
    least = config.apart_sizes * sampler.size_px
    if apart < least:
        return (
            f"the other end of the episode's motion is {apart:.0f} px away, placement.apart_sizes asks for {least:.0f}"
        )
    return ""


def _nearest(place: Place, others: list[Place]) -> float:
    """Distance to the nearest of `others`: in metres where both have them, else in pixels; infinite without others."""
    if not others:
        return float("inf")
    if place.xy_m is not None and all(other.xy_m is not None for other in others):
        return min(float(np.hypot(place.xy_m[0] - o.xy_m[0], place.xy_m[1] - o.xy_m[1])) for o in others)
    return min(float(np.hypot(place.xy_px[0] - o.xy_px[0], place.xy_px[1] - o.xy_px[1])) for o in others)
