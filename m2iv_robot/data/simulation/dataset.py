"""Simulated episodes as a LeRobot dataset, and what is true of them beside it."""

import dataclasses
import itertools
import multiprocessing
import os
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Float

from m2iv_robot.data.lerobot_io import EpisodeRecord, EpisodeWriter, OutputFormat, WriterConfig
from m2iv_robot.data.simulation.config import RecordingConfig, SimulationConfig
from m2iv_robot.data.simulation.episode import SimulatedEpisode, simulate_episode
from m2iv_robot.data.simulation.scene import build_scene
from m2iv_robot.errors import DatasetError
from m2iv_robot.types import MaskTrajectory, Plate

FRONT, WRIST = "observation.images.front", "observation.images.wrist"


@dataclass(frozen=True)
class Truth:
    """What the simulator knows of a recorded episode. World = the robot's base frame, metres, z up."""

    seed: int  # simulate_episode and replay of the same configuration take it
    config: SimulationConfig
    masks: MaskTrajectory
    plate: Plate
    intrinsics: Float[np.ndarray, "3 3"]
    world_to_camera: Float[np.ndarray, "4 4"]  # OpenCV axes
    object_positions_m: Float[np.ndarray, "t 3"]
    object_quaternions: Float[np.ndarray, "t 4"]  # w x y z
    tool_positions_m: Float[np.ndarray, "t 3"]
    grasp_frame: int
    release_frame: int
    start_xy: tuple[float, float]
    start_yaw_rad: float
    goal_xy: tuple[float, float]
    object_size_m: tuple[float, float, float]


def record_dataset(
    config: SimulationConfig, root: str | Path, recording: RecordingConfig, writer: WriterConfig | None = None
) -> Iterator[int]:
    """Record episodes `seed`, `seed` + 1, ... as a LeRobot dataset in `root`, truth in `<root>_truth`.

    Yields each episode's index; nothing happens until it is iterated. The same call after a kill continues; a larger
    `count` appends.

    Raises:
        WriteError: `root` cannot be written or holds another dataset.
        PlanError: the configured regions are hardly reachable.
    """
    root = Path(root).expanduser().absolute()
    settings = {"simulation": dataclasses.asdict(config), "seed": recording.seed}
    writer = writer or WriterConfig(codec="h264")
    with EpisodeWriter(root, _format(config), writer, settings=settings) as output:
        wanted = [index for index in range(recording.count) if not _is_done(output, root, recording.seed, index)]
        seeds = [recording.seed + index for index in wanted]
        for index, simulated in zip(wanted, _simulate(config, seeds, recording.workers), strict=True):
            _save_truth(simulated, config, recording.seed + index, truth_path(root, index))
            output.append(_record(simulated, recording.seed + index))
            yield index


def record_all(config: SimulationConfig, root: str | Path, count: int, seed: int, workers: int = 1) -> None:
    """`record_dataset` to its end."""
    for _ in record_dataset(config, root, RecordingConfig(count, seed, workers)):
        pass


def truth_path(root: str | Path, index: int) -> Path:
    """The file of an episode's truth."""
    root = Path(root)
    return root.parent / f"{root.name}_truth" / f"episode_{index:06d}.npz"


def load_truth(root: str | Path, index: int) -> Truth:
    """What is true of episode `index` of a dataset made by `record_dataset`.

    Raises:
        DatasetError: the dataset has no truth for it.
    """
    path = truth_path(root, index)
    if not path.is_file():
        raise DatasetError(f"{path}: no such file; only datasets made by `m2iv simulate` have their truth beside them")
    with np.load(path) as stored:
        read = {name: stored[name] for name in stored.files}
    length = len(read["object_positions_m"])
    height, width = read["plate"].shape[1:]
    masks = [
        torch.from_numpy(np.unpackbits(read[name], axis=-1, count=width).astype(bool).reshape(length, height, width))
        for name in ("actor", "object")
    ]
    known = {entry.name for entry in dataclasses.fields(Truth)}
    plain = {name: value for name, value in read.items() if name in known and value.ndim > 1 and name != "plate"}
    settings = {
        entry.name: type(entry.default)(read[f"config_{entry.name}"].item())
        for entry in dataclasses.fields(SimulationConfig)
    }
    return Truth(
        seed=int(read["seed"]),
        config=SimulationConfig(**settings),
        masks=MaskTrajectory(masks[0], masks[1], torch.ones(length)),
        plate=Plate(torch.from_numpy(read["plate"]), torch.ones(height, width, dtype=torch.bool)),
        grasp_frame=int(read["grasp_frame"]),
        release_frame=int(read["release_frame"]),
        start_xy=tuple(read["start_xy"].tolist()),
        start_yaw_rad=float(read["start_yaw_rad"]),
        goal_xy=tuple(read["goal_xy"].tolist()),
        object_size_m=tuple(read["object_size_m"].tolist()),
        **plain,
    )


def _is_done(output: EpisodeWriter, root: Path, seed: int, index: int) -> bool:
    return output.has(_key(seed + index)) and truth_path(root, index).is_file()


def _key(seed: int) -> str:
    return f"simulated/{seed}"


def _simulate(config: SimulationConfig, seeds: list[int], workers: int) -> Iterator[SimulatedEpisode]:
    workers = min(workers or os.cpu_count() or 1, len(seeds))
    if workers <= 1:
        yield from (simulate_episode(config, seed) for seed in seeds)
        return
    # A forked process would share the parent's rendering context.
    with ProcessPoolExecutor(workers, mp_context=multiprocessing.get_context("spawn")) as pool:
        waiting = iter(seeds)
        running = [pool.submit(simulate_episode, config, seed) for seed in itertools.islice(waiting, 2 * workers)]
        while running:
            yield running.pop(0).result()
            running.extend(pool.submit(simulate_episode, config, seed) for seed in itertools.islice(waiting, 1))


def _save_truth(simulated: SimulatedEpisode, config: SimulationConfig, seed: int, path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    plain = {
        entry.name: getattr(simulated, entry.name)
        for entry in dataclasses.fields(Truth)
        if entry.name not in ("seed", "config", "masks", "plate")
    }
    unfinished = path.with_suffix(".unfinished.npz")
    np.savez_compressed(
        unfinished,
        seed=seed,
        actor=np.packbits(simulated.masks.actor.numpy(), axis=-1),
        object=np.packbits(simulated.masks.object.numpy(), axis=-1),
        plate=simulated.plate.image.numpy(),
        **{f"config_{name}": value for name, value in dataclasses.asdict(config).items()},
        **plain,
    )
    unfinished.replace(path)


def _format(config: SimulationConfig) -> OutputFormat:
    arm = build_scene(config).arm
    vector = {"dtype": "float32", "shape": (len(arm.state_names),), "names": list(arm.state_names)}
    features = {
        "observation.state": vector,
        "action": dict(vector),
        FRONT: _camera(config.width, config.height),
    }
    if config.wrist_width:
        features[WRIST] = _camera(config.wrist_width, config.wrist_height)
    return OutputFormat(config.fps, arm.robot_type, features)


def _camera(width: int, height: int) -> dict:
    return {"dtype": "video", "shape": (height, width, 3), "names": ["height", "width", "channels"]}


def _record(simulated: SimulatedEpisode, seed: int) -> EpisodeRecord:
    cameras = {FRONT: simulated.episode.frames}
    if simulated.wrist_frames is not None:
        cameras[WRIST] = simulated.wrist_frames
    labels = {"observation.state": simulated.episode.state, "action": simulated.episode.action}
    return EpisodeRecord(_key(seed), simulated.episode.task, cameras, labels)
