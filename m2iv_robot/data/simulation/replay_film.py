"""What the cameras would have seen, had the robot been given other actions."""

import numpy as np
from jaxtyping import Float

from m2iv_robot.data.simulation.config import SimulationConfig
from m2iv_robot.data.simulation.episode import Demonstration, SimulatedEpisode, demonstrate, film, run_actions
from m2iv_robot.data.simulation.expert import Task
from m2iv_robot.data.simulation.scene import build_scene


def film_replay(
    config: SimulationConfig,
    seed: int,
    start_xy: tuple[float, float],
    actions: Float[np.ndarray, "t a"],
    turn_rad: float = 0.0,
) -> SimulatedEpisode:
    """`replay` with pictures: `actions` played open loop in the scene of episode `seed`, its object at `start_xy`.

    There it is turned by `turn_rad` (counter-clockwise from above). As many frames as actions. `grasp_frame` and
    `release_frame` are -1 where the object was never lifted.
    """
    scene = build_scene(config)
    shown = demonstrate(scene, config, seed)
    task = Task(start_xy, shown.task.start_yaw_rad + turn_rad, shown.task.goal_xy)
    played = np.asarray(actions, dtype=np.float64)
    trace = run_actions(scene, config.fps, task, shown.home, played, rest_s=0.0)
    return film(scene, config, seed, Demonstration(task, shown.home, played, trace, 0))
