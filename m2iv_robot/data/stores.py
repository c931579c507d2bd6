"""Building the stores of labelled scenes that the segmenter is trained on: real clips, LeRobot episodes, simulation."""

import csv
import logging
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from pathlib import Path

import cv2
import numpy as np

from m2iv_robot.data.clips import save_scene, without_background
from m2iv_robot.data.lerobot_io import DatasetConfig, open_dataset, read_episode
from m2iv_robot.data.pseudo_labels import (
    ACTOR,
    OBJECT,
    UNKNOWN,
    LabelledClip,
    PseudoLabelConfig,
    label_clip,
)
from m2iv_robot.data.simulation import SimulatedEpisode, SimulationConfig, simulate_episode
from m2iv_robot.errors import ConfigError, DatasetError, PlanError

logger = logging.getLogger(__name__)

ABOVE_BASE_PX = 25  # how far above an outlined base the arm may hide
UNCLEAR_PX = 3  # how far around an unclear place labels are not trusted
NEAR_BASE_PX = 12  # how far around it the outline is not trusted
SIMULATED_FRAMES = 20  # kept of each simulated episode
LABS = ((192, 320), (240, 320), (180, 320))  # picture sizes (height, width), in turn


@dataclass(frozen=True)
class StoreConfig:
    """configs/store/*.yaml: where labelled scenes come from."""

    kind: str = "clips"  # clips (a folder of videos with clips.csv), dataset (LeRobot), simulation
    source: str = ""  # that folder, or the simulated robot
    camera: str = ""  # of a LeRobot dataset
    episodes: list[int] = field(default_factory=list)  # of a LeRobot dataset; empty: all
    excluded: list[str] = field(default_factory=list)  # clips by name without suffix
    held_out: list[str] = field(default_factory=list)  # clips whose collector and date are left out altogether
    outlines: dict[str, list[list[int]]] = field(default_factory=dict)  # clip -> robot parts that never move, each as
    # x, y, x, y, ... px
    unclear: dict[str, list[list[int]]] = field(default_factory=dict)  # clip -> places whose labels are not trusted:
    # smears that an arm left in the plate, other robots
    only_outlined: bool = False  # leave all other clips out, and say nothing about objects in these
    excluded_verbs: list[str] = field(default_factory=lambda: ["Open", "Close", "Turn"])
    count: int = 60  # simulated episodes
    first_scene: int = 1000  # scene seed of the first

    def __post_init__(self) -> None:
        if self.kind not in ("clips", "dataset", "simulation"):
            raise ConfigError(f"store.kind: clips, dataset and simulation are known, got {self.kind!r}")
        for kind in ("outlines", "unclear"):
            for name, parts in getattr(self, kind).items():
                if any(len(part) < 6 or len(part) % 2 for part in parts):
                    raise ConfigError(f"store.{kind}.{name}: give x, y of three corners or more")


def build_store(config: StoreConfig, labels: PseudoLabelConfig, simulation: SimulationConfig, folder: Path) -> Counter:
    """Write every scene that is not there yet; returns how many were kept and why others were not."""
    if config.kind == "simulation":
        return build_simulated(config, simulation, folder)
    if config.kind == "clips":
        return label_all(clips_of(config), labels, folder, config)
    return label_all(episodes_of(config), labels, folder, config)


