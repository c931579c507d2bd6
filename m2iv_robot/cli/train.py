"""`m2iv train`: stores of scenes and clips, the segmenter and both stages that learn from them, labellers."""

import logging
from dataclasses import dataclass, field
from pathlib import Path

import torch
from omegaconf import DictConfig

from m2iv_robot.annotate.clips import ClipStoreConfig, annotated_clips, simulated_clips
from m2iv_robot.cli.annotate import camera_of
from m2iv_robot.config import parse
from m2iv_robot.data.clip_dataset import ClipConfig, ClipDataset, collate_clips
from m2iv_robot.data.clips import SegmentationPairs, collate_pairs
from m2iv_robot.data.lerobot_io import DatasetConfig, open_dataset
from m2iv_robot.data.pairs import PairConfig
from m2iv_robot.data.pseudo_labels import PseudoLabelConfig
from m2iv_robot.data.simulation import SimulationConfig
from m2iv_robot.data.stores import StoreConfig, build_store
from m2iv_robot.errors import ConfigError, DatasetError
from m2iv_robot.labelling import LabelTrustConfig
from m2iv_robot.learned_labels import LabellerTask, dataset_labeller
from m2iv_robot.models import checkpoint
from m2iv_robot.models.checkpoint import WEIGHTS_FOLDER, initial_segmenter, start_from
from m2iv_robot.models.judge import Judge
from m2iv_robot.models.labeller import LabellerConfig
from m2iv_robot.models.segmenter import SegmenterConfig
from m2iv_robot.models.trajectory import TrajectoryConfig, TrajectoryModel
from m2iv_robot.models.video import VideoConfig, VideoModel
from m2iv_robot.segmentation import load_segmenter
from m2iv_robot.segmentation.learned import LearnedConfig
from m2iv_robot.segmentation.relabel import relabel_store
from m2iv_robot.training import TrainingConfig, train

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class TrainConfig:
    """configs/train.yaml: what is trained, on what."""

    part: str = "segmenter"
    stores: list[str] = field(default_factory=list)
    store_weights: list[float] = field(default_factory=list)
    standing: str = ""
    initial: str = "imagenet"
    output: str = "outputs/training/segmenter"

    def __post_init__(self) -> None:
        if self.part not in PARTS:
            raise ConfigError(f"train.part: {', '.join(PARTS)} are known, got {self.part!r}")


def run(node: DictConfig) -> int:
    """Do the chosen part; logs where the result is."""
    config = parse(TrainConfig, node.train, "train")
    PARTS[config.part](config, node)
    return 0


def run_store(config: TrainConfig, node: DictConfig) -> None:
    """Build a store of labelled scenes."""
    outcomes = build_store(
        parse(StoreConfig, node.store, "store"),
        parse(PseudoLabelConfig, node.pseudo_labels, "pseudo_labels"),
        parse(SimulationConfig, node.simulation, "simulation"),
        Path(config.output),
    )
    for outcome, count in outcomes.most_common():
        logger.info("%5d  %s", count, outcome)
    logger.info("%s", config.output)


def run_segmenter(config: TrainConfig, node: DictConfig) -> None:
    """Train the segmenter on stores of labelled scenes."""
    settings = parse(TrainingConfig, node.training, "training")
    stores = [sorted(Path(folder).glob("*.npz")) for folder in config.stores]
    if not stores or not all(stores):
        raise DatasetError(
            f"train.stores={config.stores}: no scenes there; build them with m2iv train train.part=store"
        )
    weights = config.store_weights or [1.0] * len(stores)
    standing = sorted(Path(config.standing).glob("*.npz")) if config.standing else []
    if config.standing and not standing:
        raise DatasetError(f"train.standing={config.standing}: no scenes there; build them with store=droid_bases")
    pairs = SegmentationPairs(stores, weights, parse(PairConfig, node.pairs, "pairs"), settings.seed, standing)
    model = initial_segmenter(parse(SegmenterConfig, node.segmenter, "segmenter"), config.initial, settings.seed)
    logger.info("%s", train(model, pairs, collate_pairs, settings, Path(config.output)))


