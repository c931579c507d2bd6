"""Where the arm, the thing that it handles, and the shadows of both are in a picture of the tool's camera."""

import cv2
import numpy as np
from jaxtyping import Bool, Float

from m2iv_robot.arm import placed
from m2iv_robot.camera import Camera
from m2iv_robot.wrist.records import ToolFootage, ToolLab, ToolMotion

NEAREST_M = 0.01  # points nearer to the camera's plane are not shown
REACHES_PX = (1, 2, 3, 5, 8, 12)  # gaps between points that are closed, from far to near
BESIDE = 1.7  # a point counts for gaps so many times smaller or larger than its own
MARGIN_PX = 13  # around the picture, so that what is cut by its border is closed there
AROUND_OBJECT = 1.4  # of the thing's size: so much around it is not the table
BLUR_M = 0.0015  # of a shadow's edge
GROWN_PX = 3  # around all that hides the table, for a picture 160 wide


def outline(points_m: Float[np.ndarray, "n 3"], camera: Camera, spacing_m: float) -> Bool[np.ndarray, "h w"]:
    """Pixels covered by a surface whose points are about `spacing_m` apart, however near they come."""
    depth = camera.depth_m(points_m)
    points_m, depth = points_m[depth > NEAREST_M], depth[depth > NEAREST_M]
    shape = camera.height + 2 * MARGIN_PX, camera.width + 2 * MARGIN_PX
    at = np.round(camera.project(points_m)) + MARGIN_PX
    inside = ((at >= 0) & (at < shape[::-1])).all(1)
    at, reach_px = at[inside].astype(int), (spacing_m * camera.focal_px / depth)[inside]
    covered = np.zeros(shape, np.uint8)
    for reach in REACHES_PX:
        farther = reach_px < BESIDE * reach
        nearer = reach_px > reach / BESIDE
        here = farther & (nearer | (reach == REACHES_PX[0])) if reach != REACHES_PX[-1] else nearer
        dots = np.zeros(shape, np.uint8)
        dots[at[here, 1], at[here, 0]] = 1
        kernel = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (2 * reach + 1, 2 * reach + 1))
        covered |= cv2.morphologyEx(dots, cv2.MORPH_CLOSE, kernel)
    inner = slice(MARGIN_PX, -MARGIN_PX)
    return covered[inner, inner] > 0


def arm_mask(motion: ToolMotion, frame: int, camera: Camera, lab: ToolLab) -> Bool[np.ndarray, "h w"]:
    """Pixels that show the arm."""
    return outline(placed(lab.surface, motion.poses[frame]), camera, lab.surface.spacing_m)


def object_mask(film: ToolFootage, motion: ToolMotion, frame: int, camera: Camera) -> Bool[np.ndarray, "h w"]:
    """Pixels of the thing and close around it."""
    points = film.object_points(motion, frame)
    centre = points.mean(0)
    return outline(centre + AROUND_OBJECT * (points - centre), camera, AROUND_OBJECT * spacing_of(points))


def spacing_of(points_m: Float[np.ndarray, "n 3"]) -> float:
    """How far apart points of a block's surface are."""
    x, y, z = np.ptp(points_m, axis=0)
    return float(np.sqrt((x * y + 2 * (x + y) * z) / max(len(points_m), 1)))


def shadow_mask(
    film: ToolFootage, motion: ToolMotion, frame: int, camera: Camera, lab: ToolLab, table_m: float
) -> Bool[np.ndarray, "h w"]:
    """Pixels of the table that arm and thing shade; none where no light is known."""
    if lab.fall is None:
        return np.zeros((camera.height, camera.width), bool)
    shade = np.zeros((camera.height, camera.width), bool)
    thing = film.object_points(motion, frame)
    parts = ((placed(lab.surface, motion.poses[frame]), lab.surface.spacing_m), (thing, spacing_of(thing)))
    for points, spacing_m in parts:
        height = points[:, 2] - table_m
        above = height > 0
        flat = points[above, :2] + height[above, None] * lab.fall
        flat = np.concatenate([flat, np.full((len(flat), 1), table_m)], axis=1)
        shade |= outline(flat, camera, spacing_m)
    return shade


def hidden_table(
    film: ToolFootage, frame: int, camera: Camera, lab: ToolLab, table_m: float
) -> Bool[np.ndarray, "h w"]:
    """Pixels of a real picture that do not show the bare, lit table."""
    motion = film.motion
    hidden = arm_mask(motion, frame, camera, lab) | object_mask(film, motion, frame, camera)
    return grown(hidden | shadow_mask(film, motion, frame, camera, lab, table_m), GROWN_PX)


def light_left(
    shade: Bool[np.ndarray, "h w"], camera: Camera, lab: ToolLab, table_m: float
) -> Float[np.ndarray, "h w"]:
    """The share of light that a shadow leaves in every pixel; its edge is soft."""
    distance_m = max(camera.position_m[2] - table_m, 0.02)
    soft = cv2.GaussianBlur(shade.astype(np.float32), (0, 0), max(0.4, BLUR_M * camera.focal_px / distance_m))
    return 1 - lab.darkness * soft


def grown(mask: Bool[np.ndarray, "h w"], radius_px: int) -> Bool[np.ndarray, "h w"]:
    """A mask grown by a radius that is so large in a picture 160 wide."""
    radius = max(1, round(radius_px * mask.shape[1] / 160))
    kernel = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (2 * radius + 1, 2 * radius + 1))
    return cv2.dilate(mask.astype(np.uint8), kernel) > 0
