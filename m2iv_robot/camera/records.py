"""What goes into the fit of a camera and what comes out."""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float, Int

from m2iv_robot.camera.pinhole import Camera

OBJECT, TIP = 0, 1  # what a pixel shows: the held object's centre, or the tip of the gripper


@dataclass(frozen=True)
class Correspondences:
    """Pixels and the tool poses that they belong to; each point is fixed in the tool frame at an unknown offset."""

    poses: Float[np.ndarray, "n 4 4"]  # tool frame in the base frame
    pixels: Float[np.ndarray, "n 2"]
    sigma_px: Float[np.ndarray, " n"]  # how far off the pixel may be
    kind: Int[np.ndarray, " n"]  # OBJECT or TIP
    group: Int[np.ndarray, " n"]  # one grasp of one episode: the object lies the same in the gripper throughout
    frame: Int[np.ndarray, " n"]  # source frame of the pixel

    def __len__(self) -> int:
        return len(self.pixels)

    def take(self, chosen: Bool[np.ndarray, " n"] | Int[np.ndarray, " m"]) -> "Correspondences":
        """A selection of them."""
        return Correspondences(*(getattr(self, name)[chosen] for name in self.__dataclass_fields__))


def join(parts: list[Correspondences]) -> Correspondences:
    """All of several; the groups of different parts stay different."""
    shifted, first = [], 0
    for part in parts:
        shifted.append(part.group + first)
        first = int(shifted[-1].max()) + 1 if len(part) else first
    columns = {
        name: np.concatenate([getattr(part, name) for part in parts]) for name in Correspondences.__annotations__
    }
    columns["group"] = np.concatenate(shifted)
    return Correspondences(**columns)


@dataclass(frozen=True)
class CameraFit:
    """A fitted camera, where the tracked points lie in the tool frame, and how sure all of it is."""

    camera: Camera
    tool_offset_m: Float[np.ndarray, " 3"]  # of the object's centre in the tool frame, common to all grasps
    tip_offset_m: Float[np.ndarray, " 3"]  # of the gripper's tip
    group_offset_m: dict[int, Float[np.ndarray, " 3"]]  # of the object's centre in each group
    residual_px: Float[np.ndarray, "n 2"]  # observed - projected
    inlier: Bool[np.ndarray, " n"]
    covariance: Float[np.ndarray, "10 10"]  # of log focal, rotation vector, translation, tool offset
    whole_arm: bool = False  # the arm's outline is where this camera has it

    @property
    def median_residual_px(self) -> float:
        """Median length of the inliers' residuals; 0 where a camera was fitted without points."""
        return 0.0 if not self.inlier.any() else float(np.median(np.linalg.norm(self.residual_px[self.inlier], axis=1)))

    def object_points_m(self, poses: Float[np.ndarray, "n 4 4"], group: int | None = None) -> Float[np.ndarray, "n 3"]:
        """Centre of the held object for tool poses; of one grasp, or of the usual one."""
        offset = self.tool_offset_m if group is None else self.group_offset_m.get(group, self.tool_offset_m)
        return poses[:, :3, :3] @ offset + poses[:, :3, 3]

    def support_height_m(self, contact_poses: Float[np.ndarray, "n 4 4"]) -> float:
        """Height of the plane in which the centres of resting objects lie, from the tool's poses at contact."""
        return float(np.median(self.object_points_m(contact_poses)[:, 2]))