def run_relabel(config: TrainConfig, node: DictConfig) -> None:
    """Mend a store's labels with weights that were trained on it."""
    if len(config.stores) != 1 or not Path(config.initial).is_file():
        raise ConfigError(
            "train.part=relabel mends one store with trained weights: "
            f"give train.stores=[FOLDER] and train.initial=WEIGHTS, got {config.stores} and {config.initial!r}"
        )
    scenes = sorted(Path(config.stores[0]).glob("*.npz"))
    if not scenes:
        raise DatasetError(f"{config.stores[0]}: no scenes there; build them with m2iv train train.part=store")
    model = initial_segmenter(parse(SegmenterConfig, node.segmenter, "segmenter"), config.initial, seed=0)
    for outcome, count in relabel_store(model.eval(), scenes, Path(config.output)).most_common():
        logger.info("%5d  %s", count, outcome)


def run_clips(config: TrainConfig, node: DictConfig) -> None:
    """Build a store of clips with the masks of the shipped segmenter, or with exact ones from simulation."""
    store, clips = parse(StoreConfig, node.store, "store"), parse(ClipStoreConfig, node.clip_store, "clip_store")
    folder = Path(config.output)
    if store.kind == "simulation":
        outcomes = simulated_clips(store, clips, parse(SimulationConfig, node.simulation, "simulation"), folder)
    else:
        outcomes = annotated_clips(store, clips, load_segmenter(LearnedConfig()), folder)
    for outcome, count in outcomes.most_common():
        logger.info("%5d  %s", count, outcome)
    logger.info("%s", folder)


def run_stage(config: TrainConfig, node: DictConfig) -> None:
    """Train stage 1 or stage 2 on stores of clips; `initial` is a weights file to go on from, `shipped`, or empty."""
    settings = parse(TrainingConfig, node.training, "training")
    network, schema = STAGES[config.part]
    stage = parse(schema, node[config.part], config.part)
    clips = parse(ClipConfig, node.clips, "clips")
    samples = ClipDataset([Path(folder) for folder in config.stores], config.store_weights, clips, settings.seed)
    torch.manual_seed(settings.seed)
    shipped = str(WEIGHTS_FOLDER / f"{config.part}.safetensors")
    initial = {"shipped": shipped, "imagenet": ""}.get(config.initial, config.initial)
    model = start_from(network(stage), initial)
    if isinstance(model, VideoModel):
        model.judge = Judge(checkpoint.load_segmenter().encoder)
    logger.info("%s", train(model, samples, collate_clips, settings, Path(config.output)))


def run_labeller(config: TrainConfig, node: DictConfig) -> None:
    """Train a dataset's own labeller and measure it; `m2iv augment output.labeller=FOLDER` uses it."""
    dataset = open_dataset(parse(DatasetConfig, node.dataset, "dataset"))
    learned = dataset_labeller(
        LabellerTask(
            dataset=dataset,
            camera=camera_of(node, dataset),
            folder=Path(config.output),
            sizes=parse(LabellerConfig, node.labeller, "labeller"),
            trust=parse(LabelTrustConfig, node.label_trust, "label_trust"),
        )
    )
    for name in ("inside_error", "outside_error"):
        error = getattr(learned, name)
        shown = "not measured, too few episodes" if error is None else f"{100 * error:.0f} % of the labels' spread"
        logger.info("%s: %s", name.replace("_", " "), shown)
    logger.info("%s", config.output)


STAGES = {"trajectory": (TrajectoryModel, TrajectoryConfig), "video": (VideoModel, VideoConfig)}
PARTS = {
    "segmenter": run_segmenter,
    "store": run_store,
    "relabel": run_relabel,
    "clips": run_clips,
    "trajectory": run_stage,
    "video": run_stage,
    "labeller": run_labeller,
}
