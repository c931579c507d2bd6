"""Labs in which the goal lies elsewhere in every episode: masks against the plate of all, and against one's own."""

import tempfile
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from jaxtyping import Bool
from torch import Tensor

from m2iv_robot.annotate import AnnotationTask, annotate_dataset
from m2iv_robot.annotate.plates import phases_of
from m2iv_robot.config import preset
from m2iv_robot.data.lerobot_io import DatasetConfig, open_dataset, read_episode
from m2iv_robot.data.mask_store import MaskStore
from m2iv_robot.data.simulation import SimulationConfig, load_truth, record_all
from m2iv_robot.errors import ConfigError, M2IVError
from m2iv_robot.kinematics import RobotConfig
from m2iv_robot.masks import iou
from m2iv_robot.segmentation import load_segmenter, parse_segmentation
from m2iv_robot.types import MaskTrajectory, Plate

CAMERA = "observation.images.front"
WRONG_LEVELS = 30  # of 255: a plate's pixel that is so far off shows another thing, or its shadow
TRUE_OBJECT_PX = 12  # fewer in a frame are not scored


@dataclass(frozen=True)
class ScenesConfig:
    """configs/benchmark/scenes.yaml."""

    labs: int = 1
    episodes: int = 6
    segmentation: str = "learned"
    seed: int = 100  # of the first lab

    def __post_init__(self) -> None:
        if self.labs < 1 or self.episodes < 2:
            raise ConfigError("benchmark: it takes one lab of two episodes at least")


def run(config: ScenesConfig) -> dict:
    """Figures in words of the product: what `m2iv annotate` finds, and what one common plate would have given."""
    rows = []
    for scene in range(config.seed, config.seed + config.labs):
        with tempfile.TemporaryDirectory() as folder:
            rows += lab_rows(scene, config, Path(folder))
    figures = {}
    for kind in ("common", "own"):
        chosen = [row for row in rows if row["plate"] == kind]
        for name in ("object_iou", "actor_iou", "wrong_share"):
            figures[f"{name}_{kind}_mean"] = float(np.mean([row[name] for row in chosen]))
        figures[f"object_iou_{kind}_worst"] = float(min(row["object_iou"] for row in chosen))
    return figures | {"episodes": rows}


def lab_rows(scene: int, config: ScenesConfig, folder: Path) -> list[dict]:
    """Two rows for each episode of a lab that can be annotated."""
    settings = replace(
        preset(SimulationConfig, "simulation", "so101"), wrist_width=0, scene_seed=scene, goal_marker=True,
        distractors_in_reach=1,
    )  # fmt: skip
    record_all(settings, folder / "lab", config.episodes, 90 * scene)
    dataset = open_dataset(DatasetConfig(root=str(folder / "lab")))
    segmenter, store = load_segmenter(parse_segmentation({"name": config.segmentation})), MaskStore(folder / "masks")
    report = annotate_dataset(AnnotationTask(dataset, CAMERA, segmenter, store, "benchmark"))
    rows = []
    for pose in report.poses:
        for entry in report.annotations:
            if entry.index not in pose.episodes or pose.plate is None:
                continue
            truth = load_truth(dataset.root, entry.index)
            own = store.load_episode_plate(dataset.name, CAMERA, pose.name, entry.index) or pose.plate
            episode = read_episode(dataset, entry.index, CAMERA)
            about = {"lab": scene, "episode": entry.index}
            rows.append(about | {"plate": "own"} | scores(entry.masks, own, truth.masks, truth.plate))
            try:
                found = segmenter.segment(episode, pose.plate, None, phases_of(episode, RobotConfig()))
            except M2IVError:
                found = MaskTrajectory(entry.masks.actor & False, entry.masks.object & False, entry.masks.confidence)
            rows.append(about | {"plate": "common"} | scores(found, pose.plate, truth.masks, truth.plate))
    return rows


def scores(found: MaskTrajectory, plate: Plate, truth: MaskTrajectory, bare: Plate) -> dict:
    """Mean IoU over the frames, and the share of the plate's pixels that are not the bare scene."""
    wrong = (plate.image.int() - bare.image.int()).abs().amax(0) > WRONG_LEVELS
    return {
        "object_iou": mean_iou(found.object, truth.object),
        "actor_iou": mean_iou(found.actor, truth.actor),
        "wrong_share": float((wrong & plate.known).float().mean()),
    }


def mean_iou(found: Bool[Tensor, "t h w"], truth: Bool[Tensor, "t h w"]) -> float:
    """Over the frames in which there is something to be found."""
    seen = truth.flatten(1).sum(1) >= TRUE_OBJECT_PX
    return float(iou(found, truth)[seen].mean())
