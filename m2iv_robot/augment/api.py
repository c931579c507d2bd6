"""From Python: a LeRobot dataset in, another one with new episodes out."""

import json
from dataclasses import asdict, replace
from pathlib import Path
from typing import Protocol, runtime_checkable

import torch

from m2iv_robot.annotate import AnnotationTask
from m2iv_robot.augment.records import AugmentConfig, AugmentTask, Networks
from m2iv_robot.augment.run import run_augmentation
from m2iv_robot.data.lerobot_io import Dataset, DatasetConfig, WriterConfig, open_dataset
from m2iv_robot.data.mask_store import MaskStore
from m2iv_robot.errors import ConfigError, PlanError
from m2iv_robot.learned_labels import LabellerTask
from m2iv_robot.models.checkpoint import WEIGHTS_FOLDER, load_trajectory, load_video, segmenter_path, weights_hash
from m2iv_robot.placement import PlacementConfig
from m2iv_robot.quality import QualityConfig, QualityGate
from m2iv_robot.segmentation import load_segmenter
from m2iv_robot.segmentation.learned import LearnedConfig


@runtime_checkable
class OpenedDataset(Protocol):
    """What is used of lerobot.datasets.LeRobotDataset."""

    root: Path
    repo_id: str


def augment_dataset[Opened: OpenedDataset](
    dataset: Opened,
    config: AugmentConfig | None = None,
    root: str | Path = "",
    camera: str = "",
    placement: PlacementConfig | None = None,
) -> Opened:
    """New episodes from a `LeRobotDataset`, as another `LeRobotDataset`, recorded ones first.

    `root` is the new dataset's folder ("": beside the old one), `camera` a fixed camera's key ("": the only one).

    Raises:
        ConfigError: the dataset has several cameras and none is named.
        PlanError: no motion could be planned, or nothing was accepted.
    """
    opened = open_dataset(DatasetConfig(root=str(dataset.root), repo_id=str(dataset.repo_id)))
    target = Path(root) if root else Path(dataset.root).with_name(f"{Path(dataset.root).name}_augmented")
    task = default_task(opened, only_camera(opened, camera), target, config or AugmentConfig())
    task = replace(
        task,
        placement=placement or task.placement,
        writer=replace(task.writer, include_source=True),
    )
    report = run_augmentation(task)
    if not report.written:
        raise PlanError(f"{opened.name}: of {len(report.outcomes)} plans none was accepted; see {task.report_folder}")
    return type(dataset)(repo_id=f"{dataset.repo_id}_augmented", root=target)


def only_camera(dataset: Dataset, camera: str) -> str:
    """The camera that is meant.

    Raises:
        ConfigError: it is not said and cannot be told.
    """
    if not camera and len(dataset.cameras) != 1:
        raise ConfigError(f"{dataset.name} has the cameras {', '.join(dataset.cameras)}; name a fixed one: camera=KEY")
    return camera or dataset.cameras[0]


def default_task(dataset: Dataset, camera: str, root: Path, config: AugmentConfig) -> AugmentTask:
    """A task with the settings and weights that ship."""
    learned = LearnedConfig()
    segmenter = load_segmenter(learned)
    annotation = AnnotationTask(
        dataset=dataset,
        camera=camera,
        segmenter=segmenter,
        store=MaskStore(root.parent / f"{root.name}_report" / "masks"),
        settings=json.dumps(asdict(learned)),
    )
    networks = load_networks(config, segmenter=learned.weights)
    gate = QualityGate(QualityConfig(), segmenter)
    labeller = LabellerTask(dataset, camera, labeller_folder(root))
    return AugmentTask(annotation, root, networks, config=config, writer=WriterConfig(), gate=gate, labeller=labeller)


def labeller_folder(root: Path) -> Path:
    """Where the labeller of a run that makes the dataset `root` is kept."""
    return root.parent / f"{root.name}_report" / "labeller"


def load_networks(config: AugmentConfig, segmenter: str | None = None) -> Networks:
    """The networks that a run needs, and the hashes of all weights that shape its episodes.

    `segmenter` is the learned segmenter's weights file ("": the one that ships), None without one.

    Raises:
        CheckpointError: weights are missing or damaged.
    """
    trajectory, video = config.trajectory_weights, config.video_weights
    device = torch.device("cuda" if config.device == "auto" and torch.cuda.is_available() else "cpu")
    if config.device != "auto":
        device = torch.device(config.device)
    files = {}
    if segmenter is not None:
        files["segmenter"] = segmenter_path(segmenter)
    first = second = None
    if config.masks == "network":
        files["trajectory"] = Path(trajectory) if trajectory else WEIGHTS_FOLDER / "trajectory.safetensors"
        first = load_trajectory(trajectory, device)
    if config.renderer == "network":
        files["video"] = Path(video) if video else WEIGHTS_FOLDER / "video.safetensors"
        second = load_video(video, device)
    return Networks(first, second, {name: weights_hash(path) for name, path in files.items()})
