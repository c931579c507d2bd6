"""Pictures of the cameras on the tool: made anew where the way is new, or the source's at the planned pace."""

import logging
from collections import OrderedDict

import numpy as np
import torch
from jaxtyping import Float, Int, UInt8
from torch import Tensor

from m2iv_robot.augment.footage import OBJECT_HALF_M, REMEMBERED
from m2iv_robot.augment.handles import SETTLE_PICTURE_S, Footage, carried_between
from m2iv_robot.background import spread
from m2iv_robot.camera import block_behind
from m2iv_robot.data.lerobot_io import read_frames, read_labels
from m2iv_robot.errors import CameraError
from m2iv_robot.generation.layers import PictureMotion
from m2iv_robot.kinematics import Kinematics
from m2iv_robot.masks import centroid, largest_component
from m2iv_robot.plan import Plan, PlannedScene, PlanTask
from m2iv_robot.plan.scenes import SourceEpisode, read_sources
from m2iv_robot.types import Motion
from m2iv_robot.wrist import (
    Survey,
    ToolFilm,
    ToolFootage,
    ToolLab,
    ToolMotion,
    Tracks,
    filled_from,
    floor_below,
    survey,
    track,
)

logger = logging.getLogger(__name__)

SURVEYED = 10  # episodes of a camera pose that mount and table are found in


class ToolCameras:
    """Makes pictures of the cameras on the tool; what they share is found once for each scene."""

    def __init__(self, plans: PlanTask, kinematics: Kinematics) -> None:
        self.plans, self.kinematics = plans, kinematics
        self._surveys: dict[tuple[str, str], Survey | None] = {}
        self._films: OrderedDict[tuple[str, int], ToolFilm] = OrderedDict()

    def retimed(self, camera: str, plan: Plan) -> UInt8[Tensor, "t 3 _ _"]:
        """The source's frames at the planned pace."""
        real = read_frames(self.plans.dataset, plan.source_episode, camera)
        return real[source_frames(plan.motion, len(real))]

    def remade(
        self, camera: str, plan: Plan, picture: PictureMotion, footage: Footage, scene: PlannedScene
    ) -> UInt8[Tensor, "t 3 _ _"] | None:
        """What the camera would see of the plan; None where that cannot be told, and the log says why."""
        if not self.possible(camera, footage, scene):
            return None
        film = self._film(camera, footage.source, scene)
        if film is None:
            return None
        motion = planned_motion(plan, picture, self.kinematics)
        ways = enumerate(zip(picture.source_frame.tolist(), plan.motion.verbatim.tolist(), strict=True))
        frames = [film.footage.frames[at] if same else film.shoot(motion, frame, at) for frame, (at, same) in ways]
        return torch.from_numpy(np.stack(frames)).permute(0, 3, 1, 2).contiguous()

    def possible(self, camera: str, footage: Footage, scene: PlannedScene) -> bool:
        """Whether the camera's pictures can be made anew in a scene; the first time studies it."""
        key = camera, scene.name
        if key not in self._surveys:
            try:
                self._surveys[key] = self._survey(camera, footage, scene)
            except CameraError as error:
                logger.warning("%s, %s: its frames are re-timed, not made anew: %s", camera, scene.name, error)
                self._surveys[key] = None
        return self._surveys[key] is not None

    def _survey(self, camera: str, footage: Footage, scene: PlannedScene) -> Survey:
        if footage.film is None:
            raise CameraError(
                "the arm's links, their surface and their place in the fixed camera's picture must all be known (a "
                "robot configuration with a URDF or a surface, and a view of the whole arm)"
            )
        chosen = [scene.episodes[at] for at in spread(len(scene.episodes), SURVEYED)]
        sources = read_sources(self.plans, self.kinematics, tuple(chosen), {})
        films = [film for source in sources if (film := self._footage(camera, source, scene)) is not None]
        if not films:
            raise CameraError("no recorded object looks like something that stands on the table")
        fall = None if footage.light is None else footage.light.fall
        lab = ToolLab(footage.film.footage.surface, fall)
        others = self._tracks(camera, {source.labels.index for source in sources})
        found = survey(films, lab, scene.plane_z_m - OBJECT_HALF_M, others)
        plate = footage.scene.plate
        wide = floor_below(scene.camera.camera, plate.image.permute(1, 2, 0).numpy(), plate.known.numpy(), found.floor)
        logger.info(
            "%s: focal length %.1f px, %.1f cm from the tool, explains %.0f %% of what is followed on the table",
            camera, found.mount.focal_px, 100 * np.linalg.norm(found.mount.pose[:3, 3]), 100 * found.mount.explained,
        )  # fmt: skip
        return Survey(found.mount, filled_from(found.floor, wide), found.lab)

    def _tracks(self, camera: str, known: set[int]) -> list[Tracks]:
        """What could be followed on the table in some of the dataset's other episodes."""
        dataset = self.plans.dataset
        found = []
        for index in spread(dataset.episode_count, SURVEYED):
            if index not in known:
                frames = read_frames(dataset, index, camera).permute(0, 2, 3, 1).numpy()
                found.append(track(frames, self.kinematics.forward(read_labels(dataset, index).state)))
        return found

    def _film(self, camera: str, source: SourceEpisode, scene: PlannedScene) -> ToolFilm | None:
        """Who takes pictures for plans from one episode."""
        key = camera, source.labels.index
        if key not in self._films:
            footage = self._footage(camera, source, scene)
            if footage is None:
                return None
            self._films[key] = ToolFilm(footage, self._surveys[camera, scene.name])
            while len(self._films) > REMEMBERED:
                self._films.popitem(last=False)
        return self._films[key]

    def _footage(self, camera: str, source: SourceEpisode, scene: PlannedScene) -> ToolFootage | None:
        """An episode as the camera on the tool saw it; None where no block has the object's outline."""
        lens, half_m = scene.camera.camera, scene.half_height_m or OBJECT_HALF_M
        block = block_behind(source.start, lens, scene.plane_z_m, half_m)
        if block is None:
            return None
        frames = read_frames(self.plans.dataset, source.labels.index, camera).permute(0, 2, 3, 1).numpy()
        rests_px = np.stack([centroid(largest_component(rest)).numpy() for rest in (source.start, source.goal)])
        rests_m = lens.unproject(rests_px.astype(np.float64), scene.plane_z_m)
        span = source.phase.grasp, source.phase.release
        settle = max(2, round(SETTLE_PICTURE_S * source.labels.fps))
        motion = ToolMotion(
            tool=source.poses,
            poses=self.kinematics.link_poses(source.labels.state),
            object_m=carried_between(source.poses, rests_m, span, settle),
            turn=turned_in_hand(source.poses, span),
            held=held_during(span, len(source.poses)),
        )
        return ToolFootage(frames, motion, block)


