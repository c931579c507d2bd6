"""The surface that the object stands on, as far as the camera sees it bare."""

from collections.abc import Callable

import cv2
import numpy as np
import torch
from jaxtyping import Bool, Float
from torch import Tensor

from m2iv_robot.camera import Camera
from m2iv_robot.errors import PlanError
from m2iv_robot.placement.config import PlacementConfig
from m2iv_robot.types import Plate

RING_SIZES = 0.8  # width of the ring around an object that shows its support, in sizes of the object
EDGE_SIZES = 1 / 3  # width of a smoothed edge, in sizes of the object
SPREAD = np.array([[2.0, 1.0, 1.0], [4.0, 2.0, 2.0]])  # least and most of one surface's colour (Lab units)
STRANGE_SHARE = 0.5  # of a place's ring that may differ from the support before it counts as another surface


def polygon_mask(corners_px: list[float], height: int, width: int) -> Bool[Tensor, "h w"]:
    """The inside of a polygon given as x1, y1, x2, y2, ...

    Raises:
        PlanError: no corner's surroundings lie in the frame.
    """
    corners = np.round(np.array(corners_px, dtype=np.float64).reshape(-1, 2)).astype(np.int32)
    canvas = np.zeros((height, width), np.uint8)
    cv2.fillPoly(canvas, [corners], 1)
    if not canvas.any():
        raise PlanError(f"placement.polygon_px lies outside the frame of {width} x {height} pixels")
    return torch.from_numpy(canvas.astype(bool))


def find_support(plate: Plate, places: list[Bool[Tensor, "h w"]], config: PlacementConfig) -> Bool[Tensor, "h w"]:
    """The part of the plate that is one surface with what lies at the foot of `places`, where the object really rested.

    A pixel belongs to it when its colour, smoothed over about a third of the object, is near that at one of the feet,
    and when no edge sharper than the surface's own texture separates it from them. Shading may drift. What is seen
    beside an object's upper half may be a wall behind it.

    Raises:
        PlanError: no place, or none of its surroundings is known in the plate.
    """
    if not places:
        raise PlanError("no place of the object is known; the support cannot be told: give placement.polygon_px")
    size = float(np.median([np.sqrt(max(int(place.sum()), 1)) for place in places]))
    colour = smooth_colour(plate, size)
    known = plate.known.numpy()
    rings = [foot_of(place.numpy(), size) & known for place in places]
    seeds = np.logical_or.reduce(rings)
    if not seeds.any():
        raise PlanError("the plate shows nothing around the object; more episodes, or placement.polygon_px, are needed")
    edge = edge_strength(colour)
    limit = np.median(edge[seeds]) + config.step * 1.4826 * np.median(np.abs(edge[seeds] - np.median(edge[seeds])))
    smooth = edge <= max(limit, 1.0)
    near = colour_distance(colour, rings) <= config.colour_spread
    surface = (smooth & near).astype(np.uint8)
    count, labels = cv2.connectedComponents(surface, connectivity=4)
    touched = [label for label in range(1, count) if (labels[seeds] == label).mean() > 0.02]
    surface = np.isin(labels, touched).astype(np.uint8)
    kernel = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (2 * round(EDGE_SIZES * size) + 1,) * 2)
    surface = surface.astype(bool) | (cv2.dilate(surface, kernel).astype(bool) & near)  # edges are as wide as smoothed
    return torch.from_numpy(fill_specks(surface, size))


def smooth_colour(plate: Plate, size_px: float) -> Float[np.ndarray, "h w 3"]:
    """The plate in Lab units, smoothed over about a third of the object's size."""
    image = np.ascontiguousarray(plate.image.permute(1, 2, 0).numpy()).astype(np.float32) / 255.0
    lab = cv2.cvtColor(image, cv2.COLOR_RGB2Lab)
    return cv2.GaussianBlur(lab, (0, 0), max(0.8, size_px / 6)).astype(np.float64)


