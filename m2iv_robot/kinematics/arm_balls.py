"""A whole arm as balls in space, from the poses of its tool: what its silhouette in a picture is compared with."""

import xml.etree.ElementTree as ElementTree

import numpy as np
import pinocchio
from jaxtyping import Float

from m2iv_robot.errors import KinematicsError
from m2iv_robot.kinematics.body import UsualPosture
from m2iv_robot.kinematics.robot import RobotConfig
from m2iv_robot.kinematics.urdf import read_urdf


class ArmBalls:
    """The balls of an arm's links; in which of its postures it brings the tool there follows from a usual one."""

    def __init__(self, config: RobotConfig) -> None:
        """`config` names the URDF whose links have spheres as their collision geometry.

        Raises:
            KinematicsError: the URDF does not fit the config, or has no spheres.
        """
        self.posture = UsualPosture(config)
        self.model = self.posture.chain
        self.frames, self.centres_m, self.radii_m = self._balls(read_urdf(config.urdf))
        if not len(self.radii_m):
            raise KinematicsError(f"URDF {config.urdf} has no sphere as collision geometry; drop robot.posture_deg")

    def _balls(self, urdf: str) -> tuple[list[int], Float[np.ndarray, "k 3"], Float[np.ndarray, " k"]]:
        frames, centres, radii = [], [], []
        for link in ElementTree.fromstring(urdf).iter("link"):
            for collision in link.iter("collision"):
                sphere = collision.find("geometry/sphere")
                if sphere is not None:
                    frames.append(self.model.getFrameId(link.get("name")))
                    origin = collision.find("origin")
                    centres.append([float(value) for value in origin.get("xyz").split()])
                    radii.append(float(sphere.get("radius")))
        return frames, np.array(centres).reshape(-1, 3), np.array(radii)

    def balls(self, tool_poses: Float[np.ndarray, "t 4 4"]) -> Float[np.ndarray, "t k 3"]:
        """Centres of the balls in the base frame, those nearest to the base first; poses in the order of time."""
        data, found = self.model.createData(), []
        for angles in self.posture.angles(tool_poses):
            pinocchio.framesForwardKinematics(self.model, data, angles)
            places = [data.oMf[frame].homogeneous for frame in self.frames]
            found.append([place[:3, :3] @ at + place[:3, 3] for place, at in zip(places, self.centres_m, strict=True)])
        return np.array(found).reshape(-1, len(self.radii_m), 3)


def arm_balls(config: RobotConfig) -> ArmBalls | None:
    """The balls of a robot, None where its config does not describe them."""
    return ArmBalls(config) if config.posture_deg else None
