"""The table as a map seen from above, laid out of a moving camera's pictures, and what a camera would see of it.

Every texel keeps its few sharpest bare views, and shows their median.
"""

from dataclasses import dataclass
from functools import cached_property

import cv2
import numpy as np
from jaxtyping import Bool, Float, UInt8

from m2iv_robot.camera import Camera
from m2iv_robot.masks import from_nearest

FINEST_M = 0.0007  # width of a texel
MOST_TEXELS = 1100  # to a side
VIEWS = 5  # that a texel keeps
LEVELS = 5  # of the map, each half as fine as the one before
INSIDE_PX = 1.0  # so near to a picture's border nothing is taken
LEAST_COMMON = 200  # texels that both show, to bring one picture to another's colours
FARTHEST_M = 0.8  # along x and y from the base: beyond, nothing is laid


@dataclass(frozen=True)
class Floor:
    """Colours of a plane, row by row along y, texel by texel along x."""

    colours: Float[np.ndarray, "y x 3"]
    known: Bool[np.ndarray, "y x"]
    corner_m: Float[np.ndarray, "2"]  # of the first texel's middle, base frame
    texel_m: float
    height_m: float  # of the plane

    def texels(self, points_m: Float[np.ndarray, "n _"]) -> Float[np.ndarray, "n 2"]:
        """Where points of the plane are on the map (x, y)."""
        return (points_m[:, :2] - self.corner_m) / self.texel_m

    def seen_by(self, camera: Camera) -> tuple[Float[np.ndarray, "h w 3"], Bool[np.ndarray, "h w"]]:
        """What a camera sees of it, and where that is known."""
        at, size = self._looked_at(camera)
        known = cv2.remap(self.known.astype(np.uint8), at, None, cv2.INTER_NEAREST) > 0
        level = np.clip(np.round(np.log2(np.maximum(size / self.texel_m, 1))), 0, LEVELS - 1).astype(int)
        picture = np.zeros((camera.height, camera.width, 3), np.float32)
        for number, colours in enumerate(self._levels):
            wanted = level == number
            if wanted.any():
                drawn = cv2.remap(colours, at / 2**number, None, cv2.INTER_LINEAR, None, cv2.BORDER_REPLICATE)
                picture[wanted] = drawn[wanted]
        return picture, known & np.isfinite(size)

    @cached_property
    def _levels(self) -> list[np.ndarray]:
        """The colours finer and coarser; of each level the next keeps every other texel, the first one among them."""
        levels = [self.colours]
        for _ in range(1, LEVELS):
            levels.append(cv2.pyrDown(levels[-1]))
        return levels

    def _looked_at(self, camera: Camera) -> tuple[Float[np.ndarray, "h w 2"], Float[np.ndarray, "h w"]]:
        """The place on the map of every pixel, and how wide a pixel is there (m)."""
        points = plane_points(camera, self.height_m)
        size = 1 / np.maximum(sharpness(camera, points), 1e-9)
        at = np.nan_to_num(self.texels(points), nan=-1e4).astype(np.float32)
        size = np.where(np.isfinite(points[:, 0]), size, np.inf)
        return at.reshape(camera.height, camera.width, 2), size.reshape(camera.height, camera.width)


