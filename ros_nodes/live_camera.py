"""The live camera: how fast it arrives, and its picture of this moment as a file."""

import time
from functools import partial
from pathlib import Path

import cv2
from rclpy.lifecycle import LifecycleNode
from rclpy.qos import qos_profile_sensor_data
from sensor_msgs.msg import CompressedImage, Image

from m2iv_robot.errors import RequestError
from m2iv_robot.recording.images import COMPRESSED, RAW, decode_image

MOST_AGE_S = 2.0  # an older picture does not show what is there now
KINDS = {RAW: (Image, "image"), COMPRESSED: (CompressedImage, "image/compressed")}


class LiveCamera:
    """Kept state: the latest message. Nothing is decoded until somebody asks: that would take time from the camera."""

    def __init__(self, node: LifecycleNode) -> None:
        """Subscribe to `image` and `image/compressed`."""
        self._topic = node.resolve_topic_name("image")
        self._arrivals = dict.fromkeys(KINDS, 0)
        self._latest: tuple[str, Image | CompressedImage, float] | None = None
        for kind, (message, topic) in KINDS.items():
            node.create_subscription(message, topic, partial(self._on_image, kind), qos_profile_sensor_data)

    @property
    def arrivals(self) -> int:
        """Pictures so far; one that comes raw and compressed counts once."""
        return max(self._arrivals.values())

    def save(self, path: Path) -> str:
        """Write the present picture as PNG; returns the file's name.

        Raises:
            RequestError: none has come lately.
            RecordingError: it cannot be decoded.
        """
        if self._latest is None or time.monotonic() - self._latest[2] > MOST_AGE_S:
            raise RequestError(f"no image came on {self._topic} in the last {MOST_AGE_S:g} s; is the camera running?")
        kind, message, _ = self._latest
        cv2.imwrite(str(path), decode_image(message, kind)[:, :, ::-1])
        return str(path)

    def _on_image(self, kind: str, message: Image | CompressedImage) -> None:
        self._arrivals[kind] += 1
        self._latest = (kind, message, time.monotonic())
