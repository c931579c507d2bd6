"""How sure a fitted camera is of a place on the table."""

import numpy as np
from jaxtyping import Float
from scipy.spatial.transform import Rotation

from m2iv_robot.camera.pinhole import Camera
from m2iv_robot.camera.records import CameraFit

STEP = 1e-6


def table_sigma_m(
    fit: CameraFit, pixels: Float[np.ndarray, "n 2"], contact_pose: Float[np.ndarray, "4 4"]
) -> Float[np.ndarray, " n"]:
    """Standard deviation of where the tool has to go to grasp what lies at the pixels; infinite above the horizon.

    The tool comes at the height and with the rotation of `contact_pose`, so what camera and tool offset trade
    between them cancels. First-order propagation of the fit's covariance.
    """
    unknowns = np.concatenate(
        [
            [np.log(fit.camera.focal_px)],
            Rotation.from_matrix(fit.camera.rotation).as_rotvec(),
            fit.camera.translation,
            fit.tool_offset_m,
        ]
    )
    here = tool_places(unknowns, fit.camera, pixels, contact_pose)
    slopes = []
    for index in range(len(unknowns)):
        moved = unknowns.copy()
        moved[index] += STEP
        slopes.append((tool_places(moved, fit.camera, pixels, contact_pose) - here) / STEP)
    jacobian = np.stack(slopes, axis=-1)
    variance = np.einsum("nip,pq,niq->n", jacobian, fit.covariance, jacobian)
    return np.where(np.isfinite(variance), np.sqrt(np.maximum(np.nan_to_num(variance), 0.0)), np.inf)


def tool_places(
    unknowns: Float[np.ndarray, "10"],
    camera: Camera,
    pixels: Float[np.ndarray, "n 2"],
    contact_pose: Float[np.ndarray, "4 4"],
) -> Float[np.ndarray, "n 2"]:
    """Tool x, y for the pixels' objects, for a vector of log focal, rotation vector, translation and tool offset."""
    moved = Camera(
        float(np.exp(unknowns[0])),
        camera.width,
        camera.height,
        Rotation.from_rotvec(unknowns[1:4]).as_matrix(),
        unknowns[4:7],
    )
    offset = contact_pose[:3, :3] @ unknowns[7:10]
    return moved.unproject(pixels, contact_pose[2, 3] + offset[2])[:, :2] - offset[:2]
