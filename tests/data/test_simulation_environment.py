import numpy as np
import pytest

pytest.importorskip("mujoco")

from lerobot.envs.factory import make_env, make_env_config
from lerobot.envs.utils import env_to_policy_features, preprocess_observation

from m2iv_robot.data.simulation import SimulationConfig, simulate_episode
from m2iv_robot.data.simulation.environment import PickPlaceEnvironment
from m2iv_robot.data.simulation.lerobot_env import So101EnvironmentConfig

TINY = SimulationConfig(
    width=48, height=36, wrist_width=32, wrist_height=24, scene_seed=4, goal_marker=True, noise_levels=0.0
)
SEED = 2


@pytest.fixture(scope="module")
def demonstration():
    return simulate_episode(TINY, SEED)


def test_the_demonstrator_succeeds_through_lerobots_own_way(demonstration):
    config = make_env_config("m2iv_so101", simulation=TINY)
    environment = make_env(config, n_envs=1)["m2iv_so101"][0]
    try:
        observation, _ = environment.reset(seed=[SEED])
        seen = preprocess_observation(observation)
        assert set(seen) == {"observation.images.front", "observation.images.wrist", "observation.state"}
        assert set(env_to_policy_features(config)) == {"action", *seen}
        assert environment.call("_max_episode_steps") == (300,)
        assert "coaster" in environment.call("task_description")[0]
        for action in demonstration.episode.action.numpy():
            _, reward, done, _, info = environment.step(action[None])
            if done[0]:
                break
        assert reward[0] == 1
        assert info["final_info"]["is_success"][0]
    finally:
        environment.close()


def test_an_idle_arm_does_not_succeed(demonstration):
    environment = PickPlaceEnvironment(TINY)
    observation, info = environment.reset(seed=SEED)
    assert np.allclose(observation["agent_pos"][:5], demonstration.episode.state[0, :5].numpy(), atol=2.0)
    for _ in range(5):
        observation, reward, done, _, info = environment.step(observation["agent_pos"])
    assert (reward, done, info["is_success"]) == (0.0, False, False)
    assert environment.observation_space["pixels"]["front"].contains(observation["pixels"]["front"])
    environment.close()


def test_every_setting_of_the_lab_is_one_of_the_environment():
    config = So101EnvironmentConfig(simulation=TINY, episode_length=17)
    assert config.fps == TINY.fps
    assert config.features["pixels/front"].shape == (36, 48, 3)
    environment = config.create_envs(n_envs=1)["m2iv_so101"][0]
    assert environment.call("_max_episode_steps") == (17,)
    environment.close()
