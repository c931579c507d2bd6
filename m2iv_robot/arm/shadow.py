"""The shadow that an arm throws on its table: the light is found in real frames, and the shadow thrown anew."""

from dataclasses import dataclass, replace

import cv2
import numpy as np
import torch
from jaxtyping import Bool, Float, UInt8
from torch import Tensor

from m2iv_robot.arm.film import ArmFootage
from m2iv_robot.arm.outline import apart
from m2iv_robot.arm.shape import placed
from m2iv_robot.background import apply_gains, masked_median
from m2iv_robot.camera import Camera
from m2iv_robot.masks import dilate
from m2iv_robot.types import Plate

STEPS = (0.3, 0.1, 0.03)  # of the search for the light, as shares of a point's height
FARTHEST = 1.8  # that a shadow falls from its point, in heights
LEAST_SCORE = 0.25  # correlation of predicted and seen shadows, under which there is no light to speak of
THINNING = 4  # every so many points are enough while the light is searched
CLOSE_PX = 3  # gaps between points that a shadow closes, for an image 320 wide
BLUR_PX = 1.5
LIGHT_FRAMES, SEARCH_FRAMES = 60, 10
HIDDEN_PX = 7  # by which masks and shadows are grown where the bare table is wanted
LEAST_VIEWS = 3
DARKEST = 0.8
BLACK_LEVELS = 8.0  # of 255, added before brightnesses are divided


@dataclass(frozen=True)
class Light:
    """One far light."""

    fall: Float[np.ndarray, " 2"]  # x and y that a shadow moves for each metre of height
    table_m: float  # height of the table
    darkness: float  # share of the light that is missing in the shadow


def thrown(
    points_m: Float[np.ndarray, "n 3"], fall: Float[np.ndarray, " 2"], table_m: float, camera: Camera
) -> Bool[np.ndarray, "h w"]:
    """Pixels of the table that points shade."""
    height = points_m[:, 2] - table_m
    above = height > 0
    flat = points_m[above, :2] + height[above, None] * fall
    pixels = camera.project(np.concatenate([flat, np.full((len(flat), 1), table_m)], axis=1))
    pixels = np.round(np.nan_to_num(pixels, nan=-1)).astype(int)
    inside = ((pixels >= 0) & (pixels < [camera.width, camera.height])).all(1)
    shade = np.zeros((camera.height, camera.width), np.uint8)
    shade[pixels[inside, 1], pixels[inside, 0]] = 1
    size = 2 * max(1, round(CLOSE_PX * camera.width / 320)) + 1
    kernel = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (size, size))
    return cv2.morphologyEx(shade, cv2.MORPH_CLOSE, kernel) > 0


def find_light(
    points_m: list[Float[np.ndarray, "n 3"]],
    dark: list[Float[np.ndarray, "h w"]],
    hidden: list[Bool[np.ndarray, "h w"]],
    table_m: float,
    camera: Camera,
) -> Light | None:
    """The light under which the arm's shadows are where frames are dark; None where that explains too little.

    One entry of each list per frame: the arm's surface in the base frame, the share of light missing in each pixel,
    and the pixels in which the table is not seen.
    """
    thin = [points[::THINNING] for points in points_m]
    best, centre, score = np.zeros(2), np.zeros(2), -1.0
    reach = FARTHEST
    for step in STEPS:
        offsets = np.arange(-reach, reach + 1e-9, step)
        for x in offsets:
            for y in offsets:
                fall = centre + np.array([x, y])
                now = agreement(thin, dark, hidden, (fall, table_m, camera))
                if now > score:
                    best, score = fall, now
        centre, reach = best, step
    if score < LEAST_SCORE:
        return None
    shade = [thrown(points, best, table_m, camera) & ~mask for points, mask in zip(points_m, hidden, strict=True)]
    inside = np.concatenate([values[where] for values, where in zip(dark, shade, strict=True)])
    return Light(best, table_m, float(np.median(inside)))


def agreement(
    points_m: list[Float[np.ndarray, "n 3"]],
    dark: list[Float[np.ndarray, "h w"]],
    hidden: list[Bool[np.ndarray, "h w"]],
    light: tuple[Float[np.ndarray, " 2"], float, Camera],
) -> float:
    """Correlation of predicted shadow and darkness over the pixels that show the scene."""
    fall, table_m, camera = light
    count = both = ones = values = squares = 0.0
    for points, darkness, mask in zip(points_m, dark, hidden, strict=True):
        shade, seen = thrown(points, fall, table_m, camera) & ~mask, darkness[~mask]
        count, ones = count + seen.size, ones + float(shade.sum())
        both, values, squares = (
            both + float(darkness[shade].sum()),
            values + float(seen.sum()),
            squares + float((seen**2).sum()),
        )
    spread = (ones - ones**2 / count) * (squares - values**2 / count)
    return (both - ones * values / count) / float(np.sqrt(spread)) if spread > 0 else 0.0


def cast(points_m: Float[np.ndarray, "n 3"], light: Light, camera: Camera) -> Float[np.ndarray, "h w"]:
    """The share of the light that an arm leaves in every pixel of the table."""
    shade = thrown(points_m, light.fall, light.table_m, camera).astype(np.float32)
    return 1 - light.darkness * cv2.GaussianBlur(shade, (0, 0), BLUR_PX * camera.width / 320)


def study_light(footage: ArmFootage, plate: Plate, table_m: float) -> tuple[Light | None, Plate]:
    """The light of a scene and its plate without the arm's shadow; None and the plate as it is where there is none.

    The plate's median keeps the shadow where the arm spends most of its time: with the light known, frames count only
    where the arm throws no shadow.
    """
    chosen = apart(footage.poses[..., :3, 3].reshape(len(footage.poses), -1), LIGHT_FRAMES)
    hidden = dilate(footage.actor[chosen] | footage.object[chosen], HIDDEN_PX)
    points = [placed(footage.surface, footage.poses[frame]) for frame in chosen]
    gains = torch.from_numpy(1 / footage.gains[chosen]).float()
    even = apply_gains(footage.frames[chosen], gains)
    dark = darkness_of(even, plate)
    few = range(0, len(chosen), max(1, len(chosen) // SEARCH_FRAMES))
    light = find_light(
        [points[at] for at in few], [dark[at] for at in few], [hidden[at].numpy() for at in few], table_m,
        footage.camera,
    )  # fmt: skip
    if light is None:
        return None, plate
    shade = np.stack([thrown(part, light.fall, table_m, footage.camera) for part in points])
    covered = hidden | dilate(torch.from_numpy(shade), HIDDEN_PX)
    image, views = masked_median(even, covered)
    seen = views >= LEAST_VIEWS
    bare = Plate(torch.where(seen, image, plate.image), plate.known | seen)
    missing = [part[where] for part, where in zip(darkness_of(even, bare), shade & ~hidden.numpy(), strict=True)]
    return replace(light, darkness=float(np.median(np.concatenate(missing)))), bare


def darkness_of(frames: UInt8[Tensor, "t 3 h w"], plate: Plate) -> list[Float[np.ndarray, "h w"]]:
    """Share of the plate's light that is missing in each frame."""
    bare = brightness(plate.image)
    return [np.clip(1 - brightness(frame) / bare, 0.0, DARKEST) for frame in frames]


def brightness(image: UInt8[Tensor, "3 h w"]) -> Float[np.ndarray, "h w"]:
    """Smoothed, and never quite black."""
    return cv2.GaussianBlur(image.float().mean(0).numpy(), (0, 0), BLUR_PX) + BLACK_LEVELS
