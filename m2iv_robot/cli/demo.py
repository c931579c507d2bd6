"""`m2iv demo`: the main job on the sample that ships with the package."""

import logging
import time
from importlib.resources import as_file, files
from pathlib import Path

from omegaconf import DictConfig

from m2iv_robot.augment.page import PAGE_NAME
from m2iv_robot.cli import augment, compose_command
from m2iv_robot.errors import DatasetError

logger = logging.getLogger(__name__)


def run(node: DictConfig) -> int:
    """Make new episodes from the sample; ends by naming the results."""
    started = time.perf_counter()
    output = Path(node.output)
    with as_file(files("m2iv_robot") / "sample") as shipped:
        sample = dataset_root(Path(node.sample) if node.sample else shipped)
        settings = [
            f"dataset.root={sample}",
            f"camera={node.camera}",
            f"output.root={output}/dataset",
            f"count={node.count}",
        ]
        logger.info("m2iv augment %s", " ".join(settings))
        status = augment.run(compose_command("augment", settings))
    if status:
        logger.error("The demo did not come to its end: see the messages above.")
        return status
    logger.info("")
    logger.info("Done in %.0f s.", time.perf_counter() - started)
    logger.info("  recorded episodes:        %s", sample)
    logger.info("  new episodes:             %s", output / "dataset")
    logger.info("  look at them in a browser: %s", output / "dataset_report" / PAGE_NAME)
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