def planned_motion(plan: Plan, picture: PictureMotion, kinematics: Kinematics) -> ToolMotion:
    """A plan as the tool's camera needs it; its arm is posed."""
    tool = kinematics.forward(plan.motion.state)
    turn = turned_in_hand(tool, picture.held)
    if picture.object_motion_m is not None:
        turn = picture.object_motion_m[:, :3, :3]
    return ToolMotion(tool, picture.arm.poses, picture.arm.object_m, turn, held_during(picture.held, len(tool)))


def turned_in_hand(tool: Float[np.ndarray, "t 4 4"], held: tuple[int, int]) -> Float[np.ndarray, "t 3 3"]:
    """How a thing is turned: not at all, then with the tool while it is held, and upright again at last."""
    grasp, release = held
    turn = np.tile(np.eye(3), (len(tool), 1, 1))
    turn[grasp:release] = tool[grasp:release, :3, :3] @ tool[grasp, :3, :3].T
    last = turn[release - 1]
    angle = np.arctan2(last[1, 0], last[0, 0])
    turn[release:] = [[np.cos(angle), -np.sin(angle), 0], [np.sin(angle), np.cos(angle), 0], [0, 0, 1]]
    return turn


def held_during(span: tuple[int, int], length: int) -> np.ndarray:
    """Per frame whether the thing is held."""
    return (np.arange(length) >= span[0]) & (np.arange(length) < span[1])


def source_frames(motion: Motion, length: int) -> Int[Tensor, " t"]:
    """The source frame nearest to each output frame's source time."""
    return motion.source_time.round().long().clamp(0, length - 1)
