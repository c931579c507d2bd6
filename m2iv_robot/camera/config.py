"""Settings of the camera checks and of the fit."""

from dataclasses import dataclass, replace

from m2iv_robot.errors import ConfigError

ZED_2 = (
    0.42,
    0.05,
)  # focal length as a share of the width, and how far off that may be; 16:9, perhaps stretched a little
USUAL_CAMERAS = {("franka_cartesian", "exterior"): ZED_2}  # robot and a part of the camera's name: DROID
CALIBRATED_SPREAD = 0.005  # how far a calibrated focal length may be off, as a ratio's logarithm


@dataclass(frozen=True)
class CameraConfig:
    """configs/camera_fit/*.yaml; pixel figures are for an image 320 wide and grow with it."""

    still_px: float = 2.0  # a detail of the scene that moves less has not moved; real stands shake by 1 to 3 px
    still_share: float = 0.16  # least share of the details that stay, in all but a fifth of the frames
    still_edges: float = 0.24  # or this share of the edges: of a plain table few details are to be seen
    same_pose_px: float = 1.0  # two episodes share the camera pose when their scenes differ by less
    same_pose_share: float = 0.25  # and at least this share of the details of one is found there in the other
    focal_min: float = 0.3  # share of the image's width
    focal_max: float = 3.0
    focal_usual: float = 0.8  # what the fit leans to where the data leave the focal length open
    focal_spread: float = 0.5  # how far off that may be, as a ratio's logarithm
    pixel_sigma: float = 1.5  # noise of a tracked point
    offset_sigma_m: float = 0.02  # how far the fingertips may be from where the robot's configuration has them
    grasp_spread_m: float = 0.02  # how far the object's centre moves in the gripper from grasp to grasp, at most
    min_points: int = 12
    min_extent_m: float = 0.04  # the second largest extent of the tool's path
    max_residual_px: float = 6.0  # median, above it the fit is refused
    max_table_sigma_m: float = 0.05  # uncertainty on the table where the tool has been, above it the fit is refused

    def __post_init__(self) -> None:
        if not 0 < self.focal_min < self.focal_usual < self.focal_max:
            raise ConfigError(
                "camera needs 0 < focal_min < focal_usual < focal_max, got "
                f"{self.focal_min}, {self.focal_usual}, {self.focal_max}"
            )
        for name in (
            "pixel_sigma",
            "offset_sigma_m",
            "grasp_spread_m",
            "focal_spread",
            "max_residual_px",
            "max_table_sigma_m",
        ):
            if getattr(self, name) <= 0:
                raise ConfigError(f"camera.{name} must be positive, got {getattr(self, name)}")


def with_focal(config: CameraConfig, focal_share: float) -> CameraConfig:
    """The settings for a camera whose focal length, as a share of the width, is known from a calibration."""
    return replace(
        config,
        focal_usual=focal_share,
        focal_spread=CALIBRATED_SPREAD,
        focal_min=min(config.focal_min, 0.9 * focal_share),
        focal_max=max(config.focal_max, 1.1 * focal_share),
    )


def usual_settings(config: CameraConfig, robot: str, camera: str) -> CameraConfig:
    """The settings for a camera of a known set-up; settings whose focal length was changed by hand stay as they are."""
    default = CameraConfig()
    if (config.focal_usual, config.focal_spread) != (default.focal_usual, default.focal_spread):
        return config
    for (name, part), (share, spread) in USUAL_CAMERAS.items():
        if robot == name and part in camera:
            return replace(config, focal_usual=share, focal_spread=spread)
    return config
