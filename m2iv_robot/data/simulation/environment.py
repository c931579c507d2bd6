"""The simulated lab as a Gymnasium environment: pictures and joints in, leader's joints out, scored at the goal."""

import gymnasium
import numpy as np

from m2iv_robot.data.simulation.config import SimulationConfig
from m2iv_robot.data.simulation.episode import draw_episode, task_text
from m2iv_robot.data.simulation.expert import Task
from m2iv_robot.data.simulation.physics import SUCCESS_DISTANCE_M, SUCCESS_LIFT_M, World
from m2iv_robot.data.simulation.rendering import Renderer, average_down
from m2iv_robot.data.simulation.scene import Scene, build_scene


class PickPlaceEnvironment(gymnasium.Env):
    """One lab. Observations: `pixels` (front, wrist: uint8 h w 3) and `agent_pos`, both as the datasets have them.

    Actions are those of the datasets. An episode ends with reward 1 when the object was lifted, lies within 3 cm of
    the goal and is let go; `info["is_success"]` says so. `reset(seed=n)` gives the task of `simulate_episode(config,
    n)`, unless its operator needed a second attempt.
    """

    metadata = {"render_modes": ["rgb_array"], "render_fps": 10}  # noqa: RUF012  as Gymnasium wants it

    def __init__(self, config: SimulationConfig | None = None, render_mode: str = "rgb_array") -> None:
        self.config = config or SimulationConfig(goal_marker=True)
        self.render_mode = render_mode
        self.metadata = {**self.metadata, "render_fps": self.config.fps}
        self._scene: Scene = build_scene(self.config)
        self._world = World(self._scene, self.config.fps)
        self._renderer: Renderer | None = None
        self._goal, self._rest_height, self._lift = (0.0, 0.0), 0.0, 0.0
        self.task = self.task_description = task_text(self._scene, self.config)
        size = len(self._scene.arm.state_names)
        self.action_space = gymnasium.spaces.Box(-np.inf, np.inf, (size,), np.float32)
        images = {"front": (self.config.height, self.config.width, 3)}
        if self.config.wrist_width:
            images["wrist"] = (self.config.wrist_height, self.config.wrist_width, 3)
        self.observation_space = gymnasium.spaces.Dict(
            {
                "agent_pos": gymnasium.spaces.Box(-np.inf, np.inf, (size,), np.float64),
                "pixels": gymnasium.spaces.Dict(
                    {name: gymnasium.spaces.Box(0, 255, shape, np.uint8) for name, shape in images.items()}
                ),
            }
        )

    def reset(self, *, seed: int | None = None, options: dict | None = None) -> tuple[dict, dict]:
        """Robot at home, object at a new start, marker at a new goal."""
        super().reset(seed=seed)
        number = int(self.np_random.integers(2**31)) if seed is None else seed
        task, home = draw_episode(self._scene, self.config, number)
        self._start(task, home)
        return self._observe(), {"is_success": False}

    def step(self, action: np.ndarray) -> tuple[dict, float, bool, bool, dict]:
        """One frame under the leader's joints."""
        self._world.advance(self._world.targets(np.asarray(action, dtype=np.float64)))
        position, _ = self._world.object_pose()
        self._lift = max(self._lift, float(position[2]) - self._rest_height)
        success = self._is_done(position)
        return self._observe(), float(success), success, False, {"is_success": success}

    def render(self) -> np.ndarray:
        """What the front camera sees."""
        return self._picture("front", self.config.width, self.config.height, self.config.supersample)

    def close(self) -> None:
        """Give the rendering context back."""
        if self._renderer is not None:
            self._renderer.close()
            self._renderer = None

    def _start(self, task: Task, home: np.ndarray) -> None:
        self._world.reset(home, task.start_xy, task.start_yaw_rad, task.goal_xy, None)
        self._goal, self._lift = task.goal_xy, 0.0
        self._rest_height = float(self._world.object_pose()[0][2])

    def _is_done(self, position: np.ndarray) -> bool:
        distance = float(np.linalg.norm(position[:2] - np.array(self._goal)))
        lying = position[2] < self._rest_height + SUCCESS_LIFT_M
        free = not self._world.contacts()[1]
        return bool(distance <= SUCCESS_DISTANCE_M and self._lift >= SUCCESS_LIFT_M and free and lying)

    def _observe(self) -> dict:
        pixels = {"front": self.render()}
        if self.config.wrist_width:
            pixels["wrist"] = self._picture("wrist", self.config.wrist_width, self.config.wrist_height, 1)
        return {"agent_pos": self._world.state(), "pixels": pixels}

    def _picture(self, camera: str, width: int, height: int, factor: int) -> np.ndarray:
        if self._renderer is None:
            largest = (max(factor * width, self.config.wrist_width), max(factor * height, self.config.wrist_height))
            self._renderer = Renderer(self._scene.model, *largest)
        return average_down(self._renderer.colour(self._world.data, camera, factor * width, factor * height), factor)
