"""A camera moved until the outline of an arm's surface lies on its masks: what beads leave open."""

from dataclasses import dataclass, replace

import cv2
import numpy as np
from jaxtyping import Bool, Float
from scipy.spatial.transform import Rotation
from torch import Tensor

from m2iv_robot.arm.outline import apart
from m2iv_robot.arm.shape import placed, splat
from m2iv_robot.camera import Camera
from m2iv_robot.kinematics import Surface

FRAMES = 32
ROUNDS, COARSE_ROUNDS = 14, 4
SCALE_PX = 1.5  # beyond which a pixel of the outline counts less, for an image 320 wide; three times that at first
BLUR_PX = 1.0  # by which distances are smoothed
AROUND_OBJECT_PX = 4
BORDER_PX = 2.0
FOCAL_SPREAD = 0.05  # how far the focal length may be off, as a ratio's logarithm
SWOLLEN_PX = 1.0  # by how much masks may be too large or too small all around
USUAL_WEIGHT = 0.01  # of what is usual, as a share of the outline's pixels
UNKNOWNS = 8
STILL = 1e-4  # radians and metres: a smaller step ends the search


@dataclass(frozen=True)
class _Mask:
    """An arm's mask as distances from its edge: positive beside it, negative inside."""

    frame: int
    distance: Float[np.ndarray, "h w"]
    slope: tuple[Float[np.ndarray, "h w"], Float[np.ndarray, "h w"]]
    ignore: Bool[np.ndarray, "h w"]


def align(
    camera: Camera,
    surface: Surface,
    poses: Float[np.ndarray, "t l 4 4"],
    masks: tuple[Bool[Tensor, "t h w"], Bool[Tensor, "t h w"]],
    frames: int = FRAMES,
) -> Camera:
    """The camera (pose and focal length) under which the surface's outline lies on the masks.

    `masks`: the actor's, and those of what may stand before it. Where it starts it may be a few pixels off. So many
    `frames` are compared, those whose postures differ most.
    Source: Fitzgibbon 2003, "Robust registration of 2D and 3D point sets", with the points that are at the outline now,
    and Cauchy's weights; masks may be too large or too small by a width that is found as well.
    """
    wanted = _wanted(poses, masks, frames)
    focal_px, swollen = camera.focal_px, 0.0
    for number in range(ROUNDS):
        parts = [_equations(camera, placed(surface, poses[mask.frame]), surface.spacing_m, mask) for mask in wanted]
        if sum(len(gaps) for _, gaps in parts) < UNKNOWNS:
            return camera
        slopes, gaps = (np.concatenate([part[place] for part in parts]) for place in (0, 1))
        gaps = gaps - swollen
        scale = SCALE_PX * camera.width / 320 * (3 if number < COARSE_ROUNDS else 1)
        weights = 1 / (1 + (gaps / scale) ** 2)
        usual = USUAL_WEIGHT * len(gaps) / np.array([FOCAL_SPREAD**2, SWOLLEN_PX**2])
        matrix = (slopes * weights[:, None]).T @ slopes + 1e-9 * np.eye(UNKNOWNS)
        matrix[[6, 7], [6, 7]] += usual
        right = -(slopes * weights[:, None]).T @ gaps
        right[6:] -= usual * [np.log(camera.focal_px / focal_px), swollen]
        step = np.linalg.solve(matrix, right)
        turn = Rotation.from_rotvec(step[:3]).as_matrix()
        camera = replace(
            camera,
            focal_px=camera.focal_px * float(np.exp(step[6])),
            rotation=turn @ camera.rotation,
            translation=turn @ camera.translation + step[3:6],
        )
        swollen += float(step[7])
        if number >= COARSE_ROUNDS and np.abs(step[:6]).max() < STILL:
            break
    return camera


