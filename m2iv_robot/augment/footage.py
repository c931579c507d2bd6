"""Everything real that the new episodes of one camera pose are made from, read once."""

from collections import OrderedDict
from dataclasses import replace

import numpy as np
import torch
from jaxtyping import Bool, Float, UInt8
from torch import Tensor

from m2iv_robot.arm import ArmFilm, ArmFootage, study_light
from m2iv_robot.augment.drawable import footage_members, thinning
from m2iv_robot.augment.handles import Footage
from m2iv_robot.augment.records import AugmentTask
from m2iv_robot.background import brought_into, exposure_gains
from m2iv_robot.camera import CameraFit, check_fixed
from m2iv_robot.data.lerobot_io import read_episode, read_frames
from m2iv_robot.errors import CameraError
from m2iv_robot.generation import SourceScene
from m2iv_robot.generation.light import lit_plate
from m2iv_robot.generation.still import left_standing, still_parts
from m2iv_robot.kinematics import Kinematics
from m2iv_robot.masks import dilate
from m2iv_robot.plan import PlannedScene, PlanTask, arm_is_posed
from m2iv_robot.plan.scenes import read_source
from m2iv_robot.quality import SourceContext
from m2iv_robot.retarget import RobotModel
from m2iv_robot.types import Episode, MaskTrajectory

OBJECT_HALF_M = 0.015  # from the table to the middle of what lies on it
EDGE_PX = 5  # width of the kernel that grows masks over their mixed pixels
REMEMBERED = 2  # source episodes whose footage is kept in memory


class Library:
    """Footage and context of source episodes, read when first asked for."""

    def __init__(
        self, task: AugmentTask, plans: PlanTask, kinematics: Kinematics, robots: dict[str, RobotModel]
    ) -> None:
        """`robots` by the name of the scene."""
        self.task, self.plans, self.kinematics, self.robots = task, plans, kinematics, robots
        self._footage: OrderedDict[int, Footage] = OrderedDict()

    def footage(self, index: int, scene: PlannedScene) -> Footage:
        """The frames of episode `index` first, then those of others that the same camera pose saw."""
        if index not in self._footage:
            members = footage_members(index, scene.episodes, self.task.config.footage_episodes)
            self._footage[index] = self._read(members, scene)
            while len(self._footage) > REMEMBERED:
                self._footage.popitem(last=False)
        self._footage.move_to_end(index)
        return self._footage[index]

    def _read(self, members: list[int], scene: PlannedScene) -> Footage:
        sources = [read_source(self.plans, self.kinematics, member) for member in members]
        steps = thinning([source.labels.length for source in sources])
        kept = [thinned(source.masks, every) for source, every in zip(sources, steps, strict=True)]
        own = scene.plate_of(sources[0])
        frames = [
            brought_into(
                self.frames(source.labels.index)[::every], dilate(actor | object_, EDGE_PX), scene.plate_of(source), own
            )
            for source, every, (actor, object_, _) in zip(sources, steps, kept, strict=True)
        ]
        masks = MaskTrajectory(*(torch.cat(parts) for parts in zip(*kept, strict=True)))
        states = [source.labels.state[::every] for source, every in zip(sources, steps, strict=True)
                  if source.labels.state is not None]  # fmt: skip
        recorded = SourceScene(torch.cat(frames), masks, own)
        known = torch.cat(states) if len(states) == len(members) else None
        still = torch.zeros_like(own.known)
        if known is not None and not (arm_is_posed(self.kinematics, scene.camera) and hand_of(self.kinematics) is None):
            still = still_parts(recorded)
            recorded = left_standing(recorded, still)
        film = film_of(recorded, known, self.kinematics, scene.camera, still)
        plate, light = lit_plate(recorded), None
        if film is not None:
            light, plate = study_light(film.footage, plate, scene.plane_z_m - OBJECT_HALF_M)
        return Footage(
            scene=replace(recorded, plate=plate),
            still=still,
            source=sources[0],
            states=known,
            film=film,
            light=light,
            plane_z_m=scene.plane_z_m,
            half_height_m=scene.half_height_m,
            episode=np.concatenate([np.full(len(part), place) for place, part in enumerate(frames)]),
        )

    def frames(self, index: int) -> UInt8[Tensor, "t 3 h w"]:
        """The frames of an episode seen by the camera that is generated."""
        for footage in self._footage.values():
            if footage.source.labels.index == index:
                return footage.scene.frames[: footage.source.labels.length]
        return read_frames(self.plans.dataset, index, self.plans.camera)

    def context(self, footage: Footage, scene: PlannedScene) -> SourceContext:
        """What the quality gate knows of a source episode."""
        source = footage.source
        return SourceContext(
            episode=self.episode(footage),
            masks=source.masks,
            plate=scene.plate_of(source),
            phases=source.phases,
            robot=self.robots.get(scene.name),
            camera=scene.camera,
        )

    def episode(self, footage: Footage) -> Episode:
        """The source episode with its frames."""
        labels, frames = footage.source.labels, footage.scene.frames[: footage.source.labels.length]
        return Episode(
            labels.dataset, labels.index, self.plans.camera, frames, labels.state, labels.action,
            labels.state_names, labels.action_names, labels.fps, labels.task, labels.robot_type, labels.extra,
        )  # fmt: skip


def hand_of(kinematics: Kinematics) -> int | None:
    """The first link of a hand that is shown in one piece; None where its surface shows it."""
    return len(kinematics.config.joint_names) if kinematics.config.rough_hand else None


def film_of(
    recorded: SourceScene,
    states: Float[Tensor, "n s"] | None,
    kinematics: Kinematics,
    camera: CameraFit | None,
    still: Bool[Tensor, "h w"],
) -> ArmFilm | None:
    """Who takes pictures of the arm; None where its links, their surface or their place are not known.

    `still` parts of the robot are not in its masks.
    """
    if states is None or not arm_is_posed(kinematics, camera):
        return None
    hidden = recorded.masks.actor | recorded.masks.object
    gains = exposure_gains(recorded.frames, recorded.plate.image, hidden).double().numpy()
    poses, opening = kinematics.link_poses(states), kinematics.gripper_opening(states)
    footage = ArmFootage(
        recorded.frames, recorded.masks.actor, recorded.masks.object, poses, opening, 1 / gains, kinematics.surface,
        camera.camera, still.numpy(), hand_of(kinematics),
    )  # fmt: skip
    return ArmFilm(footage)


def thinned(masks: MaskTrajectory, step: int) -> tuple[Tensor, Tensor, Tensor]:
    """Actor, object and confidence of each `step`-th frame."""
    return masks.actor[::step], masks.object[::step], masks.confidence[::step]


def wrist_cameras(task: AugmentTask) -> tuple[str, ...]:
    """The other cameras that move with the arm, told by the pixels of the first episode."""
    dataset, found = task.annotation.dataset, []
    for camera in dataset.cameras:
        if camera == task.annotation.camera:
            continue
        try:
            check_fixed(read_episode(dataset, 0, camera), task.annotation.camera_check)
        except CameraError:
            found.append(camera)
    return tuple(found)
