"""Learned labels: how well state is read off video, inside and outside the region that was learned from.

Simulated: an SO-101 whose object stays in one half of the table; errors at the end-effector, on other episodes of
that half and on the other half. Real: each episode of some recordings is read by a labeller that learned from all
others; the gripper's way within a second is compared with the guess that it goes on as it goes.
"""

import tempfile
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
from jaxtyping import Float
from torch import Tensor

from m2iv_robot.benchmark.real_data import real_dataset
from m2iv_robot.config import preset
from m2iv_robot.data.lerobot_io import DatasetConfig, feature_names, open_dataset, read_episode
from m2iv_robot.data.simulation import SimulationConfig, record_all
from m2iv_robot.errors import ConfigError
from m2iv_robot.kinematics import RobotConfig, build_kinematics
from m2iv_robot.labelling import Watched, fit_labeller, read_seen, usual_error, watch
from m2iv_robot.learned_labels import fitting_sizes
from m2iv_robot.models.checkpoint import load_segmenter
from m2iv_robot.models.labeller import Labeller, LabellerConfig
from m2iv_robot.types import Episode

FRONT = "observation.images.front"
BOUNDARY_Y_M = 0.0  # objects are moved at y below it; the other half is never learned from
ACROSS = ("x", "y", "z")  # columns of a state that is the pose of the end-effector, metres

Places = Callable[[Tensor], Float[np.ndarray, "t 3"]]  # state -> where the end-effector is, metres


@dataclass(frozen=True)
class LearnedLabelsBenchmarkConfig:
    """configs/benchmark/learned_labels.yaml: what is learned from and measured."""

    episodes: int = 10  # simulated, that are learned from
    inside: int = 3  # of the same half, measured
    outside: int = 3  # of the other half, measured
    data: str = ""  # folder with the real datasets; empty: $M2IV_DATA, else ../shared/data
    datasets: list[str] = field(default_factory=list)  # in it, by name, their state a pose; learned from as one
    camera: str = "observation.images.exterior_1"
    folder: str = ""  # for recordings; empty: a temporary one
    seed: int = 900

    def __post_init__(self) -> None:
        if min(self.episodes, self.inside, self.outside) < 0 or (self.episodes and not self.inside):
            raise ConfigError("benchmark.learned_labels: episodes and outside must not be negative, inside at least 1")


def run(config: LearnedLabelsBenchmarkConfig) -> dict:
    """Errors in cm, against guesses that look at no picture."""
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(config.folder or temporary)
        figures = simulated(config, folder) if config.episodes else {}
        return figures | (left_out(config) if config.datasets else {})


def simulated(config: LearnedLabelsBenchmarkConfig, folder: Path) -> dict:
    """Learn from one half of a simulated table; measure in both."""
    halves = {"inside": (-0.20, BOUNDARY_Y_M), "outside": (BOUNDARY_Y_M, 0.20)}
    counts = {"inside": config.episodes + config.inside, "outside": config.outside}
    recorded = {name: half_table(config, folder, name, counts[name], span) for name, span in halves.items()}
    sizes, eyes = fitting_sizes(preset(LabellerConfig, "labeller", "default"), recorded["inside"]), load_segmenter()
    watched = {name: [watch(eyes, one, sizes) for one in each] for name, each in recorded.items()}
    taught, places = watched["inside"][: config.episodes], end_effector(recorded["inside"][0])
    model = fit_labeller(taught, sizes, eyes)
    figures: dict = {"simulated": []}
    for name, measured in {"inside": watched["inside"][config.episodes :], "outside": watched["outside"]}.items():
        if measured:
            figures["simulated"].append({"region": name, **errors_cm(model, measured, places, taught)})
    return figures


def half_table(
    config: LearnedLabelsBenchmarkConfig, folder: Path, name: str, count: int, span: tuple[float, float]
) -> list[Episode]:
    """Episodes whose object starts and ends in one half of one lab's table."""
    low, high = span
    settings = replace(
        preset(SimulationConfig, "simulation", "so101"), scene_seed=config.seed, fps=10, wrist_width=0,
        start_y_min=low, start_y_max=high, goal_y_min=low, goal_y_max=high,
    )  # fmt: skip
    if not count:
        return []
    record_all(settings, folder / name, count, config.seed)
    dataset = open_dataset(DatasetConfig(root=str(folder / name)))
    return [read_episode(dataset, index, FRONT) for index in range(count)]


