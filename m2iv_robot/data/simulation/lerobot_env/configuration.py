"""What LeRobot needs to know of the simulated labs."""

import functools
from dataclasses import dataclass, field, replace

import gymnasium
from lerobot.configs import FeatureType, PolicyFeature
from lerobot.envs.configs import EnvConfig
from lerobot.utils.constants import ACTION, OBS_IMAGES, OBS_STATE

from m2iv_robot.config import preset
from m2iv_robot.data.simulation.config import SimulationConfig
from m2iv_robot.data.simulation.environment import PickPlaceEnvironment


def _lab(robot: str) -> SimulationConfig:
    return replace(preset(SimulationConfig, "simulation", robot), goal_marker=True)


@dataclass
class _LabConfig(EnvConfig):
    """Fields that both labs share; `simulation` takes every key of configs/simulation, e.g. --env.simulation.fps=30."""

    simulation: SimulationConfig = field(default_factory=SimulationConfig)
    episode_length: int = 300  # frames before an attempt counts as failed
    action_size: int = 6

    def __post_init__(self) -> None:
        lab = self.simulation
        self.fps = lab.fps
        front = PolicyFeature(type=FeatureType.VISUAL, shape=(lab.height, lab.width, 3))
        self.features = {
            ACTION: PolicyFeature(type=FeatureType.ACTION, shape=(self.action_size,)),
            "agent_pos": PolicyFeature(type=FeatureType.STATE, shape=(self.action_size,)),
            "pixels/front": front,
        }
        self.features_map = {ACTION: ACTION, "agent_pos": OBS_STATE, "pixels/front": f"{OBS_IMAGES}.front"}
        if lab.wrist_width:
            self.features["pixels/wrist"] = PolicyFeature(
                type=FeatureType.VISUAL, shape=(lab.wrist_height, lab.wrist_width, 3)
            )
            self.features_map["pixels/wrist"] = f"{OBS_IMAGES}.wrist"

    @property
    def gym_kwargs(self) -> dict:
        """Not used: `create_envs` makes the environments itself."""
        return {}

    def create_envs(
        self, n_envs: int, use_async_envs: bool = False
    ) -> dict[str, dict[int, gymnasium.vector.VectorEnv]]:
        """One suite with one task, `n_envs` labs side by side."""
        make = functools.partial(_make, self.simulation, self.episode_length)
        mode = gymnasium.vector.AutoresetMode.SAME_STEP
        if use_async_envs and n_envs > 1:
            envs = gymnasium.vector.AsyncVectorEnv([make] * n_envs, autoreset_mode=mode, context="forkserver")
        else:
            envs = gymnasium.vector.SyncVectorEnv([make] * n_envs, autoreset_mode=mode)
        return {self.type: {0: envs}}


@EnvConfig.register_subclass("m2iv_so101")
@dataclass
class So101EnvironmentConfig(_LabConfig):
    """`--env.type=m2iv_so101`: joint degrees and gripper 0-100."""

    task: str | None = "pick_place"
    simulation: SimulationConfig = field(default_factory=functools.partial(_lab, "so101"))


@EnvConfig.register_subclass("m2iv_panda")
@dataclass
class PandaEnvironmentConfig(_LabConfig):
    """`--env.type=m2iv_panda`: Cartesian pose and gripper."""

    task: str | None = "pick_place"
    simulation: SimulationConfig = field(default_factory=functools.partial(_lab, "panda"))
    action_size: int = 7


def _make(lab: SimulationConfig, episode_length: int) -> gymnasium.Env:
    return gymnasium.wrappers.TimeLimit(PickPlaceEnvironment(lab), episode_length)