class FloorLayer:
    """Lays a floor, picture by picture."""

    def __init__(self, radius_m: float, height_m: float) -> None:
        """A square around the base, from -radius to radius along x and y."""
        radius_m = min(radius_m, FARTHEST_M)
        self.texel_m = max(FINEST_M, 2 * radius_m / MOST_TEXELS)
        self.shape = (round(2 * radius_m / self.texel_m) + 1,) * 2
        self.corner_m, self.height_m = np.full(2, -radius_m), height_m
        self.colours = np.zeros((VIEWS, *self.shape, 3), np.float32)
        self.sharp = np.zeros((VIEWS, *self.shape), np.float32)

    def add(
        self,
        camera: Camera,
        picture: Float[np.ndarray, "h w 3"],
        hidden: Bool[np.ndarray, "h w"],
    ) -> None:
        """One more picture; `hidden` pixels tell nothing."""
        place = self._span(camera)
        if place is None:
            return
        rows, columns = place
        y, x = np.mgrid[rows, columns]
        points = np.stack([x.ravel(), y.ravel()], 1) * self.texel_m + self.corner_m
        points = np.concatenate([points, np.full((len(points), 1), self.height_m)], axis=1)
        pixels = camera.project(points)
        inside = (pixels >= INSIDE_PX).all(1) & (
            pixels <= [camera.width - 1 - INSIDE_PX, camera.height - 1 - INSIDE_PX]
        ).all(1)
        at = np.where(inside[:, None], pixels, -10.0).astype(np.float32).reshape(*x.shape, 2)
        seen = inside.reshape(x.shape) & (cv2.remap(hidden.astype(np.uint8), at, None, cv2.INTER_NEAREST) == 0)
        sharp = np.where(seen, sharpness(camera, points).reshape(x.shape), 0.0).astype(np.float32)
        colours = cv2.remap(picture, at, None, cv2.INTER_LINEAR)
        self._keep(place, self._like_the_rest(place, colours, seen), sharp)

    def _span(self, camera: Camera) -> tuple[slice, slice] | None:
        """Rows and columns of the map that a camera may see."""
        points = plane_points(camera, self.height_m)
        near = np.isfinite(points).all(1) & (np.abs(points[:, :2]) < 2 * FARTHEST_M).all(1)
        if not near.any():
            return None
        at = (points[near, :2] - self.corner_m) / self.texel_m
        low = np.maximum(np.floor(at.min(0)).astype(int), 0)
        high = np.minimum(np.ceil(at.max(0)).astype(int) + 1, self.shape[::-1])
        return None if (high <= low).any() else (slice(low[1], high[1]), slice(low[0], high[0]))

    def _like_the_rest(self, place: tuple[slice, slice], colours: np.ndarray, seen: np.ndarray) -> np.ndarray:
        """A picture's colours at the exposure of what is laid already."""
        laid = self.sharp[(slice(None), *place)].max(0) > 0
        common = laid & seen
        if common.sum() < LEAST_COMMON:
            return colours
        best = self.sharp[(slice(None), *place)].argmax(0)
        known = np.take_along_axis(self.colours[(slice(None), *place)], best[None, ..., None], 0)[0]
        gain = np.median((known[common] + 1) / (colours[common] + 1), axis=0)
        return colours * gain.astype(np.float32)

    def _keep(self, place: tuple[slice, slice], colours: np.ndarray, sharp: np.ndarray) -> None:
        """Views that are sharper than the worst one kept take its place."""
        kept = self.sharp[(slice(None), *place)]
        worst = kept.argmin(0)
        rows, columns = np.nonzero(sharp > np.take_along_axis(kept, worst[None], 0)[0])
        slot = worst[rows, columns]
        kept[slot, rows, columns] = sharp[rows, columns]
        self.colours[(slice(None), *place)][slot, rows, columns] = colours[rows, columns]

    def laid(self) -> Floor:
        """The floor so far."""
        valid = self.sharp > 0
        count = valid.sum(0)
        ordered = np.sort(np.where(valid[..., None], self.colours, np.inf), axis=0)
        middle = np.maximum(count - 1, 0) // 2
        colours = np.take_along_axis(ordered, middle[None, ..., None], 0)[0]
        known = count > 0
        return Floor(spread_out(colours, known), known, self.corner_m, self.texel_m, self.height_m)


def filled_from(floor: Floor, other: Floor) -> Floor:
    """A floor with what it lacks from another one of the same map, at its own exposure."""
    both = floor.known & other.known
    gain = np.ones(3)
    if both.sum() >= LEAST_COMMON:
        gain = np.median((floor.colours[both] + 1) / (other.colours[both] + 1), axis=0)
    colours = np.where(floor.known[..., None], floor.colours, np.clip(other.colours * gain, 0, 255))
    known = floor.known | other.known
    return Floor(spread_out(colours, known), known, floor.corner_m, floor.texel_m, floor.height_m)


def plane_points(camera: Camera, height_m: float) -> Float[np.ndarray, "n 3"]:
    """Where the rays of all pixels, row by row, meet the plane; NaN where they do not."""
    y, x = np.mgrid[: camera.height, : camera.width]
    return camera.unproject(np.stack([x.ravel(), y.ravel()], 1).astype(np.float64), height_m)


def sharpness(camera: Camera, points_m: Float[np.ndarray, "n 3"]) -> Float[np.ndarray, " n"]:
    """Pixels per metre at points of a horizontal plane, along the way on which it is foreshortened most."""
    away = camera.position_m - points_m
    distance = np.linalg.norm(away, axis=1)
    return camera.focal_px * np.abs(away[:, 2]) / np.maximum(distance, 1e-6) ** 2


def floor_below(
    camera: Camera, image: UInt8[np.ndarray, "h w 3"], known: Bool[np.ndarray, "h w"], like: Floor
) -> Floor:
    """What another camera's picture shows of the same map."""
    y, x = np.mgrid[: like.known.shape[0], : like.known.shape[1]]
    points = np.stack([x.ravel(), y.ravel()], 1) * like.texel_m + like.corner_m
    pixels = camera.project(np.concatenate([points, np.full((len(points), 1), like.height_m)], axis=1))
    at = np.nan_to_num(pixels, nan=-10.0).astype(np.float32).reshape(*x.shape, 2)
    colours = cv2.remap(image.astype(np.float32), at, None, cv2.INTER_LINEAR, None, cv2.BORDER_REPLICATE)
    seen = cv2.remap(known.astype(np.uint8), at, None, cv2.INTER_NEAREST) > 0
    return Floor(spread_out(colours, seen), seen, like.corner_m, like.texel_m, like.height_m)


def spread_out(colours: Float[np.ndarray, "y x 3"], known: Bool[np.ndarray, "y x"]) -> Float[np.ndarray, "y x 3"]:
    """Colours that go on beyond what is known, so that nothing dark shines in at its edge."""
    if not known.any():
        return np.zeros_like(colours, dtype=np.float32)
    nearest = from_nearest(np.where(known, np.arange(known.size).reshape(known.shape), -1))
    return colours.reshape(-1, 3)[nearest].astype(np.float32)