def end_effector(episode: Episode) -> Places:
    """Where a simulated arm's tool is for a state."""
    kinematics = build_kinematics(RobotConfig(), episode.state_names, episode.action_names, episode.robot_type)
    return lambda state: kinematics.forward(state)[:, :3, 3]


def errors_cm(model: Labeller, measured: list[Watched], places: Places, taught: list[Watched]) -> dict:
    """How far the end-effector that is read is from the recorded one, and the guess that it is where it usually is."""
    size = model.config.state_size
    usual = np.concatenate([places(one.labels[:, :size]) for one in taught]).mean(0)
    errors, guesses = [], []
    for one in measured:
        true = places(one.labels[:, :size])
        errors.append(np.linalg.norm(places(read_seen(model, one.seen)[0][:, :size]) - true, axis=1))
        guesses.append(np.linalg.norm(usual - true, axis=1))
    joined = 100 * np.concatenate(errors)
    return {
        "episodes": len(measured),
        "median_cm": float(np.median(joined)),
        "mean_cm": float(joined.mean()),
        "p95_cm": float(np.percentile(joined, 95)),
        "worst_episode_median_cm": float(100 * max(np.median(each) for each in errors)),
        "mean_place_guess_cm": float(100 * np.median(np.concatenate(guesses))),
        "error_share": usual_error(model, measured),
    }


def left_out(config: LearnedLabelsBenchmarkConfig) -> dict:
    """Each real episode, read by a labeller that learned from all others."""
    roots = [real_dataset(config.data, name) for name in config.datasets]
    episodes = [episode for root in roots for episode in all_episodes(root, config.camera)]
    sizes, eyes = fitting_sizes(preset(LabellerConfig, "labeller", "default"), episodes), load_segmenter()
    columns = [episodes[0].state_names.index(name) for name in ACROSS]
    watched = [watch(eyes, episode, sizes) for episode in episodes]
    rows = []
    for number, episode in enumerate(episodes):
        others = watched[:number] + watched[number + 1 :]
        read, _ = read_seen(fit_labeller(others, sizes, eyes), watched[number].seen)
        second = max(1, round(episode.fps))
        true = watched[number].labels[:, columns].double().numpy()
        rows.append({"episode": f"{episode.dataset} {episode.index}", **way(read[:, columns].numpy(), true, second)})
    mean = {key: float(np.mean([row[key] for row in rows])) for key in rows[0] if key != "episode"}
    share = mean["way_error_cm"] / mean["constant_velocity_cm"]
    return {"way_error_share_of_constant_velocity": share, "left_out_mean": mean, "left_out": rows}


def way(read: Float[np.ndarray, "t 3"], true: Float[np.ndarray, "t 3"], second: int) -> dict:
    """Errors in the way within a second: as read, as if it went on as in the frame before, as if it stood still."""
    now = np.arange(1, len(true) - second)
    gone = true[now + second] - true[now]
    velocity = second * (true[now] - true[now - 1])
    guesses = {"way_error": read[now + second] - read[now], "constant_velocity": velocity, "standing_still": 0 * gone}
    errors = {f"{name}_cm": 100 * float(np.linalg.norm(guess - gone, axis=1).mean()) for name, guess in guesses.items()}
    return errors | {"place_error_cm": 100 * float(np.linalg.norm(read - true, axis=1).mean())}


def all_episodes(root: Path, camera: str) -> list[Episode]:
    """Every episode of a dataset.

    Raises:
        ConfigError: its state is not the pose of the end-effector.
    """
    dataset = open_dataset(DatasetConfig(root=str(root)))
    if not set(ACROSS) <= set(feature_names(dataset.features, dataset.state_key)):
        raise ConfigError(f"{root}: its state has no {', '.join(ACROSS)}; benchmark.datasets takes poses in metres")
    return [read_episode(dataset, index, camera) for index in range(dataset.episode_count)]
