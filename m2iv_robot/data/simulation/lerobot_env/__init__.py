"""LeRobot environment plugin: the simulated labs for lerobot-eval and lerobot-train.

`--env.discover_packages_path=m2iv_robot.data.simulation.lerobot_env --env.type=m2iv_so101`. LeRobot wants a package
whose import registers its environments; nothing else runs on import.
"""

from m2iv_robot.data.simulation.lerobot_env.configuration import PandaEnvironmentConfig, So101EnvironmentConfig

__all__ = ["PandaEnvironmentConfig", "So101EnvironmentConfig"]
