"""What the gripper closes on is the object: where an arm is seen in its place, its recording points at it."""

import logging
from dataclasses import dataclass

import cv2
import numpy as np
import torch
from jaxtyping import Bool, Float
from torch import Tensor

from m2iv_robot.annotate.plates import Bare, phases_of, scene_of
from m2iv_robot.annotate.records import AnnotationTask, EpisodeAnnotation, PoseGroup
from m2iv_robot.arm import ArmRecording, arm_camera, has_surface
from m2iv_robot.background import masked_median
from m2iv_robot.camera import Camera, usual_settings
from m2iv_robot.data.lerobot_io import read_episode
from m2iv_robot.errors import KinematicsError, M2IVError, SegmentationError
from m2iv_robot.kinematics import Kinematics, build_kinematics
from m2iv_robot.masks import dilate
from m2iv_robot.segmentation import Prompt
from m2iv_robot.segmentation.change import parts
from m2iv_robot.segmentation.states import CHANGED_COLOUR, distance, to_lab
from m2iv_robot.types import Episode, MaskTrajectory

logger = logging.getLogger(__name__)

NEAR_SHARE = 0.07  # of the frame's width, within which an object is at the fingertips
LEAST_PX = 12  # of what the gripper took away, in a frame 320 wide
ACTOR_PX = 5  # width of the kernel that grows the actor: mixed pixels, motion
POINTED = "pointed"  # noted with masks that were compared with what the gripper closes on


@dataclass(frozen=True)
class Pointer:
    """An arm before a camera that shows it in its place."""

    camera: Camera
    kinematics: Kinematics
    actor: dict[int, Bool[Tensor, "_ _ _"]]  # by episode

    def tips_px(self, episode: Episode) -> Float[np.ndarray, "t 2"]:
        """Where the fingertips are in every frame."""
        tool = self.kinematics.forward(episode.state)
        tip = np.asarray(self.kinematics.config.finger_offset_m, dtype=float)
        return self.camera.project(tool[:, :3, :3] @ tip + tool[:, :3, 3])


def pointed_out(
    task: AnnotationTask, pose: PoseGroup, found: list[EpisodeAnnotation], bare: Bare
) -> dict[int, MaskTrajectory]:
    """Masks made again for the episodes of a pose whose object is not what the gripper takes, by index; stored."""
    keys = {entry.index: (task.dataset.name, entry.index, task.camera) for entry in found}
    if not task.prompt.empty or all(POINTED in task.store.about(*key) for key in keys.values()):
        return {}
    pointer = pointer_of(task, pose, {entry.index: entry.masks for entry in found})
    again = {}
    for entry in found:
        episode, key = read_episode(task.dataset, entry.index, task.camera), keys[entry.index]
        if pointer is not None and not is_taken(episode, entry.masks.object, pointer):
            try:
                masks = segmented_there(task, pose, episode, bare, pointer)
            except M2IVError as error:
                logger.info("episode %d: nothing is found where the gripper closes (%s)", entry.index, error)
            else:
                task.store.save(*key, masks, task.store.about(*key))
                again[entry.index] = task.store.load(*key, shape=tuple(masks.object.shape))
        task.store.note(*key, {POINTED: "yes"})
    return again


def pointer_of(task: AnnotationTask, pose: PoseGroup, found: dict[int, MaskTrajectory]) -> Pointer | None:
    """Fitted to the actors of a pose's episodes; None where the arm's shape is not known, or does not fit them."""
    recordings, kinematics = [], None
    for index, masks in found.items():
        episode = read_episode(task.dataset, index, task.camera)
        if episode.state is None:
            return None
        try:
            names = episode.state_names, episode.action_names
            kinematics = kinematics or build_kinematics(task.robot, *names, episode.robot_type)
        except KinematicsError:
            return None
        if not has_surface(kinematics):
            return None
        recordings.append(ArmRecording(episode.state, masks.actor, torch.zeros_like(masks.object)))
    if not recordings:
        return None
    settings = usual_settings(task.camera_check, kinematics.config.name, task.camera)
    camera = arm_camera(kinematics, recordings, settings)
    if camera is None:
        logger.info("%s: the arm is not seen where its joints have it; where it grasps says nothing", pose.name)
        return None
    return Pointer(camera, kinematics, {index: masks.actor for index, masks in found.items()})


def is_taken(episode: Episode, object_: Bool[Tensor, "t h w"], pointer: Pointer) -> bool:
    """Whether the fingertips close on the object, one time or another; so where they never close."""
    phases, tips = phases_of(episode, pointer.kinematics.config), pointer.tips_px(episode)
    return not phases or any(is_at(last_seen(object_[: one.grasp + 1]), tips[one.grasp]) for one in phases)


