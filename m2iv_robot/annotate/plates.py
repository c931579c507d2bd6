"""The plates of a camera's poses, and of episodes in which other things stand about than in the rest of their pose."""

import logging
import math
from collections.abc import Callable

import numpy as np
import torch
from jaxtyping import Bool, UInt8
from torch import Tensor

from m2iv_robot.annotate.records import AnnotationTask, DatasetPrompt, PoseGroup
from m2iv_robot.background import build_plate, hidden_by, own_plate, spread
from m2iv_robot.data.lerobot_io import read_episode
from m2iv_robot.errors import KinematicsError, M2IVError
from m2iv_robot.kinematics import RobotConfig, build_kinematics, find_phases
from m2iv_robot.segmentation import Prompt
from m2iv_robot.segmentation.prompts import carry_prompt
from m2iv_robot.types import Episode, EpisodePhases, MaskTrajectory, Plate

logger = logging.getLogger(__name__)

LEAST_PLATE_FRAMES = 6  # of each episode
OWN_PLATE_FRAMES = 32  # of an episode, that tell its scene from that of its pose
View = tuple[UInt8[Tensor, "_ 3 _ _"], MaskTrajectory]  # some frames of an episode, with their masks
Bare = dict[int, np.ndarray | None]  # by episode: packed bits of what rough masks hide; None: there are no such masks


def prompt_for(task: AnnotationTask, given: DatasetPrompt | None, episode: Episode) -> Prompt | None:
    """The prompt for an episode: the person's own, or the same thing found by appearance.

    Raises:
        PromptError: nothing in the episode looks like the prompted object.
    """
    if given is None:
        return None
    if given.exemplar is None or episode.index == task.prompt.episode:
        return given.prompt
    return carry_prompt(given.exemplar, episode)


def phases_of(episode: Episode, robot: RobotConfig) -> tuple[EpisodePhases, ...]:
    """When the gripper holds something, from the recorded state; () where the state does not say."""
    if episode.state is None:
        return ()
    try:
        kinematics = build_kinematics(robot, episode.state_names, episode.action_names, episode.robot_type)
        opening = kinematics.gripper_opening(episode.state)
        positions = kinematics.forward(episode.state)[:, :3, 3] if kinematics.metric else None
        command = None
        if kinematics.actions is not None and episode.action is not None:
            command = kinematics.actions.gripper_opening(episode.action)
    except KinematicsError as error:
        logger.info("episode %d: grasp and release are found by eye (%s)", episode.index, error)
        return ()
    return tuple(find_phases(opening, episode.fps, command=command, tool_positions_m=positions))


def stored_masks(task: AnnotationTask, episode: Episode) -> MaskTrajectory | None:
    """Masks in the store that need not be made again: made with these settings, or all by someone else.

    Raises:
        SegmentationError: the stored masks are damaged or do not fit the episode.
    """
    key = (task.dataset.name, episode.index, task.camera)
    masks = task.store.load(*key, shape=(episode.length, *episode.frames.shape[-2:]))
    if masks is None:
        return None
    same = task.store.about(*key).get("settings") == task.settings_hash
    return masks if same or len(task.store.edited_frames(*key)) == episode.length else None


def plate_of(
    task: AnnotationTask, prompt: DatasetPrompt | None, pose: PoseGroup, progress: Callable[[int], None]
) -> tuple[Plate | None, Bare]:
    """The plate of a pose from rough masks, and what these say of the scene of each episode.

    The stored plate, and nothing about the episodes, where it was made of the same ones with the same settings.
    """
    wanted = {"settings": task.settings_hash, **pose.note}
    notes = [task.store.about(task.dataset.name, index, task.camera) for index in pose.episodes]
    if any(wanted.items() <= note.items() for note in notes):
        stored = task.store.load_plate(task.dataset.name, task.camera, pose.name)
        if stored is not None:
            return stored, {}
    views, bare = [], {}
    for at, index in enumerate(pose.episodes):
        progress(at)
        try:
            episode = read_episode(task.dataset, index, task.camera)
            rough = rough_masks(task, prompt, episode)
        except M2IVError as error:
            logger.info("%s: nothing for the plate from episode %d (%s)", pose.name, index, error)
            bare[index] = None
            continue
        views.append(view_of(task, pose, episode, rough))
        bare[index] = np.packbits(hidden_frames(task, rough).numpy())
    return plate_from(task, pose, views), bare


