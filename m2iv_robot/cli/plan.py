"""`m2iv plan dataset.root=FOLDER camera=KEY plan.count=N placement=start|goal`: placements, motions, and a page."""

import logging
from dataclasses import replace
from pathlib import Path

from omegaconf import DictConfig

from m2iv_robot.annotate import annotate_dataset
from m2iv_robot.cli.annotate import Bars, task_of
from m2iv_robot.config import parse
from m2iv_robot.placement import PlacementConfig
from m2iv_robot.plan import (
    PlanConfig,
    PlanReport,
    PlanTask,
    plan_dataset,
    refused_places,
    write_drawings,
    write_plan_page,
    write_plans,
)
from m2iv_robot.retarget import RetargetConfig

logger = logging.getLogger(__name__)

PAGE_NAME = "plans.html"


def run(node: DictConfig) -> int:
    """Annotate what has no masks yet, plan, draw; returns 1 where an episode failed or nothing could be planned."""
    annotation = task_of(node)
    config = parse(PlanConfig, node.plan, "plan")
    if config.episodes:
        annotation = replace(annotation, config=replace(annotation.config, episodes=config.episodes))
    task = PlanTask(
        dataset=annotation.dataset,
        camera=annotation.camera,
        store=annotation.store,
        robot=annotation.robot,
        camera_fit=annotation.camera_check,
        placement=parse(PlacementConfig, node.placement, "placement"),
        retarget=parse(RetargetConfig, node.retarget, "retarget"),
        config=config,
    )
    with Bars() as bars:
        annotate_dataset(annotation, bars.show)
        report = plan_dataset(task, bars.show)
    root = Path(node.output.plans)
    index = write_plans(root, report)
    write_drawings(root, report, task.placement.kind)
    page = write_plan_page(root / PAGE_NAME, task, report)
    log(report)
    logger.info("plans: %s", index)
    logger.info("page:  %s", page)
    return 1 if report.failures or not report.plans else 0


def log(report: PlanReport) -> None:
    """How many plans, what was refused, and the failures at the end."""
    for note in report.notes:
        logger.warning(note)
    for scene in report.scenes:
        plans = [plan for plan in report.plans if plan.source_episode in scene.episodes]
        refused = [entry for entry in report.refusals if entry.source_episode in scene.episodes]
        logger.info("%s: %d plans, %d places refused", scene.name, len(plans), len(refused))
    for line in refused_places(report.refusals):
        logger.info("refused: %s", line)
    for index, error in report.failures:
        logger.error("episode %d cannot be planned from: %s: %s", index, type(error).__name__, error)
