"""What may stand behind one outline: an upright block on the table, and how it looks when it is moved and turned.

The block is the largest upright prism whose outline is the one seen: the visual hull of one view (Laurentini 1994, "The
visual hull concept for silhouette-based image understanding"), its height given. Of its sides those that the camera
does not see are taken to look like the opposite ones.
"""

from dataclasses import dataclass, replace

import cv2
import numpy as np
from jaxtyping import Bool, Float, Int
from torch import Tensor

from m2iv_robot.camera.pinhole import Camera
from m2iv_robot.masks import from_nearest

FINER = 3  # the block is drawn so many times finer than the picture
INSIDE_PX = 1.0  # colours are taken so far inside the outline, where the background does not shine through
HALF_HEIGHTS_M = np.geomspace(0.004, 0.06, 14)
ALIKE = 0.02  # outlines' agreement that says nothing


@dataclass(frozen=True)
class Block:
    """Points of a block's surface where it was seen, and the pixel that shows what each looks like."""

    camera: Camera
    points_m: Float[np.ndarray, "n 3"]  # base frame
    pixels: Float[np.ndarray, "n 2"]  # in the picture in which its outline was seen

    def points_at(self, motion: Float[np.ndarray, "4 4"]) -> Float[np.ndarray, "n 3"]:
        """Its points after a rigid motion of the base frame."""
        return self.points_m @ motion[:3, :3].T + motion[:3, 3]

    def moved(
        self, motion: Float[np.ndarray, "4 4"]
    ) -> tuple[Float[np.ndarray, "h w 2"], Float[np.ndarray, "h w"]] | None:
        """The block after a rigid motion (base frame): where each pixel's colour comes from, how much of it is covered.

        Pixels beside the block have the colour of its nearest. None where nothing of it is in the picture.
        """
        finer = _finer(self.camera)
        shown, (left, top) = _drawn(self.points_at(motion), finer)
        if shown is None:
            return None
        parts = shown.reshape(shown.shape[0] // FINER, FINER, shown.shape[1] // FINER, FINER)
        parts = parts.transpose(0, 2, 1, 3).reshape(shown.shape[0] // FINER, -1, FINER * FINER)
        cover = np.zeros((self.camera.height, self.camera.width), np.float32)
        which = np.full(cover.shape, -1)
        rows, columns = slice(top, top + parts.shape[0]), slice(left, left + parts.shape[1])
        cover[rows, columns] = (parts >= 0).mean(-1)
        centre = parts[..., FINER * FINER // 2]
        which[rows, columns] = np.where(centre >= 0, centre, parts.max(-1))
        if not (cover > 0).any():
            return None
        return self.pixels[from_nearest(which)].astype(np.float32), cover


def block_behind(outline: Bool[Tensor, "h w"], camera: Camera, centre_z_m: float, half_height_m: float) -> Block | None:
    """The block of that height whose outline is `outline`; None where none of it can have that height.

    `centre_z_m`: height of its middle, base frame.
    """
    seen = outline.numpy()
    low, high = centre_z_m - half_height_m, centre_z_m + half_height_m
    spacing = _spacing(seen, camera, centre_z_m)
    if not np.isfinite(spacing) or camera.position_m[2] <= high:
        return None
    grid = _grid(seen, camera, (low, high), spacing)
    if grid is None:
        return None
    x, y = np.meshgrid(*grid)
    inside = np.ones(x.shape, bool)
    for height in (low, high):
        inside &= _within(seen, camera.project(np.stack([x.ravel(), y.ravel(), np.full(x.size, height)], 1))).reshape(
            x.shape
        )
    inside = _largest(inside)
    if inside.sum() < 4:
        return None
    top = np.stack([x[inside], y[inside], np.full(int(inside.sum()), high)], axis=1)
    sides, like = _sides((x, y), inside, camera, np.arange(low, high, spacing))
    pixels = camera.project(np.concatenate([top, like]))
    return Block(camera, np.concatenate([top, sides]), _drawn_inwards(pixels, seen))


def half_height(
    seen: list[tuple[Bool[Tensor, "h w"], Bool[Tensor, "h w"], float]], camera: Camera, centre_z_m: float
) -> tuple[float, float]:
    """Half the height (m) of a thing seen at two places each time, and how well blocks of it tell one from the other.

    `seen`: two outlines and how far it was turned between them (radians, counter-clockwise from above). The agreement
    is the mean intersection over union of the second outline and the block behind the first, turned and brought there,
    and the other way round; of heights that agree alike, the middle one is taken.
    """
    pairs = [way for first, second, turn in seen for way in ((first, second, turn), (second, first, -turn))]
    ways = [_brought(*pair, camera, centre_z_m) for pair in pairs]
    agreements = []
    for half in HALF_HEIGHTS_M:
        found = []
        for (here, there, _), way in zip(pairs, ways, strict=True):
            block = block_behind(here, camera, centre_z_m, float(half))
            drawn = None if block is None else block.moved(way)
            wanted = there.numpy()
            shown = np.zeros_like(wanted) if drawn is None else drawn[1] > 0.5
            found.append((shown & wanted).sum() / max(1, (shown | wanted).sum()))
        agreements.append(float(np.mean(found)))
    best = np.flatnonzero(np.array(agreements) >= max(agreements) - ALIKE)
    chosen = best[len(best) // 2]
    return float(HALF_HEIGHTS_M[chosen]), agreements[chosen]


def _brought(
    first: Bool[Tensor, "h w"], second: Bool[Tensor, "h w"], turn_rad: float, camera: Camera, z_m: float
) -> Float[np.ndarray, "4 4"]:
    """The motion on the table that turns one outline's centre and brings it to the other's."""
    centres_px = np.array([np.argwhere(mask.numpy())[:, ::-1].mean(0) for mask in (first, second)])
    here, there = camera.unproject(centres_px, z_m)
    motion = np.eye(4)
    motion[:2, :2] = [[np.cos(turn_rad), -np.sin(turn_rad)], [np.sin(turn_rad), np.cos(turn_rad)]]
    motion[:3, 3] = there - motion[:3, :3] @ here
    return motion


def _finer(camera: Camera) -> Camera:
    return replace(camera, focal_px=FINER * camera.focal_px, width=FINER * camera.width, height=FINER * camera.height)


def _drawn(points_m: Float[np.ndarray, "n 3"], camera: Camera) -> tuple[Int[np.ndarray, "a b"] | None, tuple[int, int]]:
    """Which point is seen in the part of a picture where points are, -1 for none; its corner in picture pixels."""
    depth = camera.depth_m(points_m)
    pixels = camera.project(points_m)
    order = np.argsort(-depth)
    order = order[(depth[order] > 0) & np.isfinite(pixels[order]).all(1)]
    at = np.round(pixels[order]).astype(int)
    low = np.maximum((at.min(0, initial=10**6) - 1) // FINER, 0)
    high = np.minimum((at.max(0, initial=-1) + 1) // FINER + 1, [camera.width // FINER, camera.height // FINER])
    if (high <= low).any():
        return None, (0, 0)
    width, height = FINER * (high - low)
    shown = np.full((height, width), -1)
    offset = np.arange(-1, 2)
    x = (at[:, 0] - FINER * low[0])[:, None, None] + offset
    y = (at[:, 1] - FINER * low[1])[:, None, None] + offset[:, None]
    x, y = np.broadcast_arrays(x, y)
    inside = (x >= 0) & (x < width) & (y >= 0) & (y < height)
    shown[y[inside], x[inside]] = np.broadcast_to(order[:, None, None], x.shape)[inside]  # the last is the nearest
    return shown, (int(low[0]), int(low[1]))


def _spacing(seen: Bool[np.ndarray, "h w"], camera: Camera, z_m: float) -> float:
    """Metres between points of the surface: two of the fine pixels."""
    rows, columns = np.nonzero(seen)
    if not len(rows):
        return float("nan")
    middle = camera.unproject(np.array([[columns.mean(), rows.mean()]]), z_m)
    return float(2 / FINER / camera.px_per_m(middle)[0])


def _grid(
    seen: Bool[np.ndarray, "h w"], camera: Camera, heights_m: tuple[float, float], spacing_m: float
) -> tuple[Float[np.ndarray, " a"], Float[np.ndarray, " b"]] | None:
    """Columns and rows of points on the table below and behind the outline."""
    rows, columns = np.nonzero(seen)
    pixels = np.stack([columns, rows], axis=1).astype(np.float64)
    points = np.concatenate([camera.unproject(pixels, height) for height in heights_m])
    if not np.isfinite(points).all():
        return None
    low, high = points[:, :2].min(0) - 2 * spacing_m, points[:, :2].max(0) + 2 * spacing_m
    return np.arange(low[0], high[0], spacing_m), np.arange(low[1], high[1], spacing_m)


def _within(seen: Bool[np.ndarray, "h w"], pixels: Float[np.ndarray, "n 2"]) -> Bool[np.ndarray, " n"]:
    at = np.nan_to_num(pixels, nan=-10.0).astype(np.float32)
    return cv2.remap(seen.astype(np.float32), at[None, :, 0], at[None, :, 1], cv2.INTER_LINEAR)[0] >= 0.5


def _largest(inside: Bool[np.ndarray, "a b"]) -> Bool[np.ndarray, "a b"]:
    count, labels, stats, _ = cv2.connectedComponentsWithStats(inside.astype(np.uint8), connectivity=4)
    return inside if count < 2 else labels == 1 + int(stats[1:, cv2.CC_STAT_AREA].argmax())


def _sides(
    grid: tuple[Float[np.ndarray, "a b"], Float[np.ndarray, "a b"]],
    inside: Bool[np.ndarray, "a b"],
    camera: Camera,
    heights_m: Float[np.ndarray, " k"],
) -> tuple[Float[np.ndarray, "n 3"], Float[np.ndarray, "n 3"]]:
    """Points of the sides, and for each a point of a side in view that it looks like: itself, or the opposite one."""
    filled = inside.astype(np.uint8)
    rim = inside & (cv2.erode(filled, np.ones((3, 3), np.uint8), borderValue=0) == 0)
    smooth = cv2.GaussianBlur(filled.astype(np.float32), (0, 0), 3.0)
    outward = -np.stack([cv2.Sobel(smooth, cv2.CV_32F, 1, 0), cv2.Sobel(smooth, cv2.CV_32F, 0, 1)], axis=-1)[rim]
    around = np.stack([grid[0][rim], grid[1][rim]], axis=1)
    seen = (outward * (camera.position_m[:2] - around)).sum(1) > 0
    like = around.copy()
    if seen.any():
        opposite = np.array([grid[0][inside].mean(), grid[1][inside].mean()]) * 2 - around[~seen]
        gaps = np.linalg.norm(opposite[:, None] - around[seen][None], axis=-1)
        like[~seen] = around[seen][gaps.argmin(1)]
    stacked = [
        np.stack(
            [np.tile(flat[:, axis], len(heights_m)) for axis in (0, 1)] + [np.repeat(heights_m, len(flat))], axis=1
        )
        for flat in (around, like)
    ]
    return stacked[0], stacked[1]


def _drawn_inwards(pixels: Float[np.ndarray, "n 2"], seen: Bool[np.ndarray, "h w"]) -> Float[np.ndarray, "n 2"]:
    """Pixels, those at the outline's edge or beyond it moved to the nearest well inside."""
    depth = cv2.distanceTransform(np.pad(seen.astype(np.uint8), 1), cv2.DIST_L2, 5)[1:-1, 1:-1]
    inner = depth > INSIDE_PX if (depth > INSIDE_PX).any() else seen
    number = np.where(inner, np.arange(seen.size).reshape(seen.shape), -1)
    source = from_nearest(number)
    height, width = seen.shape
    column, row = (
        np.clip(np.round(pixels[:, axis]).astype(int), 0, size - 1) for axis, size in ((0, width), (1, height))
    )
    at = source[row, column]
    edge = ~inner[row, column]
    moved = pixels.copy()
    moved[edge] = np.stack([at[edge] % width, at[edge] // width], axis=1)
    return moved