def rough_masks(task: AnnotationTask, prompt: DatasetPrompt | None, episode: Episode) -> MaskTrajectory:
    """Masks without a plate, or those in the store.

    Raises:
        M2IVError: it cannot be segmented, or its stored masks are damaged.
    """
    stored = stored_masks(task, episode)
    if stored is not None:
        return stored
    return task.segmenter.segment(episode, None, prompt_for(task, prompt, episode), phases_of(episode, task.robot))


def scene_of(
    task: AnnotationTask, prompt: DatasetPrompt | None, pose: PoseGroup, episode: Episode, bare: Bare
) -> Plate | None:
    """What an episode is segmented against: the pose's plate with what stood elsewhere in this episode.

    A run that goes on where another was stopped makes the rough masks again that say so.
    """
    if pose.plate is None or len(pose.episodes) == 1:
        return pose.plate
    frames = episode.frames[spread(episode.length, OWN_PLATE_FRAMES)]
    try:
        if episode.index not in bare:
            hidden = hidden_frames(task, rough_masks(task, prompt, episode))
        elif bare[episode.index] is None:
            return pose.plate
        else:
            size = (len(frames), *frames.shape[-2:])
            bits = np.unpackbits(bare[episode.index], count=math.prod(size))
            hidden = torch.from_numpy(bits.reshape(size).astype(bool))
    except M2IVError:
        return pose.plate
    return own_plate(frames, hidden, pose.plate, task.plate.min_views)[0]


def view_of(task: AnnotationTask, pose: PoseGroup, episode: Episode, masks: MaskTrajectory) -> View:
    """What one of the pose's episodes gives to its plate."""
    count = max(LEAST_PLATE_FRAMES, task.config.plate_frames // len(pose.episodes))
    chosen = spread(episode.length, count)
    return episode.frames[chosen], MaskTrajectory(masks.actor[chosen], masks.object[chosen], masks.confidence[chosen])


def hidden_frames(task: AnnotationTask, masks: MaskTrajectory) -> Bool[Tensor, "n h w"]:
    """What masks hide in the frames that an episode's own plate is made of."""
    return hidden_by(masks, task.plate.margin_px, spread(len(masks.actor), OWN_PLATE_FRAMES))


def plate_from(task: AnnotationTask, pose: PoseGroup, views: list[View]) -> Plate | None:
    """The pose's plate from some frames of each episode, kept in the store; what it had where there are none."""
    if not views:
        return pose.plate
    plate = build_plate([frames for frames, _ in views], [masks for _, masks in views], task.plate)
    task.store.save_plate(task.dataset.name, task.camera, pose.name, plate)
    return plate


def keep_own_plates(task: AnnotationTask, pose: PoseGroup, masks: dict[int, MaskTrajectory]) -> tuple[int, ...]:
    """Stores the plates of a pose's episodes in which other things stand about, and says which these are."""
    changed = []
    for index, found in masks.items():
        own = None
        if len(pose.episodes) > 1:
            frames = read_episode(task.dataset, index, task.camera).frames[spread(len(found.actor), OWN_PLATE_FRAMES)]
            scene, differs = own_plate(frames, hidden_frames(task, found), pose.plate, task.plate.min_views)
            own = scene if bool(differs.any()) else None
        task.store.save_episode_plate(task.dataset.name, task.camera, pose.name, index, own)
        changed += [] if own is None else [index]
    return tuple(changed)
