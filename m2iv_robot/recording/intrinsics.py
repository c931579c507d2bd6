"""What a CameraInfo says of a camera, in the size in which its images are recorded."""

import numpy as np

from m2iv_robot.errors import RecordingError
from m2iv_robot.recording.contract import CameraStream


def read_intrinsics(message: object, camera: CameraStream) -> dict:
    """Width, height, K (row by row), distortion model and coefficients, frame of a sensor_msgs/msg/CameraInfo.

    K is scaled where the contract resizes the images.

    Raises:
        RecordingError: the camera is not calibrated: its focal length is zero or not a number.
    """
    matrix = np.asarray(message.k, dtype=np.float64).reshape(-1)
    if matrix.size != 9 or not np.isfinite(matrix).all() or matrix[0] <= 0 or matrix[4] <= 0:
        raise RecordingError(f"{camera.info_topic}: the camera is not calibrated (K is {matrix.tolist()})")
    width, height = int(message.width), int(message.height)
    if camera.width and width and height:
        matrix = (np.diag([camera.width / width, camera.height / height, 1.0]) @ matrix.reshape(3, 3)).reshape(-1)
        width, height = camera.width, camera.height
    return {
        "width": width,
        "height": height,
        "k": matrix.tolist(),
        "distortion_model": str(message.distortion_model),
        "d": [float(value) for value in np.asarray(message.d).reshape(-1)],
        "frame_id": str(message.header.frame_id),
    }
