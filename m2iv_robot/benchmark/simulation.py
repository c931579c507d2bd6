"""The simulator: how fast it renders, how often its operator succeeds at once, whether a replay repeats an episode."""

import time
from collections import Counter
from dataclasses import dataclass, replace

import numpy as np

from m2iv_robot.config import preset
from m2iv_robot.data.simulation import SimulationConfig, replay
from m2iv_robot.data.simulation.episode import Demonstration, demonstrate
from m2iv_robot.data.simulation.physics import World
from m2iv_robot.data.simulation.rendering import Renderer, choose_backend
from m2iv_robot.data.simulation.scene import Scene, build_scene
from m2iv_robot.errors import ConfigError


@dataclass(frozen=True)
class SimulationBenchmarkConfig:
    """configs/benchmark/simulation.yaml: how much is measured."""

    robot: str = "so101"
    labs: int = 20  # each with its own table, light, camera and object
    episodes: int = 200  # demonstrations in all, spread over the labs and the whole region
    fps: int = 10
    frame_width: int = 128  # of the frames whose rendering is timed
    frame_height: int = 128
    frames: int = 200
    replays: int = 5

    def __post_init__(self) -> None:
        if min(self.labs, self.episodes, self.fps, self.frames, self.replays) < 1:
            raise ConfigError("benchmark.simulation: labs, episodes, fps, frames and replays must be at least 1")


def run(config: SimulationBenchmarkConfig) -> dict:
    """Frames a second, first-attempt success, exactness of replays, and the attempts that failed."""
    labs = [
        replace(preset(SimulationConfig, "simulation", config.robot), scene_seed=seed, fps=config.fps)
        for seed in range(config.labs)
    ]
    shown = [(labs[seed % config.labs], seed) for seed in range(config.episodes)]
    started = time.perf_counter()
    demonstrations = [demonstrate(build_scene(lab), lab, seed) for lab, seed in shown]
    seconds = time.perf_counter() - started
    at_once = [demonstration.attempt == 0 for demonstration in demonstrations]
    failed = Counter(build_scene(lab).thing.shape for (lab, _), good in zip(shown, at_once, strict=True) if not good)
    frames = sum(len(demonstration.actions) for demonstration in demonstrations)
    return {
        "robot": config.robot,
        "backend": choose_backend(),
        "first_attempt_success_percent": 100.0 * sum(at_once) / len(at_once),
        "most_attempts": 1 + max(demonstration.attempt for demonstration in demonstrations),
        "episode_seconds_mean": frames / config.fps / len(demonstrations),
        "physics_frames_per_second": frames / seconds,
        **rendering(config, build_scene(labs[0]), demonstrations[0]),
        **replaying(config, shown, demonstrations),
        "failed_first_attempts": [{"shape": shape, "count": count} for shape, count in failed.most_common()],
    }


def rendering(config: SimulationBenchmarkConfig, scene: Scene, demonstration: Demonstration) -> dict[str, float | str]:
    """Front-camera colour and both masks, in one process, physics left out."""
    world = World(scene, config.fps)
    size = (config.frame_width, config.frame_height)
    poses = demonstration.trace.configurations
    with Renderer(scene.model, *size) as renderer:
        world.place(poses[0])
        renderer.colour_and_masks(world.data, "front", *size, 1)  # the first frame compiles and uploads
        started, spent = time.perf_counter(), time.process_time()
        for number in range(config.frames):
            world.place(poses[number % len(poses)])
            renderer.colour_and_masks(world.data, "front", *size, 1)
        seconds, core_seconds = time.perf_counter() - started, time.process_time() - spent
    return {
        "frame_px": f"{size[0]}x{size[1]}",
        "rendered_frames_per_second": config.frames / seconds,
        "rendered_frames_per_core_second": config.frames / core_seconds,  # what other programs take is left out
    }


def replaying(
    config: SimulationBenchmarkConfig, shown: list[tuple[SimulationConfig, int]], demonstrations: list[Demonstration]
) -> dict[str, float]:
    """Replays of recorded actions at the recorded start: success, and how far the object strays from the recording."""
    strays, successes = [], 0
    for (lab, seed), demonstration in list(zip(shown, demonstrations, strict=True))[: config.replays]:
        result = replay(lab, seed, demonstration.task.start_xy, demonstration.actions.astype(np.float32))
        recorded = demonstration.trace.object_positions_m
        strays.append(np.linalg.norm(result.object_positions_m[: len(recorded)] - recorded, axis=1).max())
        successes += result.success
    return {"replay_success_percent": 100.0 * successes / len(strays), "replay_stray_mm": 1000.0 * float(max(strays))}