def misfit(
    camera: Camera,
    surface: Surface,
    poses: Float[np.ndarray, "t l 4 4"],
    masks: tuple[Bool[Tensor, "t h w"], Bool[Tensor, "t h w"]],
) -> float:
    """How far the surface's outline is from the masks' edge: mean of log(1 + (gap / scale)^2); endless if not seen.

    0.7 is a gap of one and a half pixels all around (in an image 320 wide), 2 one of four. What is the same all around
    does not count: masks may be too large or too small.
    """
    parts = [_equations(camera, placed(surface, poses[mask.frame]), surface.spacing_m, mask)[1]
             for mask in _wanted(poses, masks, FRAMES)]  # fmt: skip
    gaps = np.concatenate(parts) if parts else np.zeros(0)
    if not len(gaps):
        return float("inf")
    same = float(np.clip(np.median(gaps), -2 * SWOLLEN_PX, 2 * SWOLLEN_PX))
    return float(np.log1p(((gaps - same) / (SCALE_PX * camera.width / 320)) ** 2).mean())


def _wanted(
    poses: Float[np.ndarray, "t l 4 4"], masks: tuple[Bool[Tensor, "t h w"], Bool[Tensor, "t h w"]], frames: int
) -> list[_Mask]:
    """The masks of postures that differ as much as can be."""
    chosen = apart(poses[..., :3, 3].reshape(len(poses), -1), frames)
    seen = [int(frame) for frame in chosen if bool(masks[0][frame].any())]
    return [_measured(frame, masks[0][frame].numpy(), masks[1][frame].numpy()) for frame in seen]


def _measured(frame: int, actor: Bool[np.ndarray, "h w"], ignore: Bool[np.ndarray, "h w"]) -> _Mask:
    inside = actor.astype(np.uint8)
    distance = cv2.distanceTransform(1 - inside, cv2.DIST_L2, 5) - cv2.distanceTransform(inside, cv2.DIST_L2, 5)
    distance = cv2.GaussianBlur(distance + inside - 0.5, (0, 0), BLUR_PX)  # 0 between the pixels
    slope = tuple(cv2.Sobel(distance, cv2.CV_32F, *axis, ksize=3) / 8 for axis in ((1, 0), (0, 1)))
    around = np.ones((2 * AROUND_OBJECT_PX + 1,) * 2, np.uint8)
    return _Mask(frame, distance, slope, cv2.dilate(ignore.astype(np.uint8), around) > 0)


def _equations(
    camera: Camera, points_m: Float[np.ndarray, "n 3"], spacing_m: float, mask: _Mask
) -> tuple[Float[np.ndarray, "k 8"], Float[np.ndarray, " k"]]:
    """How far each point of the outline is from the mask's edge (px), and how that changes.

    With the camera's rotation and translation (camera axes), the focal length's logarithm, and the mask's swelling.
    """
    shown = splat(points_m, camera, spacing_m)
    points = points_m[np.unique(shown[rim(shown >= 0) & ~mask.ignore])]
    pixels = camera.project(points)
    inside = (pixels > BORDER_PX).all(1) & (pixels < np.array([camera.width, camera.height]) - 1 - BORDER_PX).all(1)
    pixels, seen = pixels[inside].astype(np.float32), points[inside] @ camera.rotation.T + camera.translation
    if not len(pixels):
        return np.zeros((0, UNKNOWNS)), np.zeros(0)
    gap, along_x, along_y = (
        cv2.remap(values, pixels[None, :, 0], pixels[None, :, 1], cv2.INTER_LINEAR)[0].astype(np.float64)
        for values in (mask.distance, *mask.slope)
    )
    x, y, depth = seen.T
    scale = camera.focal_px / depth
    onwards = scale * (along_x * x + along_y * y)
    moved = np.stack([scale * along_x, scale * along_y, -onwards / depth], axis=1)
    columns = [np.cross(seen, moved), moved, onwards[:, None], -np.ones((len(gap), 1))]
    return np.concatenate(columns, axis=1), gap


def rim(mask: Bool[np.ndarray, "h w"]) -> Bool[np.ndarray, "h w"]:
    """The outermost pixels of a mask, but for those at the picture's border."""
    inner = cv2.erode(mask.astype(np.uint8), np.ones((3, 3), np.uint8), borderValue=1) > 0
    found = mask & ~inner
    found[[0, -1]] = found[:, [0, -1]] = False
    return found
