"""Simulated pick-and-place episodes with exact masks, plate, camera, states and actions (MuJoCo)."""

from m2iv_robot.data.simulation.config import RecordingConfig, SimulationConfig
from m2iv_robot.data.simulation.dataset import Truth, load_truth, record_all, record_dataset, truth_path
from m2iv_robot.data.simulation.episode import ReplayResult, SimulatedEpisode, replay, simulate_episode
from m2iv_robot.data.simulation.replay_film import film_replay

__all__ = [
    "RecordingConfig",
    "ReplayResult",
    "SimulatedEpisode",
    "SimulationConfig",
    "Truth",
    "film_replay",
    "load_truth",
    "record_all",
    "record_dataset",
    "replay",
    "simulate_episode",
    "truth_path",
]
