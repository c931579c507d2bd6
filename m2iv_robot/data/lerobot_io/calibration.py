"""The calibration that was recorded with a dataset's episodes, in the reports beside it."""

import json
import logging
import statistics
from dataclasses import dataclass
from pathlib import Path

from m2iv_robot.data.lerobot_io.source import Dataset

OFF_CENTRE_SHARE = 0.03  # of the width: a principal point farther from the centre is worth a warning
DISTORTED = 0.05  # so is a larger distortion coefficient
CHANGED = 0.02  # calibrations that differ by more are of two cameras, or of two settings of one

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class RecordedCamera:
    """What CameraInfo said; the images are used as a centred pinhole without distortion sees them."""

    focal_share: float  # focal length as a share of the image's width


def recordings_folder(root: str | Path) -> Path:
    """Where the reports of a recorded dataset are: one JSON file per episode, beside the dataset."""
    root = Path(root)
    return root.with_name(f"{root.name}_recordings")


def recorded_camera(dataset: Dataset, camera: str) -> RecordedCamera | None:
    """The calibration of a camera; None where none was recorded, or it changed between episodes."""
    noted = []
    for path in sorted(recordings_folder(dataset.root).glob("episode_*.json")):
        found = json.loads(path.read_text()).get("intrinsics", {}).get(camera)
        if found and found["width"] and found["k"][0] > 0:
            noted.append(found)
    if not noted:
        return None
    shares = [entry["k"][0] / entry["width"] for entry in noted]
    if max(shares) / min(shares) > 1 + CHANGED:
        logger.warning("%s, %s: the calibration changed between episodes; it is not used", dataset.name, camera)
        return None
    for entry in noted[:1]:
        _warn_of_what_is_ignored(entry, f"{dataset.name}, {camera}")
    return RecordedCamera(focal_share=statistics.median(shares))


def _warn_of_what_is_ignored(entry: dict, where: str) -> None:
    off = max(abs(entry["k"][2] - entry["width"] / 2), abs(entry["k"][5] - entry["height"] / 2)) / entry["width"]
    if off > OFF_CENTRE_SHARE or any(abs(value) > DISTORTED for value in entry["d"]):
        logger.warning(
            "%s: its centre is off by %.1f %% of the width and its distortion is %s; both are ignored: record "
            "rectified images for exact projections",
            where,
            100 * off,
            entry["d"],
        )
