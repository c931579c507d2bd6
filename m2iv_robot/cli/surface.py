"""`m2iv surface robot=so101 robot.urdf=arm.urdf output.file=arm.npz`: points of a robot's surface, from its meshes."""

import logging
from pathlib import Path

from omegaconf import DictConfig

from m2iv_robot.config import parse
from m2iv_robot.errors import ConfigError
from m2iv_robot.kinematics import RobotConfig, sample_surface
from m2iv_robot.kinematics.urdf import load_chain

logger = logging.getLogger(__name__)


def run(node: DictConfig) -> int:
    """Write the file that `robot.surface` names; returns 0."""
    robot = parse(RobotConfig, node.robot, "robot")
    urdf = Path(robot.urdf).expanduser()
    if not (robot.joint_names and urdf.is_file()):
        raise ConfigError(f"robot.urdf {robot.urdf!r} is not a file: give the URDF that names the arm's meshes")
    surface = sample_surface(urdf, load_chain(robot, robot.gripper_joint), node.spacing_m)
    if surface is None:
        raise ConfigError(f"{urdf} names no mesh: there is no surface to take points of")
    path = Path(node.output.file)
    path.parent.mkdir(parents=True, exist_ok=True)
    surface.save(path)
    logger.info("%d points on %d links", len(surface.points_m), len(set(surface.link.tolist())))
    logger.info("surface: %s (give it as robot.surface)", path)
    return 0
