"""An arm's surface in the picture: which of its points each pixel shows, and the camera moved until outlines agree."""

from dataclasses import replace

import cv2
import numpy as np
from jaxtyping import Bool, Float, Int
from torch import Tensor

from m2iv_robot.arm.outline import apart
from m2iv_robot.camera import Camera
from m2iv_robot.kinematics import Surface

NEAREST_M = 0.02  # points nearer to the camera's plane are not shown
ROUNDS = 6
FRAMES = 24
FAR_PX = 8.0  # between outlines that still belong together, for an image 320 wide
AROUND_OBJECT_PX = 4


def placed(surface: Surface, pose: Float[np.ndarray, "l 4 4"]) -> Float[np.ndarray, "n 3"]:
    """The surface's points in the base frame."""
    turns, shifts = pose[surface.link, :3, :3], pose[surface.link, :3, 3]
    return np.einsum("nij,nj->ni", turns, surface.points_m) + shifts


def splat(points_m: Float[np.ndarray, "n 3"], camera: Camera, spacing_m: float) -> Int[np.ndarray, "h w"]:
    """Which point each pixel shows, the nearest one; -1 where none. Points are squares as large as their spacing."""
    depth = camera.depth_m(points_m)
    pixels = np.nan_to_num(camera.project(points_m), nan=-1e6)
    order = np.argsort(-depth)
    order = order[depth[order] > NEAREST_M]
    shown = np.full((camera.height, camera.width), -1)
    if not len(order):
        return shown
    reach = max(1, round(spacing_m * camera.focal_px / float(np.median(depth[order]))))
    offset = np.arange(-reach, reach + 1)
    x = np.round(pixels[order, 0])[:, None, None] + offset
    y = np.round(pixels[order, 1])[:, None, None] + offset[:, None]
    x, y = np.broadcast_arrays(x, y)
    inside = (x >= 0) & (x < camera.width) & (y >= 0) & (y < camera.height)
    which = np.broadcast_to(order[:, None, None], x.shape)[inside]
    shown[y[inside].astype(int), x[inside].astype(int)] = which  # of several the last stays: the nearest
    return shown


def align(
    camera: Camera,
    surface: Surface,
    poses: Float[np.ndarray, "t l 4 4"],
    masks: tuple[Bool[Tensor, "t h w"], Bool[Tensor, "t h w"]],
) -> Camera:
    """The camera moved sideways until the surface's outline lies on the masks: what beads leave open.

    `masks`: the actor's, and those of what may stand before it.
    Source: Besl & McKay 1992, "A method for registration of 3-D shapes", with a shift of the picture alone.
    """
    actor, ignore = masks
    chosen = apart(poses[..., :3, 3].reshape(len(poses), -1), FRAMES)
    points = [placed(surface, poses[frame]) for frame in chosen]
    depth = float(np.median(np.concatenate([camera.depth_m(part) for part in points])))
    limit = FAR_PX * camera.width / 320
    for _ in range(ROUNDS):
        gaps = [
            outline_gap(splat(part, camera, surface.spacing_m) >= 0, actor[frame].numpy(), ignore[frame].numpy())
            for part, frame in zip(points, chosen, strict=True)
        ]
        gap = np.concatenate(gaps)
        gap = gap[np.linalg.norm(gap, axis=1) < limit]
        if not len(gap):
            return camera
        shift = np.concatenate([np.clip(gap, -limit / 2, limit / 2).mean(0) * 2 * depth / camera.focal_px, [0.0]])
        camera = replace(camera, translation=camera.translation + shift)
    return camera


def outline_gap(
    shown: Bool[np.ndarray, "h w"], wanted: Bool[np.ndarray, "h w"], ignore: Bool[np.ndarray, "h w"]
) -> Float[np.ndarray, "n 2"]:
    """From each pixel of an outline to the nearest one of the wanted outline."""
    mine, other = rim(shown), rim(wanted)
    if not other.any():
        return np.zeros((0, 2))
    around = np.ones((2 * AROUND_OBJECT_PX + 1,) * 2, np.uint8)
    mine &= cv2.dilate(ignore.astype(np.uint8), around) == 0
    _, labels = cv2.distanceTransformWithLabels(
        (~other).astype(np.uint8), cv2.DIST_L2, cv2.DIST_MASK_5, labelType=cv2.DIST_LABEL_PIXEL
    )
    rows, columns = np.nonzero(other)
    lookup = np.zeros((labels.max() + 1, 2))
    lookup[labels[rows, columns]] = np.stack([columns, rows], axis=1)
    y, x = np.nonzero(mine)
    return lookup[labels[y, x]] - np.stack([x, y], axis=1)


def rim(mask: Bool[np.ndarray, "h w"]) -> Bool[np.ndarray, "h w"]:
    """The outermost pixels of a mask, but for those at the picture's border."""
    inner = cv2.erode(mask.astype(np.uint8), np.ones((3, 3), np.uint8), borderValue=1) > 0
    found = mask & ~inner
    found[[0, -1]] = found[:, [0, -1]] = False
    return found
