"""Is a camera fixed, which episodes share its pose, and where in space its pixels are."""

from m2iv_robot.camera.block import Block, block_behind, half_height
from m2iv_robot.camera.config import CameraConfig, usual_settings, with_focal
from m2iv_robot.camera.correspondences import correspondences, object_track, tip_correspondences
from m2iv_robot.camera.fit import fit_camera, rough_camera
from m2iv_robot.camera.pinhole import Camera
from m2iv_robot.camera.pose_groups import group_by_pose, median_frame, same_pose
from m2iv_robot.camera.records import OBJECT, TIP, CameraFit, Correspondences, join
from m2iv_robot.camera.silhouette import Silhouettes, join_silhouettes, silhouettes
from m2iv_robot.camera.stillness import Stillness, check_fixed, measure_stillness
from m2iv_robot.camera.uncertainty import table_sigma_m

__all__ = [
    "OBJECT",
    "TIP",
    "Block",
    "Camera",
    "CameraConfig",
    "CameraFit",
    "Correspondences",
    "Silhouettes",
    "Stillness",
    "block_behind",
    "check_fixed",
    "correspondences",
    "fit_camera",
    "group_by_pose",
    "half_height",
    "join",
    "join_silhouettes",
    "measure_stillness",
    "median_frame",
    "object_track",
    "rough_camera",
    "same_pose",
    "silhouettes",
    "table_sigma_m",
    "tip_correspondences",
    "usual_settings",
    "with_focal",
]
