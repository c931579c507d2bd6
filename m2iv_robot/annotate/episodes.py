"""Rough masks make a plate of each camera pose, it makes the masks, and these make the plate that is kept."""

import logging
from collections.abc import Callable
from dataclasses import replace

import torch
from jaxtyping import UInt8
from torch import Tensor

from m2iv_robot.annotate.records import (
    AnnotationConfig,
    AnnotationReport,
    AnnotationTask,
    DatasetPrompt,
    EpisodeAnnotation,
    PoseGroup,
)
from m2iv_robot.background import build_plate, spread
from m2iv_robot.camera import check_fixed, group_by_pose, median_frame
from m2iv_robot.data.lerobot_io import read_episode
from m2iv_robot.errors import KinematicsError, M2IVError
from m2iv_robot.kinematics import RobotConfig, build_kinematics, find_phases
from m2iv_robot.masks import area, centroid, largest_component
from m2iv_robot.segmentation import Prompt
from m2iv_robot.segmentation.prompts import carry_prompt, exemplar_of, read_prompt
from m2iv_robot.types import Episode, EpisodePhases, MaskTrajectory, Plate

__all__ = ["AnnotationConfig", "AnnotationReport", "AnnotationTask", "EpisodeAnnotation", "annotate_dataset"]

logger = logging.getLogger(__name__)

LEAST_PLATE_FRAMES = 6  # of each episode
View = tuple[UInt8[Tensor, "n 3 h w"], MaskTrajectory]  # some frames of an episode, with their masks
Progress = Callable[[str, int, int], None]  # what is being done, how many are done, how many there are


def annotate_dataset(task: AnnotationTask, progress: Progress | None = None) -> AnnotationReport:
    """Masks and plates for all episodes; one that cannot be annotated is listed, and the others go on.

    Raises:
        DatasetError: no such camera.
        PromptError: the prompt does not fit the episode that it was given for.
    """
    progress = progress or _silent
    task.dataset.check_camera(task.camera)
    prompt = dataset_prompt(task)
    failures: dict[int, M2IVError] = {}
    poses = find_poses(task, failures, progress)
    total = sum(len(pose.episodes) for pose in poses)
    annotations, finished, done = [], [], 0
    for pose in poses:
        pose = replace(
            pose, plate=plate_of(task, prompt, pose, lambda at, base=done: progress("plate", base + at, total))
        )
        views = []
        for index in pose.episodes:
            progress("masks", done, total)
            done += 1
            try:
                annotation, view = annotate_episode(task, prompt, pose, index)
            except M2IVError as error:
                failures[index] = error
                continue
            annotations.append(annotation)
            views.append(view)
        finished.append(replace(pose, plate=plate_from(task, pose, views)))
    progress("masks", done, total)
    annotations.sort(key=lambda annotation: annotation.index)
    return AnnotationReport(tuple(annotations), tuple(sorted(failures.items())), tuple(finished))


def _silent(stage: str, done: int, total: int) -> None:
    """Progress that nobody watches."""


def find_poses(task: AnnotationTask, failures: dict[int, M2IVError], progress: Progress) -> list[PoseGroup]:
    """Episodes with a fixed camera, grouped by its pose; the others go to `failures`."""
    count = task.dataset.episode_count
    if task.config.episodes:
        count = min(count, task.config.episodes)
    scenes = {}
    for index in range(count):
        progress("camera", index, count)
        try:
            episode = read_episode(task.dataset, index, task.camera)
            check_fixed(episode, task.camera_check)
            scenes[index] = median_frame(episode.frames)
        except M2IVError as error:
            failures[index] = error
    progress("camera", count, count)
    indices = list(scenes)
    groups = group_by_pose(list(scenes.values()), task.camera_check)
    return [
        PoseGroup(f"pose_{number:02d}", tuple(indices[member] for member in group))
        for number, group in enumerate(groups)
    ]


