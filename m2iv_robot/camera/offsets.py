"""Where the object lies in the gripper, under a camera that is known."""

import numpy as np
from scipy.optimize import OptimizeResult, least_squares
from scipy.spatial.transform import Rotation

from m2iv_robot.camera.config import CameraConfig
from m2iv_robot.camera.fit import summarise
from m2iv_robot.camera.pinhole import Camera
from m2iv_robot.camera.problem import POSE, FitProblem
from m2iv_robot.camera.records import CameraFit, Correspondences


def fit_offsets(
    camera: Camera, data: Correspondences, config: CameraConfig, finger_offset_m: tuple[float, float, float]
) -> CameraFit:
    """The fit of tracked points under a camera that stays as it is: their offsets in the tool frame, by grasp."""
    groups = tuple(int(group) for group in np.unique(data.group))
    offset = np.asarray(finger_offset_m, dtype=float)
    problem = FitProblem(data, (camera.width, camera.height), offset, config, groups)
    turn = Rotation.from_matrix(camera.rotation).as_rotvec()
    fixed = np.concatenate([[np.log(camera.focal_px)], turn, camera.translation])

    def whole(free: np.ndarray) -> np.ndarray:
        return np.concatenate([fixed, free])

    found = least_squares(
        lambda free: problem.residuals(whole(free)),
        np.concatenate([offset, offset, np.zeros(3 * len(groups))]),
        lambda free: problem.jacobian(whole(free))[:, POSE:],
        loss=problem.robust,
        x_scale="jac",
    )
    unknowns = whole(found.x)
    return summarise(problem, OptimizeResult(x=unknowns, jac=problem.jacobian(unknowns)))
