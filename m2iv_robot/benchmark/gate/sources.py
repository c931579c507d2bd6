"""Recorded episodes as the gate's sources: simulated labs, LeRobot datasets with masks, clip stores."""

from dataclasses import dataclass, replace
from pathlib import Path

import torch

from m2iv_robot.annotate import AnnotationTask, annotate_dataset
from m2iv_robot.config import preset
from m2iv_robot.data.clip_store import load_clip
from m2iv_robot.data.lerobot_io import DatasetConfig, open_dataset, read_episode
from m2iv_robot.data.mask_store import MaskStore
from m2iv_robot.data.simulation import SimulationConfig, load_truth, record_all
from m2iv_robot.errors import CameraError, M2IVError, PlanError
from m2iv_robot.plan import PlanTask
from m2iv_robot.plan.cameras import camera_fits
from m2iv_robot.plan.dataset import kinematics_of, pose_groups
from m2iv_robot.plan.scenes import SourceEpisode, read_sources, stacked
from m2iv_robot.quality import SourceContext
from m2iv_robot.retarget import describe_robot
from m2iv_robot.segmentation import Segmenter
from m2iv_robot.types import Episode, EpisodePhases, MaskTrajectory, Plate

FRONT = "observation.images.front"
CLIP_SECONDS = 12.0  # a clip does not say how long its recording was


@dataclass(frozen=True)
class Scene:
    """Episodes of one place seen by one camera: with several, each is judged with another one as its source."""

    name: str
    kind: str  # simulated or real
    sources: tuple[SourceContext, ...]


def simulated_scene(folder: Path, lab: int, episodes: int, segmenter: Segmenter | None) -> Scene:
    """Record a lab's episodes and annotate them; without a segmenter their masks are the simulator's."""
    root = folder / f"lab_{lab:03d}"
    settings = replace(preset(SimulationConfig, "simulation", "so101"), scene_seed=lab, fps=10, wrist_width=0)
    record_all(settings, root, episodes, 1000 * lab)
    dataset = open_dataset(DatasetConfig(root=str(root)))
    store = MaskStore(root.parent / f"{root.name}_masks_{'true' if segmenter is None else 'seen'}")
    if segmenter is None:
        truths = [load_truth(root, index) for index in range(episodes)]
        for index, truth in enumerate(truths):
            store.save(dataset.name, index, FRONT, truth.masks, {"plate": "pose_00"})
        store.save_plate(dataset.name, FRONT, "pose_00", truths[0].plate)
    else:
        annotate_dataset(AnnotationTask(dataset, FRONT, segmenter, store))
    return Scene(root.name, "simulated", tuple(dataset_sources(PlanTask(dataset, FRONT, store))))


def real_scenes(root: Path, masks: Path) -> list[Scene]:
    """Every camera of a LeRobot dataset that has masks, each camera pose a scene of its own."""
    dataset, store, scenes = open_dataset(DatasetConfig(root=str(root))), MaskStore(masks), []
    for camera in dataset.cameras:
        task = PlanTask(dataset, camera, store)
        for name, members in pose_groups(task, dataset.episode_count, {}).items():
            sources = dataset_sources(task, members)
            if sources:
                scenes.append(Scene(f"{dataset.name} {camera.rsplit('.', 1)[-1]} {name}", "real", tuple(sources)))
    return scenes


def dataset_sources(task: PlanTask, members: tuple[int, ...] = ()) -> list[SourceContext]:
    """The episodes of one camera pose with all that can be known of them."""
    members = members or tuple(range(task.dataset.episode_count))
    kinematics, failures = kinematics_of(task), {}
    sources = read_sources(task, kinematics, members, failures)
    if not sources:
        return []
    robot, fits = None, [None] * len(sources)
    if kinematics.metric and all(source.labels.action is not None for source in sources):
        columns = [stacked([getattr(source.labels, name) for source in sources]) for name in ("state", "action")]
        try:
            robot = describe_robot(*columns, task.dataset.fps, kinematics, task.retarget)
            fits = camera_fits(task, kinematics, sources)
        except (PlanError, CameraError):
            fits = [None] * len(sources)
    made = [source_context(task, source) for source in sources]
    return [replace(context, robot=robot, camera=fit) for context, fit in zip(made, fits, strict=True)]


def source_context(task: PlanTask, source: SourceEpisode) -> SourceContext:
    """One episode with its frames and its plate."""
    index = source.labels.index
    name = task.store.about(task.dataset.name, index, task.camera)["plate"]
    plate = task.store.load_plate(task.dataset.name, task.camera, name)
    if plate is None:
        raise M2IVError(f"{task.dataset.name}: no plate {name} in {task.store.root}; run m2iv annotate again")
    frames = read_episode(task.dataset, index, task.camera)
    return SourceContext(frames, source.masks, source.plate or plate, source.phases)


def clip_scene(path: Path) -> Scene:
    """A clip of a training store: real frames with masks, no labels."""
    clip = load_clip(path)
    length = len(clip.frames)
    episode = Episode(
        path.parent.name, 0, "video", clip.frames, None, None, (), (), length / CLIP_SECONDS, "", None
    )  # fmt: skip
    masks = MaskTrajectory(clip.actor, clip.object, torch.ones(length))
    phases: tuple[EpisodePhases, ...] = ()
    return Scene(path.stem, "real", (SourceContext(episode, masks, Plate(clip.plate, clip.plate_known), phases),))