def clips_of(config: StoreConfig) -> Iterable[tuple[str, str, np.ndarray]]:
    """Name, group and frames (t h w 3) of each clip that is not left out.

    Raises:
        DatasetError: no clips.csv in the folder.
    """
    index = Path(config.source) / "clips.csv"
    if not index.is_file():
        raise DatasetError(f"{index}: not there; give the folder of the clips: store.source=FOLDER")
    with open(index, newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    days = {f"{row['collector']}_{row['date']}" for row in rows if Path(row["file"]).stem in config.held_out}
    for row in rows:
        name, day = Path(row["file"]).stem, f"{row['collector']}_{row['date']}"
        if config.only_outlined and name not in config.outlines:
            continue
        if day not in days and name not in config.excluded and row["verb"] not in config.excluded_verbs:
            yield name, day, read_video(Path(config.source) / row["file"])


def episodes_of(config: StoreConfig) -> Iterable[tuple[str, str, np.ndarray]]:
    """Name, group and frames (t h w 3) of the chosen episodes of a LeRobot dataset."""
    dataset = open_dataset(DatasetConfig(root=config.source))
    for index in config.episodes or range(dataset.episode_count):
        frames = read_episode(dataset, index, config.camera).frames
        yield (
            f"{dataset.name.replace('/', '_')}_{index:04d}",
            f"{dataset.name}_{index}",
            frames.permute(0, 2, 3, 1).numpy(),
        )


def read_video(path: Path) -> np.ndarray:
    """All frames of a video, uint8 `t h w 3` RGB.

    Raises:
        DatasetError: it has none.
    """
    capture = cv2.VideoCapture(str(path))
    frames = []
    while True:
        read, frame = capture.read()
        if not read:
            break
        frames.append(frame[..., ::-1])
    if not frames:
        raise DatasetError(f"{path}: no frame can be decoded; copy the file again or leave it out: store.excluded")
    return np.ascontiguousarray(np.stack(frames))


def label_all(
    clips: Iterable[tuple[str, str, np.ndarray]],
    config: PseudoLabelConfig,
    folder: Path,
    store: StoreConfig,
) -> Counter:
    """Pseudo-label clips into the store, with the outlined parts as actor; returns the outcome of each."""
    outcomes: Counter = Counter()
    for name, group, frames in clips:
        path = folder / f"{name}.npz"
        if path.exists():
            outcomes["there already"] += 1
            continue
        labelled = label_clip(frames, config)
        if isinstance(labelled, str):
            outcomes[labelled] += 1
            continue
        if name in store.unclear:
            unclear = drawn(store.unclear[name], labelled.plate.shape[:2])
            labelled = without_background(labelled, _grown(unclear, UNCLEAR_PX) > 0)
        if name in store.outlines:
            labelled = with_standing(labelled, store.outlines[name], objects=not store.only_outlined)
        save_scene(path, labelled, group)
        outcomes["kept"] += 1
        outcomes["kept, with object"] += int((labelled.before_labels == OBJECT).any())
        logger.info("%s: %s", name, dict(outcomes))
    return outcomes


def with_standing(scene: LabelledClip, parts: list[list[int]], objects: bool) -> LabelledClip:
    """A scene whose outlined robot parts, which subtraction cannot see, are actor; what surrounds them becomes unknown.

    The arm above a base hides in the same way, so more is unknown upwards. Without `objects` nothing is said about
    the object at the clip's ends, where the standing arm might hide it.
    """
    base = drawn(parts, scene.labels.shape[1:])
    above = np.zeros_like(base)
    above[:-ABOVE_BASE_PX] = base[ABOVE_BASE_PX:]
    near = (_grown(base, NEAR_BASE_PX) | _grown(base | above, NEAR_BASE_PX // 2)).astype(bool)
    core = cv2.erode(base, np.ones((3, 3), np.uint8)).astype(bool)
    labels = np.where(near & (scene.labels != ACTOR), UNKNOWN, scene.labels)
    labels = np.where(core, ACTOR, labels).astype(np.uint8)
    silent = near if objects else np.ones_like(near)
    before, after = (np.where(silent, UNKNOWN, ends) for ends in (scene.before_labels, scene.after_labels))
    return replace(scene, labels=labels, before_labels=before, after_labels=after)


def drawn(parts: list[list[int]], shape: tuple[int, ...]) -> np.ndarray:
    """The inside of outlines as a mask of 0 and 1."""
    mask = np.zeros(shape, np.uint8)
    for part in parts:
        cv2.fillPoly(mask, [np.array(part, np.int32).reshape(-1, 2)], 1)
    return mask


def _grown(mask: np.ndarray, radius_px: int) -> np.ndarray:
    size = 2 * radius_px + 1
    return cv2.dilate(mask, cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (size, size)))


def build_simulated(config: StoreConfig, simulation: SimulationConfig, folder: Path) -> Counter:
    """Simulated scenes, each of another lab, with exact labels."""
    outcomes: Counter = Counter()
    for number in range(config.count):
        path = folder / f"{number:04d}.npz"
        if path.exists():
            outcomes["there already"] += 1
            continue
        seed = config.first_scene + number
        lab = drawn_lab(simulation, seed, number, np.random.default_rng([77, number]))
        try:
            save_scene(path, exact_labels(simulate_episode(lab, 4000 + seed)), f"simulated_{simulation.robot}")
            outcomes["kept"] += 1
        except PlanError as error:
            logger.info("%s", error)
            outcomes["not solved"] += 1
    return outcomes


def drawn_lab(
    simulation: SimulationConfig, scene_seed: int, number: int, generator: np.random.Generator
) -> SimulationConfig:
    """The lab of the `number`-th simulated scene: one of the picture sizes in turn, some things standing around."""
    height, width = LABS[number % len(LABS)]
    return replace(
        simulation,
        height=height,
        width=width,
        wrist_width=0,
        scene_seed=scene_seed,
        distractors=int(generator.integers(0, 5)),
        distractors_in_reach=int(generator.integers(0, 3)),
    )


def exact_labels(simulated: SimulatedEpisode) -> LabelledClip:
    """A simulated episode as a labelled scene."""
    frames = simulated.episode.frames.permute(0, 2, 3, 1).numpy()
    actor, object_ = simulated.masks.actor.numpy(), simulated.masks.object.numpy()
    plate = simulated.plate.image.permute(1, 2, 0).numpy()
    chosen = np.unique(np.linspace(0, len(frames) - 1, SIMULATED_FRAMES).round().astype(int))
    labels = (actor * ACTOR + object_ * OBJECT).astype(np.uint8)
    ends = [np.where(actor[index][..., None], plate, frames[index]) for index in (0, -1)]
    end_labels = [np.where(object_[index], OBJECT, 0).astype(np.uint8) for index in (0, -1)]
    return LabelledClip(frames[chosen], labels[chosen], plate, simulated.plate.known.numpy(), *ends, *end_labels)
