"""The segmenter's training set: stores of labelled scenes, and the samples drawn from them.

A scene is one .npz file: frames `n h w 3`, labels `n h w` (see `pseudo_labels`), plate, known, and the scene before and
after the robot touched it with their labels. Sample `index` of a seed is always the same.
"""

from dataclasses import replace
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Bool
from torch import Tensor
from torch.utils.data import Dataset

from m2iv_robot.data.pair_tensors import to_tensors
from m2iv_robot.data.pairs import PairConfig, draw_pair
from m2iv_robot.data.pseudo_labels import BACKGROUND, UNKNOWN, LabelledClip
from m2iv_robot.errors import ConfigError, DatasetError

SCENE_KEYS = ("frames", "labels", "plate", "known", "before", "after", "before_labels", "after_labels")


def save_scene(path: Path, scene: LabelledClip, group: str) -> None:
    """Write a scene; `group` names what training and test must not share (a lab's day, a simulated robot)."""
    path.parent.mkdir(parents=True, exist_ok=True)
    np.savez(path, **{key: getattr(scene, key) for key in SCENE_KEYS}, group=group)


def without_background(scene: LabelledClip, where: Bool[np.ndarray, "h w"]) -> LabelledClip:
    """The scene in which what is labelled background at some places is unknown."""
    labels = {name: getattr(scene, name) for name in ("labels", "before_labels", "after_labels")}
    return replace(scene, **{name: np.where(where & (old == BACKGROUND), UNKNOWN, old) for name, old in labels.items()})


def load_scene(path: Path) -> LabelledClip:
    """Read a scene.

    Raises:
        DatasetError: the file is not one.
    """
    try:
        with np.load(path) as arrays:
            return LabelledClip(**{key: arrays[key] for key in SCENE_KEYS})
    except (OSError, KeyError, ValueError) as error:
        raise DatasetError(f"{path}: not a scene of a training store ({error}); build the store again") from error


class SegmentationPairs(Dataset):
    """Pairs from several stores of scenes, each drawn with its weight."""

    def __init__(
        self,
        stores: list[list[Path]],
        weights: list[float],
        config: PairConfig,
        seed: int,
        standing: list[Path] | None = None,
    ) -> None:
        """`standing`: scenes that lend the robot that stands still in them to all others."""
        if len(stores) != len(weights) or not all(stores) or min(weights, default=0.0) <= 0:
            raise ConfigError("training: every store needs at least one scene and a positive weight")
        self.stores, self.config, self.seed, self.standing = stores, config, seed, standing or []
        self.shares = np.array(weights) / sum(weights)

    def __len__(self) -> int:
        return 2**31

    def __getitem__(self, index: int) -> dict[str, Tensor]:
        generator = np.random.default_rng([self.seed, index])
        store = self.stores[int(generator.choice(len(self.stores), p=self.shares))]
        scene = load_scene(store[int(generator.integers(len(store)))])
        other_store = self.stores[int(generator.integers(len(self.stores)))]
        other = load_scene(other_store[int(generator.integers(len(other_store)))])
        lent = load_scene(self.standing[int(generator.integers(len(self.standing)))]) if self.standing else None
        return to_tensors(draw_pair(scene, other, self.config, generator, lent), self.config, generator)


def collate_pairs(pairs: list[dict[str, Tensor]]) -> dict[str, Tensor]:
    """A batch of `SegmentationPairs`: all first frames, then all second ones; images float32 in [0, 1]."""
    batch = {}
    for name in pairs[0]:
        stacked = torch.stack([pair[name] for pair in pairs], dim=1)  # 2 b ...
        joined = stacked.flatten(0, 1)
        batch[name] = joined.long() if name == "labels" else joined.float() / 255
    return batch
