"""The calibration that a dataset's recorder noted of its cameras."""

import json
import logging
from dataclasses import dataclass

from m2iv_robot.data.lerobot_io.provenance import SETTINGS_FILE
from m2iv_robot.data.lerobot_io.source import Dataset

OFF_CENTRE_SHARE = 0.03  # of the width: a principal point farther from the centre is worth a warning
DISTORTED = 0.05  # so is a larger distortion coefficient

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class RecordedCamera:
    """What a CameraInfo said; the images are used as a centred pinhole without distortion sees them."""

    focal_share: float  # focal length as a share of the image's width

    def __post_init__(self) -> None:
        assert self.focal_share > 0


def recorded_camera(dataset: Dataset, camera: str) -> RecordedCamera | None:
    """The noted calibration of a camera; None where the recorder noted none."""
    path = dataset.root / SETTINGS_FILE
    if not path.is_file():
        return None
    settings = json.loads(path.read_text())
    noted = ((settings.get("run") or {}).get("cameras") or {}).get(camera)
    if not noted or not noted.get("width") or not noted["k"][0] > 0:
        return None
    width, height, k = noted["width"], noted["height"], noted["k"]
    off = max(abs(k[2] - width / 2), abs(k[5] - height / 2)) / width
    if off > OFF_CENTRE_SHARE or any(abs(value) > DISTORTED for value in noted.get("d") or ()):
        logger.warning(
            "%s, %s: calibrated with its centre %.1f %% of the width off and distortion %s; both are ignored: "
            "record rectified images for exact projections",
            dataset.name,
            camera,
            100 * off,
            noted.get("d"),
        )
    return RecordedCamera(focal_share=k[0] / width)
