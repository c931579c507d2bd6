"""The thing where the tool's camera sees it: what a fixed camera told of its place is brought to its outlines."""

from dataclasses import replace

import numpy as np
from jaxtyping import Bool, Float

from m2iv_robot.background import spread
from m2iv_robot.camera import Camera
from m2iv_robot.wrist.hiding import arm_mask, grown, outline, spacing_of
from m2iv_robot.wrist.records import ToolFootage
from m2iv_robot.wrist.survey import Survey

VIEWS = 8  # of the resting thing that are looked at
STEPS_M = (0.004, 0.001)  # of the search; each looks two and a half of the one before around its best
REACH = 3  # steps to each side, at first
AROUND_PX = 4  # width of the ring around an outline that is to look like the table, for a picture 160 wide
LEAST_SEEN = 0.7  # of an outline that must be inside the picture and free
LEAST_LEVELS = 6.0  # of 255, by which the thing must differ from the table
CLEAREST = 1.05


def aligned(film: ToolFootage, survey: Survey, resting: int) -> ToolFootage:
    """The same with its thing moved along the table to where the first `resting` frames show it.

    As it was where they do not tell: the thing is not seen, or looks like the table.
    """
    views = [view for frame in spread(resting, 3 * VIEWS) if (view := _view(film, survey, frame)) is not None]
    views = [views[at] for at in spread(len(views), VIEWS)]
    points = film.block.points_m
    best, score = np.zeros(2), _score(points, views)
    for number, step in enumerate(STEPS_M):
        reach = REACH if number == 0 else round(STEPS_M[number - 1] / step)
        centre = best
        for x in range(-reach, reach + 1):
            for y in range(-reach, reach + 1):
                shift = centre + step * np.array([x, y])
                now = _score(points + np.append(shift, 0.0), views)
                if now > score:
                    best, score = shift, now
    if score < LEAST_LEVELS:
        return film
    return replace(film, block=replace(film.block, points_m=points + np.append(best, 0.0)))


def _view(
    film: ToolFootage, survey: Survey, frame: int
) -> tuple[Camera, Float[np.ndarray, "h w"], Bool[np.ndarray, "h w"]] | None:
    """A camera, how little of its picture the table explains, and where that is known; None where little is seen."""
    mount, lab, motion = survey.mount, survey.lab, film.motion
    camera = mount.camera(motion.tool[frame])
    points = film.object_points(motion, frame)
    free = ~grown(arm_mask(motion, frame, camera, lab), 1)
    seen = outline(points, camera, spacing_of(points)) & free
    if not camera.visible(points).all() or seen.sum() < LEAST_SEEN * outline(points, camera, spacing_of(points)).sum():
        return None
    table, known = survey.floor.seen_by(camera)
    return camera, unexplained(film.frames[frame].astype(np.float32), table), known & free


def unexplained(picture: Float[np.ndarray, "h w 3"], table: Float[np.ndarray, "h w 3"]) -> Float[np.ndarray, "h w"]:
    """By how much each pixel differs from the table, darkened by whatever shadow explains most of it (levels)."""
    share = (picture * table).sum(-1) / np.maximum(np.square(table).sum(-1), 1.0)
    return np.linalg.norm(picture - np.clip(share, 0.0, CLEAREST)[..., None] * table, axis=-1)


def _score(points_m: Float[np.ndarray, "n 3"], views: list[tuple]) -> float:
    """By how much more the table fails to explain a thing's outlines than the rings around them (levels)."""
    scores = []
    for camera, levels, known in views:
        inside = outline(points_m, camera, spacing_of(points_m))
        ring = grown(inside, AROUND_PX) & ~inside & known
        inside &= known
        if inside.any() and ring.any():
            scores.append(float(levels[inside].mean() - levels[ring].mean()))
    return float(np.mean(scores)) if scores else 0.0
