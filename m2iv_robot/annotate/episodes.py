"""Rough masks make a plate of each camera pose, it makes the masks, and these make the plate that is kept."""

from collections.abc import Callable
from dataclasses import replace

import torch

from m2iv_robot.annotate.plates import (
    Bare,
    View,
    keep_own_plates,
    phases_of,
    plate_from,
    plate_of,
    prompt_for,
    scene_of,
    stored_masks,
    view_of,
)
from m2iv_robot.annotate.records import (
    AnnotationConfig,
    AnnotationReport,
    AnnotationTask,
    DatasetPrompt,
    EpisodeAnnotation,
    PoseGroup,
)
from m2iv_robot.camera import check_fixed, group_by_pose, median_frame
from m2iv_robot.data.lerobot_io import read_episode
from m2iv_robot.errors import M2IVError
from m2iv_robot.masks import area, centroid, largest_component
from m2iv_robot.segmentation.prompts import exemplar_of, read_prompt
from m2iv_robot.types import Episode, EpisodePhases, MaskTrajectory

__all__ = ["AnnotationConfig", "AnnotationReport", "AnnotationTask", "EpisodeAnnotation", "annotate_dataset"]

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
        plate, bare = plate_of(task, prompt, pose, lambda at, base=done: progress("plate", base + at, total))
        pose = replace(pose, plate=plate)
        views = []  # rough masks may hide a thing in every frame (a dish that the object is put on): so made again
        for index in pose.episodes:
            progress("masks", done, total)
            done += 1
            try:
                annotation, view = annotate_episode(task, prompt, pose, index, bare)
            except M2IVError as error:
                failures[index] = error
                continue
            annotations.append(annotation)
            views.append(view)
        pose = replace(pose, plate=plate_from(task, pose, views))
        found = {entry.index: entry.masks for entry in annotations if entry.index in pose.episodes}
        finished.append(replace(pose, changed=keep_own_plates(task, pose, found)))
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


def annotate_episode(
    task: AnnotationTask, prompt: DatasetPrompt | None, pose: PoseGroup, index: int, bare: Bare
) -> tuple[EpisodeAnnotation, View]:
    """Masks of one episode, from the store where they need not be made again, and what they give to the plate.

    Raises:
        M2IVError: the episode cannot be read or segmented, or its stored masks are damaged.
    """
    episode = read_episode(task.dataset, index, task.camera)
    phases = phases_of(episode, task.robot)
    masks = stored_masks(task, episode)
    if masks is None:
        scene = scene_of(task, prompt, pose, episode, bare)
        found = task.segmenter.segment(episode, scene, prompt_for(task, prompt, episode), phases)
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