def dataset_prompt(task: AnnotationTask) -> DatasetPrompt | None:
    """The person's prompt read and checked, with the looks of what it means; None where there is none."""
    if task.prompt.empty:
        return None
    episode = read_episode(task.dataset, task.prompt.episode, task.camera)
    prompt = read_prompt(task.prompt, episode)
    return DatasetPrompt(prompt, None if prompt.text else exemplar_of(episode, prompt))


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
) -> Plate | None:
    """The plate of a pose from rough masks, or the stored one where it was made of the same episodes and settings."""
    wanted = {"settings": task.settings_hash, **pose.note}
    notes = [task.store.about(task.dataset.name, index, task.camera) for index in pose.episodes]
    if any(wanted.items() <= note.items() for note in notes) and (stored := stored_plate(task, pose)) is not None:
        return stored
    views = []
    for at, index in enumerate(pose.episodes):
        progress(at)
        try:
            episode = read_episode(task.dataset, index, task.camera)
            rough = stored_masks(task, episode)
            if rough is None:
                phases = phases_of(episode, task.robot)
                rough = task.segmenter.segment(episode, None, prompt_for(task, prompt, episode), phases)
        except M2IVError as error:
            logger.info("%s: nothing for the plate from episode %d (%s)", pose.name, index, error)
            continue
        views.append(view_of(task, pose, episode, rough))
    return plate_from(task, pose, views)


def stored_plate(task: AnnotationTask, pose: PoseGroup) -> Plate | None:
    """The pose's plate in the store."""
    return task.store.load_plate(task.dataset.name, task.camera, pose.name)


def view_of(task: AnnotationTask, pose: PoseGroup, episode: Episode, masks: MaskTrajectory) -> View:
    """What one of the pose's episodes gives to its plate."""
    count = max(LEAST_PLATE_FRAMES, task.config.plate_frames // len(pose.episodes))
    chosen = spread(episode.length, count)
    return episode.frames[chosen], MaskTrajectory(masks.actor[chosen], masks.object[chosen], masks.confidence[chosen])


def plate_from(task: AnnotationTask, pose: PoseGroup, views: list[View]) -> Plate | None:
    """The pose's plate from some frames of its episodes, kept in the store; what it had before where there are none.

    Rough masks may hide a thing in every frame (a dish on which the object is put), so the plate is made again once
    the masks are.
    """
    if not views:
        return pose.plate
    plate = build_plate([frames for frames, _ in views], [masks for _, masks in views], task.plate)
    task.store.save_plate(task.dataset.name, task.camera, pose.name, plate)
    return plate


def annotate_episode(
    task: AnnotationTask, prompt: DatasetPrompt | None, pose: PoseGroup, index: int
) -> tuple[EpisodeAnnotation, View]:
    """Masks of one episode, from the store where they need not be made again, and what they give to the plate.

    Raises:
        M2IVError: the episode cannot be read or segmented, or its stored masks are damaged.
    """
    episode = read_episode(task.dataset, index, task.camera)
    phases = phases_of(episode, task.robot)
    masks = stored_masks(task, episode)
    if masks is None:
        found = task.segmenter.segment(episode, pose.plate, prompt_for(task, prompt, episode), phases)
        key = (task.dataset.name, index, task.camera)
        task.store.save(*key, found, {"settings": task.settings_hash, **pose.note})
        masks = task.store.load(*key, shape=(episode.length, *episode.frames.shape[-2:]))
    return describe(task, episode, masks, pose.name, phases), view_of(task, pose, episode, masks)


def describe(
    task: AnnotationTask, episode: Episode, masks: MaskTrajectory, plate: str, phases: tuple[EpisodePhases, ...]
) -> EpisodeAnnotation:
    """What the masks of an episode say."""
    sizes = area(masks.object)
    seen = torch.where(sizes > 0.3 * sizes.max())[0] if sizes.max() > 0 else sizes[:0]
    confidence = float(masks.confidence.mean())
    verdict = "good" if confidence >= task.config.good_confidence else "check"
    if confidence < task.config.poor_confidence or not len(seen) or not masks.actor.any():
        verdict = "bad"
    ends = [largest_component(masks.object[seen[at]]) if len(seen) else None for at in (0, -1)]
    places = [None if end is None else tuple(centroid(end).tolist()) for end in ends]
    return EpisodeAnnotation(
        index=episode.index,
        length=episode.length,
        masks=masks,
        plate=plate,
        phases=phases,
        confidence=confidence,
        edited_frames=len(task.store.edited_frames(task.dataset.name, episode.index, task.camera)),
        start_px=places[0],
        goal_px=places[1],
        area_px=float(sizes[seen].float().median()) if len(seen) else 0.0,
        verdict=verdict,
    )
