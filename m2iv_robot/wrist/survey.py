"""What a tool camera's episodes tell together: how it is mounted, what the table looks like, how dark shadows are."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool

from m2iv_robot.camera import Camera
from m2iv_robot.errors import CameraError
from m2iv_robot.wrist.floor import Floor, FloorLayer, filled_from, plane_points
from m2iv_robot.wrist.hiding import (
    GROWN_PX,
    arm_mask,
    grown,
    hidden_table,
    light_left,
    object_mask,
    shadow_mask,
)
from m2iv_robot.wrist.mount import Mount, Tracks, fit_mount, joined, track
from m2iv_robot.wrist.records import ToolFootage, ToolLab

LAID_FRAMES = 120  # pictures that a floor is laid of
DARK_FRAMES = 20  # that shadows are looked at in
LEAST_SHADED = 200  # pixels that tell how dark a shadow is
DARKEST = 0.9
LEAST_EXPLAINED = 0.8  # of what is followed on the bare table
SURE_PX = 4  # around what hides the table, where no point is followed, for a picture 160 wide


@dataclass(frozen=True)
class Survey:
    """All that new pictures need, beside the episode's own."""

    mount: Mount
    floor: Floor
    lab: ToolLab


def survey(footage: list[ToolFootage], lab: ToolLab, table_m: float, others: Sequence[Tracks] = ()) -> Survey:
    """Study some episodes of one lab; `table_m` is about the table's height, base frame.

    The mount is fitted twice: shadows and gripper slide over the table, and where they are is known after the first,
    in which points of `others` count too: episodes of the same mount of which no more is known.

    Raises:
        CameraError: how the camera is mounted cannot be told, or what stands before the table.
    """
    size = footage[0].frames.shape[2], footage[0].frames.shape[1]
    tracks = [track(film.frames, film.motion.tool) for film in footage]
    mount = fit_mount(joined([*tracks, *others]), size, table_m)
    bare = joined([on_bare_table(found, film, mount, lab) for found, film in zip(tracks, footage, strict=True)])
    mount = fit_mount(bare, size, table_m)
    if mount.explained < LEAST_EXPLAINED:
        raise CameraError(
            f"of the points followed where the bare table should be only {100 * mount.explained:.0f} % lie on it: the "
            "gripper does not look like its model, or other things stand there"
        )
    floor = lay_floor(footage, mount, lab)
    lab = lab.darkened(shadow_depth(footage, mount, lab, floor))
    if lab.darkness:  # what lies in the shadow whenever it is seen
        floor = filled_from(floor, lay_floor(footage, mount, lab, shaded=True))
    return Survey(mount, floor, lab)


def on_bare_table(tracks: Tracks, film: ToolFootage, mount: Mount, lab: ToolLab) -> Tracks:
    """The tracks of points that neither arm, thing nor shadow comes near."""
    hidden: dict[int, Bool[np.ndarray, "h w"]] = {}
    good = np.ones(len(tracks), bool)
    for frames, pixels in ((tracks.first_frame, tracks.first_px), (tracks.second_frame, tracks.second_px)):
        for number, (frame, pixel) in enumerate(zip(frames.tolist(), pixels, strict=True)):
            if frame not in hidden:
                camera = mount.camera(film.motion.tool[frame])
                hidden[frame] = grown(hidden_table(film, frame, camera, lab, mount.table_m), SURE_PX)
            x, y = np.clip(np.round(pixel).astype(int), 0, [mount.width - 1, mount.height - 1])
            good[number] &= not hidden[frame][y, x]
    return tracks.take(good)


def lay_floor(footage: list[ToolFootage], mount: Mount, lab: ToolLab, shaded: bool = False) -> Floor:
    """The bare table, from pictures of all episodes; `shaded`: also where it is, brightened as it is dark."""
    chosen = some_frames(footage, LAID_FRAMES)
    cameras = [mount.camera(film.motion.tool[frame]) for film, frame in chosen]
    layer = FloorLayer(seen_radius(cameras, mount.table_m), mount.table_m)
    for (film, frame), camera in zip(chosen, cameras, strict=True):
        picture = film.frames[frame].astype(np.float32)
        hidden = arm_mask(film.motion, frame, camera, lab) | object_mask(film, film.motion, frame, camera)
        shade = shadow_mask(film, film.motion, frame, camera, lab, mount.table_m)
        if shaded:
            picture = picture / light_left(shade, camera, lab, mount.table_m)[..., None]
        layer.add(camera, picture, grown(hidden if shaded else hidden | shade, GROWN_PX))
    return layer.laid()


def some_frames(footage: list[ToolFootage], count: int) -> list[tuple[ToolFootage, int]]:
    """About so many frames of all episodes, evenly spread."""
    every = [(film, frame) for film in footage for frame in range(len(film.motion))]
    return every[:: max(1, len(every) // count)]


def seen_radius(cameras: list[Camera], height_m: float) -> float:
    """How far from the base cameras see a plane (99 % of it)."""
    points = np.concatenate([plane_points(camera, height_m)[::7] for camera in cameras])
    return float(np.percentile(np.linalg.norm(points[np.isfinite(points[:, 0]), :2], axis=1), 99))


def shadow_depth(footage: list[ToolFootage], mount: Mount, lab: ToolLab, floor: Floor) -> float:
    """Share of the light that is missing where the arm shades the table; 0 where that is not seen."""
    missing = []
    for film, frame in some_frames(footage, DARK_FRAMES):
        camera = mount.camera(film.motion.tool[frame])
        bare, known = floor.seen_by(camera)
        shade = ~grown(~shadow_mask(film, film.motion, frame, camera, lab, mount.table_m), 1)
        covered = arm_mask(film.motion, frame, camera, lab) | object_mask(film, film.motion, frame, camera)
        shade &= known & ~grown(covered, SURE_PX)
        missing.append(1 - (film.frames[frame][shade].mean(-1) + 1) / (bare[shade].mean(-1) + 1))
    missing = np.concatenate(missing)
    return float(np.clip(np.median(missing), 0.0, DARKEST)) if len(missing) >= LEAST_SHADED else 0.0
