"""`m2iv annotate dataset.root=FOLDER camera=KEY output.root=FOLDER`: masks, plates and a page of overlays."""

import json
import logging
from pathlib import Path

from omegaconf import DictConfig, OmegaConf
from tqdm import tqdm

from m2iv_robot.annotate import (
    AnnotationConfig,
    AnnotationReport,
    AnnotationTask,
    annotate_dataset,
    write_annotation_page,
)
from m2iv_robot.background import PlateConfig
from m2iv_robot.camera import CameraConfig
from m2iv_robot.config import parse
from m2iv_robot.data.lerobot_io import Dataset, DatasetConfig, open_dataset
from m2iv_robot.data.mask_store import MaskStore
from m2iv_robot.errors import ConfigError
from m2iv_robot.kinematics import RobotConfig
from m2iv_robot.segmentation import load_segmenter, parse_segmentation
from m2iv_robot.segmentation.prompts import PromptConfig

logger = logging.getLogger(__name__)

DECIDES = ("segmentation", "prompt", "plate", "robot")  # groups that decide what the masks look like
PAGE_NAME = "masks.html"


def run(node: DictConfig) -> int:
    """Annotate a dataset; returns 1 where an episode failed, else 0."""
    task = task_of(node)
    with Bars() as bars:
        report = annotate_dataset(task, bars.show)
    page = write_annotation_page(Path(node.output.root) / PAGE_NAME, task, report)
    log(report)
    logger.info("masks: %s", task.store.root)
    logger.info("page:  %s", page)
    return 1 if report.failures else 0


def task_of(node: DictConfig) -> AnnotationTask:
    """Everything checked and opened.

    Raises:
        ConfigError: a bad value, or no camera is named where the dataset has several.
        DatasetError: the dataset cannot be opened.
    """
    dataset = open_dataset(parse(DatasetConfig, node.dataset, "dataset"))
    segmentation = parse_segmentation(node.segmentation)
    return AnnotationTask(
        dataset=dataset,
        camera=camera_of(node, dataset),
        segmenter=load_segmenter(segmentation),
        store=MaskStore(node.output.root),
        settings=json.dumps({group: OmegaConf.to_container(node[group], resolve=True) for group in DECIDES}),
        prompt=parse(PromptConfig, node.prompt, "prompt"),
        robot=parse(RobotConfig, node.robot, "robot"),
        camera_check=parse(CameraConfig, node.camera_fit, "camera_fit"),
        plate=parse(PlateConfig, node.plate, "plate"),
        config=parse(AnnotationConfig, node.annotation, "annotation"),
    )


def camera_of(node: DictConfig, dataset: Dataset) -> str:
    """The camera that is named, or the only one.

    Raises:
        ConfigError: none is named and there are several.
    """
    if node.camera:
        return str(node.camera)
    if len(dataset.cameras) == 1:
        return dataset.cameras[0]
    raise ConfigError(f"{dataset.name} has the cameras {', '.join(dataset.cameras)}; name a fixed one: camera=KEY")


class Bars:
    """One progress bar per stage, closed at the end."""

    def __init__(self) -> None:
        self.bars: dict[str, tqdm] = {}

    def show(self, stage: str, done: int, total: int) -> None:
        """Bring the stage's bar to `done` of `total`."""
        if stage not in self.bars:
            self.bars[stage] = tqdm(total=total, desc=stage, unit="episode")
        bar = self.bars[stage]
        bar.update(done - bar.n)

    def __enter__(self) -> "Bars":
        return self

    def __exit__(self, *details: object) -> None:
        for bar in self.bars.values():
            bar.close()


def log(report: AnnotationReport) -> None:
    """What was found per episode, and the failures at the end."""
    for entry in report.annotations:
        edited = f", {entry.edited_frames} corrected frames kept" if entry.edited_frames else ""
        places = ["nowhere" if at is None else f"({at[0]:.0f}, {at[1]:.0f})" for at in (entry.start_px, entry.goal_px)]
        held = ", ".join(f"{phase.grasp}-{phase.release}" for phase in entry.phases)
        logger.info(
            "episode %d: %s (confidence %.2f): object of %.0f px from %s to %s%s%s",
            entry.index,
            entry.verdict,
            entry.confidence,
            entry.area_px,
            *places,
            f", held in frames {held}" if held else "",
            edited,
        )
    for index, error in report.failures:
        logger.error("episode %d failed: %s: %s", index, type(error).__name__, error)
