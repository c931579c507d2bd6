"""Reading a URDF: its text, and the chain of joints that a robot's configuration names."""

import importlib.resources
import xml.etree.ElementTree as ElementTree
from pathlib import Path

import numpy as np
import pinocchio

from m2iv_robot.errors import KinematicsError
from m2iv_robot.kinematics.robot import RobotConfig


def read_urdf(path: str) -> str:
    """Text of a URDF, from a path or from the files that ship in configs/robot.

    Continuous joints become revolute ones of one turn either way: a recorded angle is a number, not a direction.

    Raises:
        KinematicsError: the file is not there or is not XML.
    """
    shipped = importlib.resources.files("configs") / "robot" / path
    found = Path(path) if Path(path).is_file() else shipped
    if not found.is_file():
        raise KinematicsError(f"URDF {path!r} is neither a file nor shipped; give a path: robot.urdf=/path/arm.urdf")
    try:
        root = ElementTree.fromstring(found.read_text())
    except ElementTree.ParseError as error:
        raise KinematicsError(f"URDF {found} is not readable XML: {error}") from error
    for joint in root.iter("joint"):
        if joint.get("type") == "continuous":
            joint.set("type", "revolute")
            limit = joint.find("limit")
            limit = limit if limit is not None else ElementTree.SubElement(joint, "limit", effort="0", velocity="0")
            limit.set("lower", str(-2 * np.pi))
            limit.set("upper", str(2 * np.pi))
    return ElementTree.tostring(root, encoding="unicode")


def load_chain(config: RobotConfig, also: str = "") -> pinocchio.Model:
    """The arm's joints alone (and the one named by `also`, with those that mimic it), every other joint held at zero.

    Raises:
        KinematicsError: a joint or the tool frame of the config is not in the URDF, or a joint does not turn.
    """
    text = read_urdf(config.urdf)
    try:
        model = pinocchio.buildModelFromXML(text)
    except ValueError as error:
        raise KinematicsError(f"URDF {config.urdf}: {error}") from error
    joints = list(model.names)[1:]
    missing = [name for name in config.joint_names if name not in joints]
    if missing:
        raise KinematicsError(
            f"URDF {config.urdf} does not match the state: {len(missing)} of {len(config.joint_names)} joints "
            f"are not in it: {', '.join(missing)}; it has {len(joints)}: {', '.join(joints)}. Set robot.joint_names."
        )
    if not model.existFrame(config.tool_frame):
        links = [frame.name for frame in model.frames if frame.type == pinocchio.FrameType.BODY]
        raise KinematicsError(f"URDF {config.urdf} has no link {config.tool_frame!r}; it has {', '.join(links)}")
    if also and also not in joints:
        raise KinematicsError(
            f"URDF {config.urdf} has no joint {also!r}: robot.gripper_joint is one of {', '.join(joints)}"
        )
    kept = {*config.joint_names, *(followers(text, also) if also else ())}
    fixed = [model.getJointId(name) for name in joints if name not in kept]
    return pinocchio.buildReducedModel(model, fixed, pinocchio.neutral(model))


def followers(urdf: str, joint: str) -> dict[str, tuple[float, float]]:
    """The joints that turn with one, itself included: multiplier and offset (rad) of each, as <mimic> has them."""
    found = {joint: (1.0, 0.0)}
    for entry in ElementTree.fromstring(urdf).iter("joint"):
        mimic = entry.find("mimic")
        if mimic is not None and mimic.get("joint") == joint:
            found[entry.get("name")] = (float(mimic.get("multiplier", 1.0)), float(mimic.get("offset", 0.0)))
    return found