def ring_of(mask: Bool[np.ndarray, "h w"], size_px: float) -> Bool[np.ndarray, "h w"]:
    """What lies around an object, but for the pixels right at its outline."""
    inner = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (2 * round(0.25 * size_px) + 3,) * 2)
    outer = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (2 * round(RING_SIZES * size_px) + 5,) * 2)
    grown = mask.astype(np.uint8)
    return cv2.dilate(grown, outer).astype(bool) & ~cv2.dilate(grown, inner).astype(bool)


def foot_of(mask: Bool[np.ndarray, "h w"], size_px: float) -> Bool[np.ndarray, "h w"]:
    """The ring around an object's lower half."""
    ring = ring_of(mask, size_px)
    ring[: int(np.median(np.nonzero(mask)[0]))] = False
    return ring


def edge_strength(colour: Float[np.ndarray, "h w 3"]) -> Float[np.ndarray, "h w"]:
    """Length of the colour's gradient, Lab units per pixel."""
    across = np.stack([cv2.Sobel(colour[..., channel], -1, 1, 0, scale=0.125) for channel in range(3)])
    down = np.stack([cv2.Sobel(colour[..., channel], -1, 0, 1, scale=0.125) for channel in range(3)])
    return np.sqrt((across**2 + down**2).sum(0))


def colour_distance(
    colour: Float[np.ndarray, "h w 3"], rings: list[Bool[np.ndarray, "h w"]]
) -> Float[np.ndarray, "h w"]:
    """How many standard deviations each pixel's colour lies from the nearest of the rings' colours."""
    pooled = np.concatenate([colour[ring] - np.median(colour[ring], axis=0) for ring in rings if ring.any()])
    spread = np.clip(1.4826 * np.median(np.abs(pooled), axis=0), *SPREAD)
    centres = [np.median(colour[ring], axis=0) for ring in rings if ring.any()]
    distances = [np.linalg.norm((colour - centre) / spread, axis=2) for centre in centres]
    return np.min(distances, axis=0)


def fill_specks(surface: Bool[np.ndarray, "h w"], size_px: float) -> Bool[np.ndarray, "h w"]:
    """Without holes smaller than a quarter of the object, and without threads thinner than a fifth of it."""
    count, labels, stats, _ = cv2.connectedComponentsWithStats((~surface).astype(np.uint8), connectivity=4)
    small = [label for label in range(1, count) if stats[label, cv2.CC_STAT_AREA] < 0.25 * size_px**2]
    filled = (surface | np.isin(labels, small)).astype(np.uint8)
    kernel = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (max(1, round(0.2 * size_px)) | 1,) * 2)
    return cv2.morphologyEx(filled, cv2.MORPH_OPEN, kernel).astype(bool)


def on_the_plane(
    camera: Camera, plane_z_m: float, size: tuple[int, int], reach: Callable[[Float[np.ndarray, "n 3"]], np.ndarray]
) -> Bool[Tensor, "h w"]:
    """The pixels whose rays meet the support's plane where the arm reaches: no wall, and nothing above the horizon.

    `size` is height and width, `reach` whether the fingertips can be at some points (base frame).
    """
    rows, columns = np.mgrid[: size[0], : size[1]]
    points = camera.unproject(np.stack([columns.ravel(), rows.ravel()], axis=1).astype(np.float64), plane_z_m)
    met = np.isfinite(points).all(axis=1)
    met[met] = reach(points[met])
    return torch.from_numpy(met.reshape(size))


def stands_elsewhere(support: Bool[Tensor, "h w"], place: Bool[Tensor, "h w"], plate: Plate) -> bool:
    """Whether the object at `place` stands in or on something that is not the support."""
    size = float(np.sqrt(max(int(place.sum()), 1)))
    around = ring_of(place.numpy(), size) & plate.known.numpy()
    return bool(around.any() and support.numpy()[around].mean() < 1 - STRANGE_SHARE)