def is_put_down(episode: Episode, object_: Bool[Tensor, "t h w"], pointer: Pointer) -> bool:
    """Whether the object ends where the fingertips last opened, and not where it began."""
    release = phases_of(episode, pointer.kinematics.config)[-1].release - 1
    end = last_seen(object_)
    return is_at(end, pointer.tips_px(episode)[release]) and not bool((end & object_[0]).any())


def last_seen(masks: Bool[Tensor, "t h w"]) -> Bool[Tensor, "h w"]:
    """The last mask that is not empty."""
    seen = torch.where(masks.flatten(1).any(1))[0]
    return masks[int(seen[-1])] if len(seen) else masks[-1]


def is_at(mask: Bool[Tensor, "h w"], tip_px: Float[np.ndarray, " 2"]) -> bool:
    """Whether a part of the mask lies at a pixel."""
    rows, columns = torch.nonzero(mask, as_tuple=True)
    away = np.hypot(columns.numpy() - tip_px[0], rows.numpy() - tip_px[1])
    return bool((away < NEAR_SHARE * mask.shape[1]).any())


def segmented_there(
    task: AnnotationTask, pose: PoseGroup, episode: Episode, bare: Bare, pointer: Pointer
) -> MaskTrajectory:
    """Masks of an episode with the object that the gripper takes.

    Raises:
        M2IVError: nothing is seen there, or what is seen is not taken either.
    """
    prompt = pointed_prompt(episode, pointer)
    if prompt is None:
        raise SegmentationError("what lies there is not seen to have been taken")
    scene = scene_of(task, None, pose, episode, bare)
    masks = task.segmenter.segment(episode, scene, prompt, phases_of(episode, task.robot))
    if not (is_taken(episode, masks.object, pointer) and is_put_down(episode, masks.object, pointer)):
        raise SegmentationError("what was found there is not carried to where the gripper opens")
    logger.info("episode %d: the object is what the gripper takes at (%.0f, %.0f)", episode.index, *prompt.click)
    return masks


def pointed_prompt(episode: Episode, pointer: Pointer) -> Prompt | None:
    """Where the gripper takes something: what is there before, and not afterwards; None where nothing is seen of it."""
    phases, tips = phases_of(episode, pointer.kinematics.config), pointer.tips_px(episode)
    hidden = dilate(pointer.actor[episode.index], ACTOR_PX)
    for number, phase in enumerate(phases):
        first = phases[number - 1].release if number else 0
        last = phases[number + 1].grasp if number + 1 < len(phases) else episode.length
        region = taken_away(episode, hidden, (first, phase.grasp), (phase.grasp + 1, last), tips[phase.grasp])
        if region is None:
            continue
        shown = [frame for frame in range(first, phase.grasp) if not bool((hidden[frame] & region).any())]
        inner = cv2.distanceTransform(region.numpy().astype(np.uint8), cv2.DIST_L2, 5)
        row, column = np.unravel_index(int(inner.argmax()), inner.shape)
        return Prompt(frame=shown[-1], click=(float(column), float(row)))
    return None


def taken_away(
    episode: Episode,
    hidden: Bool[Tensor, "t h w"],
    before: tuple[int, int],
    after: tuple[int, int],
    tip_px: Float[np.ndarray, " 2"],
) -> Bool[Tensor, "h w"] | None:
    """What was near a pixel in the first span of frames and is not in the second; None where nothing is seen of it."""
    if before[0] >= before[1] or after[0] >= after[1] or not np.isfinite(tip_px).all():
        return None
    looks, known = [], torch.ones(hidden.shape[1:], dtype=torch.bool)
    for span in (slice(*before), slice(*after)):
        picture, views = masked_median(episode.frames[span], hidden[span])
        looks.append(to_lab(picture))
        known &= views > 1
    height, width = known.shape
    y, x = np.mgrid[:height, :width]
    near = np.hypot(x - tip_px[0], y - tip_px[1]) < NEAR_SHARE * width
    changed = (distance(*looks) > CHANGED_COLOUR) & near & known.numpy()
    found = [torch.from_numpy(one) for one in parts(changed, max(3, round(LEAST_PX * (width / 320) ** 2)))]
    free = [one for one in found if not bool((hidden[slice(*before)] & one).flatten(1).any(1).all())]
    return max(free, key=lambda one: int(one.sum())) if free else None
