"""`m2iv simulate output.root=FOLDER count=N seed=S simulation=so101`: simulated episodes with exact truth."""

import logging
from pathlib import Path

from omegaconf import DictConfig
from tqdm import tqdm

from m2iv_robot.config import parse
from m2iv_robot.data.lerobot_io import WriterConfig
from m2iv_robot.data.simulation import RecordingConfig, SimulationConfig, record_dataset, truth_path

logger = logging.getLogger(__name__)


def run(node: DictConfig) -> int:
    """Record a dataset; returns 0."""
    config = parse(SimulationConfig, node.simulation, "simulation")
    recording = parse(RecordingConfig, {"count": node.count, "seed": node.seed, "workers": node.workers}, "simulate")
    root = Path(node.output.root)
    writer = parse(WriterConfig, node.writer, "writer")
    done = 0
    with tqdm(total=recording.count, desc="simulate", unit="episode") as bar:
        for index in record_dataset(config, root, recording, writer):
            bar.update(index + 1 - bar.n)
            done += 1
    logger.info("%d episodes recorded, %d were there", done, recording.count - done)
    logger.info("dataset: %s", root)
    logger.info("truth:   %s", truth_path(root, 0).parent)
    return 0
