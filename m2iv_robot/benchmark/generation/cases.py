"""Held-out clips at the size they are measured at: recorded ones out of stores, simulated ones in labs of their own."""

import hashlib
import itertools
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path

import torch
from jaxtyping import Bool, UInt8
from torch import Tensor

from m2iv_robot.annotate.clips import ClipStoreConfig, simulated_clip
from m2iv_robot.background import spread
from m2iv_robot.benchmark.generation.config import CLIP_FRAMES, GenerationBenchmarkConfig
from m2iv_robot.config import preset
from m2iv_robot.data.clip_store import Clip, group_of, load_clip, save_clip
from m2iv_robot.data.simulation import SimulationConfig
from m2iv_robot.errors import DatasetError, PlanError
from m2iv_robot.exemplar import Exemplar, build_exemplar
from m2iv_robot.masks import resize, trajectory
from m2iv_robot.segmentation.prediction import shrink
from m2iv_robot.types import MaskTrajectory, Plate

HELD_OUT_SCENE = 900_000  # first scene seed of measured labs; training uses lower ones
EXEMPLAR_APART = 0.25  # of the clip: a nearer frame is nearly the wanted one
SIZE_STEP_PX = 16  # heights and widths are multiples of it


@dataclass(frozen=True)
class CaseFile:
    """One held-out clip on disk and what it is a clip of."""

    set_name: str  # the store's name, or "simulated_so101"
    path: Path
    group: str

    @property
    def name(self) -> str:
        """The clip's name inside its set."""
        return self.path.stem


@dataclass(frozen=True)
class Case:
    """A held-out clip: 16 frames over the whole of it, and what a method may know besides."""

    frames: UInt8[Tensor, "t 3 h w"]
    masks: MaskTrajectory
    plate: Plate
    pool: UInt8[Tensor, "n 3 h w"]  # all frames of the clip, for exemplars
    pool_masks: MaskTrajectory
    allowed: Bool[Tensor, "t n"]  # which of the pool may be an exemplar for which frame

    @cached_property
    def exemplar(self) -> Exemplar:
        """Actor and object of far-away frames, warped onto the masks."""
        return build_exemplar(self.pool, self.pool_masks, self.masks, self.allowed)


def case_files(config: GenerationBenchmarkConfig, held_out_groups: list[str]) -> list[CaseFile]:
    """All clips to be measured, set by set.

    Raises:
        DatasetError: a store is not there or has no clip of a held-out group.
    """
    files = [file for store in config.stores for file in store_files(Path(store), held_out_groups, config.clips)]
    for robot in config.simulated_robots:
        files += simulated_files(Path(config.folder) / "simulated" / robot, robot, config.simulated_clips)
    return files


def store_files(store: Path, held_out_groups: list[str], count: int) -> list[CaseFile]:
    """At most `count` clips of held-out groups, one group after the other in turn.

    Raises:
        DatasetError: the folder is not there or has none.
    """
    groups: dict[str, list[CaseFile]] = {}
    for path in sorted(store.glob("*.npz")):
        group = group_of(path)
        if group in held_out_groups:
            groups.setdefault(group, []).append(CaseFile(store.name, path, group))
    if not groups:
        raise DatasetError(
            f"{store}: no clip of the held-out groups ({', '.join(held_out_groups) or 'none given'}); "
            "build the store, or name others in benchmark.held_out_groups"
        )
    turns = itertools.zip_longest(*(groups[name] for name in sorted(groups)))
    return [file for turn in turns for file in turn if file is not None][:count]


def simulated_files(folder: Path, robot: str, count: int) -> list[CaseFile]:
    """Simulated clips, each in a lab of its own; those that are not in the folder yet are made."""
    files: list[CaseFile] = []
    for number in itertools.count():
        if len(files) == count:
            return files
        path = folder / f"{number:04d}.npz"
        if not path.exists():
            settings = replace(preset(SimulationConfig, "simulation", robot), fps=10)
            try:
                save_clip(path, simulated_clip(settings, HELD_OUT_SCENE + number, number, ClipStoreConfig()))
            except PlanError:  # a lab in which the operator finds no way
                continue
        files.append(CaseFile(f"simulated_{robot}", path, f"simulated_{robot}"))
    return files


def digest_of(file: CaseFile) -> str:
    """Short hash of a clip's file: results of another clip of the same name are never taken for its own."""
    return hashlib.sha256(file.path.read_bytes()).hexdigest()[:16]


def load_case(file: CaseFile, width: int) -> Case:
    """A clip at `width` pixels, its height in proportion.

    Raises:
        DatasetError: not a clip, or too short a one.
    """
    clip = load_clip(file.path)
    length = len(clip.frames)
    if length < CLIP_FRAMES:
        raise DatasetError(f"{file.path}: {length} frames, {CLIP_FRAMES} are measured; build the store again")
    chosen = spread(length, CLIP_FRAMES)
    pool, pool_masks, plate = resized(clip, width)
    times = torch.arange(length)
    allowed = (times[chosen][:, None] - times[None]).abs() >= EXEMPLAR_APART * (length - 1)
    masks = MaskTrajectory(pool_masks.actor[chosen], pool_masks.object[chosen], pool_masks.confidence[chosen])
    return Case(pool[chosen], masks, plate, pool, pool_masks, allowed)


def resized(clip: Clip, width: int) -> tuple[UInt8[Tensor, "n 3 h w"], MaskTrajectory, Plate]:
    """A clip's frames, masks and plate at another width."""
    rows, columns = clip.frames.shape[-2:]
    height = max(SIZE_STEP_PX, SIZE_STEP_PX * round(rows * width / columns / SIZE_STEP_PX))
    masks = trajectory(
        resize(clip.actor, height, width), resize(clip.object, height, width), torch.ones(len(clip.frames))
    )
    plate = Plate(shrink(clip.plate[None], height, width)[0], resize(clip.plate_known, height, width))
    return shrink(clip.frames, height, width), masks, plate
