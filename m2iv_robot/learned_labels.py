"""A dataset's own labeller: fitted to its episodes, measured inside and outside the region that they cover."""

import json
import logging
import math
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Float

from m2iv_robot.data.lerobot_io import Dataset, read_episode
from m2iv_robot.errors import CheckpointError, DatasetError, PlanError
from m2iv_robot.labelling import (
    LabelEstimate,
    LabelTrustConfig,
    check_trusted,
    estimate_labels,
    fit_labeller,
    labels_of,
    load_labeller,
    usual_error,
    watch,
)
from m2iv_robot.models.checkpoint import load_segmenter, save_model
from m2iv_robot.models.labeller import Labeller, LabellerConfig
from m2iv_robot.types import Episode

logger = logging.getLogger(__name__)

LEAST_EPISODES = 6  # with fewer nothing can be held out at the end of the region
OUTSIDE_SHARE = 0.2  # of the episodes: those at one end of the region
INSIDE_SHARE = 0.15  # of the others
WEIGHTS_NAME, ERRORS_NAME = "labeller.safetensors", "errors.json"


@dataclass(frozen=True)
class LabellerTask:
    """What a labeller is fitted to, and where it is kept."""

    dataset: Dataset
    camera: str
    folder: Path
    sizes: LabellerConfig = field(default_factory=LabellerConfig)  # those of labels and stride are the dataset's
    trust: LabelTrustConfig = field(default_factory=LabelTrustConfig)


@dataclass(frozen=True)
class HeldOut:
    """Numbers of the episodes that a labeller learns from, and of those that it is measured on."""

    taught: tuple[int, ...]
    inside: tuple[int, ...]  # between those it learns from
    outside: tuple[int, ...]  # at one end, beyond all it learns from


@dataclass(frozen=True)
class LearnedLabels:
    """A labeller with its usual error as a share of the labels' spread; None where it could not be measured."""

    model: Labeller
    inside_error: float | None
    outside_error: float | None
    trust: LabelTrustConfig

    def read(self, episode: Episode, recorded_place: bool) -> LabelEstimate:
        """State and action of new frames; `recorded_place`: the object lies between places that were recorded.

        Raises:
            PlanError: they would not be good enough to be written.
        """
        where = f"{episode.dataset} episode {episode.index}"
        check_measured(self.inside_error, self.trust.max_inside_error, f"{where}: between the recorded places")
        if not recorded_place:
            check_measured(self.outside_error, self.trust.max_outside_error, f"{where}: beyond the recorded places")
        estimate = estimate_labels(self.model, episode.frames)
        check_trusted(estimate, self.model, self.trust, where)
        return estimate


def check_measured(error: float | None, limit: float, where: str) -> None:
    """Refuse labels whose measured error is too large.

    Raises:
        PlanError: it is, or it is not known.
    """
    if error is not None and error <= limit:
        return
    said = (
        f"cannot be measured with fewer than {LEAST_EPISODES} episodes"
        if error is None
        else f"are wrong by {100 * error:.0f} % of their spread (limit {100 * limit:.0f} %)"
    )
    raise PlanError(
        f"{where} learned labels {said}; record more episodes there, give the robot's kinematics (robot.urdf), or make "
        "videos without labels (labels=video_only)"
    )


def dataset_labeller(task: LabellerTask) -> LearnedLabels:
    """The labeller in the task's folder; fitted and measured first where there is none yet.

    Raises:
        DatasetError: the dataset has neither state nor action.
    """
    path = task.folder / ERRORS_NAME
    if not path.is_file():
        episodes = [read_episode(task.dataset, index, task.camera) for index in range(task.dataset.episode_count)]
        logger.info("learning to read state and action off %s, from %d episodes", task.camera, len(episodes))
        train_and_measure(episodes, task)
    try:
        errors = json.loads(path.read_text(encoding="utf-8"))
        measured = errors["inside_error"], errors["outside_error"]
    except (OSError, ValueError, KeyError) as error:
        raise CheckpointError(f"{path}: damaged ({error!r}); delete its folder and train again") from error
    return LearnedLabels(load_labeller(task.folder / WEIGHTS_NAME), *measured, task.trust)


def train_and_measure(episodes: list[Episode], task: LabellerTask) -> None:
    """Fit twice: without some episodes, to measure on them, and to all."""
    sizes, eyes = fitting_sizes(task.sizes, episodes), load_segmenter()
    watched = [watch(eyes, episode, sizes) for episode in episodes]
    parts, errors = held_out(episodes), {"inside_error": None, "outside_error": None}
    if parts is not None:
        model = fit_labeller([watched[number] for number in parts.taught], sizes, eyes)
        for name, numbers in (("inside_error", parts.inside), ("outside_error", parts.outside)):
            errors[name] = usual_error(model, [watched[number] for number in numbers])
            logger.info("%s: %.0f %% of the labels' spread", name.replace("_", " "), 100 * errors[name])
    save_model(task.folder / WEIGHTS_NAME, fit_labeller(watched, sizes, eyes), {}, half=False)
    text = json.dumps(errors | {"held_out": None if parts is None else asdict(parts)}, indent=2)
    (task.folder / ERRORS_NAME).write_text(text + "\n", encoding="utf-8")


def fitting_sizes(sizes: LabellerConfig, episodes: list[Episode]) -> LabellerConfig:
    """The sizes for these episodes: as many labels as they have, steps of the same time at any frame rate.

    Raises:
        DatasetError: there is nothing to learn from, or the episodes are not of one robot.
    """
    if not episodes or not labels_of(episodes[0]).shape[1]:
        name = episodes[0].dataset if episodes else "the dataset"
        raise DatasetError(f"{name}: neither state nor action to learn from; make videos alone: labels=video_only")
    state, action = columns(episodes[0])
    for episode in episodes:
        if columns(episode) != (state, action):
            raise DatasetError(
                f"{episode.dataset} episode {episode.index}: state and action have {columns(episode)} columns, others "
                f"{(state, action)}; give episodes of one robot"
            )
    stride = max(1, round(sizes.step_s * episodes[0].fps))
    return replace(sizes, state_size=state, action_size=action, stride=stride)


def columns(episode: Episode) -> tuple[int, int]:
    """How many columns state and action have; 0 where there is none."""
    state, action = (0 if labels is None else labels.shape[1] for labels in (episode.state, episode.action))
    return state, action


def held_out(episodes: list[Episode]) -> HeldOut | None:
    """Which episodes to measure on; None with too few to leave any out."""
    if len(episodes) < LEAST_EPISODES:
        return None
    order = np.argsort(positions(episodes), kind="stable")
    beyond = max(1, round(OUTSIDE_SHARE * len(order)))
    rest, outside = order[:-beyond], order[-beyond:]
    count = max(1, round(INSIDE_SHARE * len(rest)))
    between = rest[np.linspace(0, len(rest) - 1, count + 2).round().astype(int)[1:-1]]
    taught = [number for number in rest if number not in between]
    return HeldOut(*(tuple(sorted(int(number) for number in part)) for part in (taught, between, outside)))


def positions(episodes: list[Episode]) -> Float[np.ndarray, " n"]:
    """Where each episode happens along the direction in which they differ most, told by their labels."""
    means = torch.stack([labels_of(episode).double().mean(0) for episode in episodes]).numpy()
    spread = torch.cat([labels_of(episode).double() for episode in episodes]).std(0).clamp(min=1e-9).numpy()
    away = (means - means.mean(0)) / spread
    along = away @ np.linalg.svd(away, full_matrices=False)[2][0]
    return along * math.copysign(1.0, along[np.abs(along).argmax()])
