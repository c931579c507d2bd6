"""`m2iv bag2lerobot bags=[BAG,...] contract=NAME|FILE task="..." output.root=FOLDER`: recorded bags to episodes."""

import logging
from dataclasses import replace
from pathlib import Path

from omegaconf import DictConfig
from tqdm import tqdm

from m2iv_robot.config import parse
from m2iv_robot.data.lerobot_io import WriterConfig
from m2iv_robot.errors import ConfigError, M2IVError
from m2iv_robot.recording import load_contract
from m2iv_robot.recording.bags import Conversion, convert_bag, find_bags
from m2iv_robot.recording.save import report_path

logger = logging.getLogger(__name__)


def run(node: DictConfig) -> int:
    """Convert each bag; one that makes no episode is listed at the end, and the others go on; 1 where there was one."""
    if not node.bags:
        raise ConfigError("bags: give the bags to convert: bags=[FOLDER,...]")
    contract = load_contract(str(node.contract))
    if node.when_dead:
        contract = replace(contract, config=replace(contract.config, when_dead=str(node.when_dead)))
    bags = find_bags([str(bag) for bag in node.bags])
    root = Path(str(node.output.root)).expanduser().absolute()
    conversion = Conversion(contract, root, str(node.task), parse(WriterConfig, node.writer, "writer"))
    failures: list[tuple[Path, M2IVError]] = []
    for bag in bags:
        try:
            with tqdm(desc=bag.name, unit="message", leave=False) as bar:
                index, episode = convert_bag(bag, conversion, _shown_by(bar))
        except M2IVError as error:
            failures.append((bag, error))
            continue
        logger.info("%s: episode %d: %s", bag.name, index, episode.report["summary"])
        logger.info("report: %s", report_path(root, index))
    logger.info("dataset: %s", root)
    for bag, error in failures:
        logger.error("%s makes no episode: %s", bag, error)
    return 1 if failures else 0


def _shown_by(bar: tqdm):
    def show(done: int, total: int) -> None:
        bar.total = total
        if done % 100 == 0 or done == total:
            bar.update(done - bar.n)

    return show
