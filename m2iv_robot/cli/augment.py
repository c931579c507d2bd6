"""`m2iv augment dataset.root=FOLDER camera=KEY output.root=FOLDER count=N`: new episodes as a LeRobot dataset."""

import dataclasses
import logging
from dataclasses import replace
from pathlib import Path

from omegaconf import DictConfig, OmegaConf
from tqdm import tqdm

from m2iv_robot.augment import (
    AugmentConfig,
    AugmentReport,
    AugmentTask,
    labeller_folder,
    load_networks,
    run_augmentation,
    summary_rows,
    training_lines,
    write_augment_page,
)
from m2iv_robot.cli.annotate import Bars, task_of
from m2iv_robot.config import parse
from m2iv_robot.data.lerobot_io import WriterConfig
from m2iv_robot.generation import GenerationConfig
from m2iv_robot.labelling import LabelTrustConfig
from m2iv_robot.learned_labels import LabellerTask
from m2iv_robot.models.labeller import LabellerConfig
from m2iv_robot.placement import PlacementConfig
from m2iv_robot.quality import QualityConfig, QualityGate
from m2iv_robot.retarget import RetargetConfig

logger = logging.getLogger(__name__)


def run(node: DictConfig) -> int:
    """Make new episodes; returns 1 where an episode failed or nothing was accepted, else 0."""
    task = augment_task(node)
    with FrameBars() as bars:
        report = run_augmentation(task, bars.show)
    page = write_augment_page(task, report)
    log(task, report)
    logger.info("page: %s", page)
    return 1 if report.failures or not report.written else 0


def augment_task(node: DictConfig) -> AugmentTask:
    """Everything checked, opened and loaded.

    Raises:
        ConfigError: a bad value.
        DatasetError: the dataset cannot be opened.
        CheckpointError: weights are missing.
    """
    names = [field.name for field in dataclasses.fields(AugmentConfig)]
    config = parse(AugmentConfig, OmegaConf.masked_copy(node, names), "augment")
    root = Path(node.output.root).expanduser()
    masks = node.output.masks or str(root.parent / f"{root.name}_report" / "masks")
    annotation = task_of(OmegaConf.merge(node, {"output": {"root": masks}}))
    placement = parse(PlacementConfig, node.placement, "placement")
    learned = node.segmentation.get("weights", "") if node.segmentation.name == "learned" else None
    gate = QualityGate(parse(QualityConfig, node.quality, "quality"), annotation.segmenter) if node.gate else None
    writer = parse(WriterConfig, node.writer, "writer")
    return AugmentTask(
        annotation=annotation,
        root=root,
        networks=load_networks(config, learned),
        placement=replace(placement, task=node.task or placement.task),
        retarget=parse(RetargetConfig, node.retarget, "retarget"),
        generation=parse(GenerationConfig, node.generation, "generation"),
        writer=replace(writer, include_source=bool(node.include_source) or writer.include_source),
        config=config,
        gate=gate,
        labeller=LabellerTask(
            dataset=annotation.dataset,
            camera=annotation.camera,
            folder=Path(node.output.labeller).expanduser() if node.output.labeller else labeller_folder(root),
            sizes=parse(LabellerConfig, node.labeller, "labeller"),
            trust=parse(LabelTrustConfig, node.label_trust, "label_trust"),
        ),
    )


class FrameBars(Bars):
    """Progress bars that count frames where frames are made."""

    def show(self, stage: str, done: int, total: int) -> None:
        """Bring the stage's bar to `done` of `total`."""
        if stage == "frames" and stage not in self.bars:
            self.bars[stage] = tqdm(total=total, desc="new episodes", unit="frame")
        super().show(stage, done, total)


def log(task: AugmentTask, report: AugmentReport) -> None:
    """The summary, what was not written and why, and how to train on the rest."""
    logger.info("")
    for name, value in summary_rows(task, report):
        logger.info("%-34s %s", name, value)
    for note in report.notes:
        logger.warning(note)
    for outcome in report.outcomes:
        if outcome.verdict != "written":
            logger.info("%s (from episode %d): %s", outcome.verdict, outcome.source_episode, outcome.reason)
    for index, error in report.failures:
        logger.error("nothing can be made from episode %d: %s: %s", index, type(error).__name__, error)
    if report.written and task.config.labels != "video_only":
        logger.info("")
        logger.info("\n".join(training_lines(report.root)[:1]))
