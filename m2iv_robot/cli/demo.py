"""`m2iv demo`: the main job, as far as it goes today, on the sample that ships with the package."""

import logging
import time
from importlib.resources import as_file, files
from pathlib import Path

from omegaconf import DictConfig

from m2iv_robot.cli import annotate, compose_command, plan
from m2iv_robot.errors import DatasetError

logger = logging.getLogger(__name__)


def run(node: DictConfig) -> int:
    """Annotate the sample and plan new motions for it; ends by naming the results."""
    started = time.perf_counter()
    with as_file(files("m2iv_robot") / "sample") as shipped:
        sample = dataset_root(Path(node.sample) if node.sample else shipped)
        status = _annotate_and_plan(node, sample)
    if status:
        logger.error("The demo did not come to its end: see the messages above.")
        return status
    output = Path(node.output)
    logger.info("")
    logger.info("Done in %.0f s.", time.perf_counter() - started)
    logger.info("  dataset that all is made from:    %s", sample)
    logger.info("  plans, state and action included: %s", output / "plans")
    logger.info("  page: robot and object found:     %s", output / "masks" / annotate.PAGE_NAME)
    logger.info("  page: new places and motions:     %s", output / "plans" / plan.PAGE_NAME)
    return 0


def dataset_root(folder: Path) -> Path:
    """The LeRobot dataset in `folder`: itself, or the first one below it.

    Raises:
        DatasetError: there is none.
    """
    found = sorted(path.parent.parent for path in folder.rglob("meta/info.json"))
    if not found:
        raise DatasetError(f"{folder}: no LeRobot dataset (meta/info.json) in it; give one: sample=FOLDER")
    return found[0]


def _annotate_and_plan(node: DictConfig, sample: Path) -> int:
    """Both commands as a person would give them; stops at the first that fails."""
    places = [
        f"dataset.root={sample}",
        f"camera={node.camera}",
        f"output.root={node.output}/masks",
    ]
    logger.info("1 of 2: finding robot and object in the sample (%s)", sample)
    status = annotate.run(compose_command("annotate", places))
    if status:
        return status
    logger.info("2 of 2: choosing new places and planning the robot's motion to them")
    return plan.run(compose_command("plan", [*places, f"output.plans={node.output}/plans", f"plan.count={node.count}"]))
