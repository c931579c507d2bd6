"""The live camera: how fast it arrives, and its picture of this moment as a file."""

import time
from functools import partial
from pathlib import Path

import cv2
from rclpy.lifecycle import LifecycleNode
from sensor_msgs.msg import CompressedImage, Image

from m2iv_robot.errors import RequestError
from m2iv_robot.recording.images import COMPRESSED, RAW, decode_image
from ros_nodes.subscriptions import Subscriptions, Wanted

MOST_AGE_S = 2.0  # an older picture does not show what is there now
KEPT = 5  # pictures that wait while the node is busy
KINDS = {RAW: ("sensor_msgs/msg/Image", "image"), COMPRESSED: ("sensor_msgs/msg/CompressedImage", "image/compressed")}


class LiveCamera:
    """Kept state: the latest message. Nothing is decoded until somebody asks: that would take time from the camera."""

    def __init__(self, node: LifecycleNode) -> None:
        """Ready to subscribe to `image` and `image/compressed`.

        As they are offered: a raw picture is sent in many parts, and best effort may lose one of each.
        """
        self._topic = node.resolve_topic_name("image")
        self._arrivals = dict.fromkeys(KINDS, 0)
        self._latest: tuple[str, Image | CompressedImage, float] | None = None
        self._subscriptions = Subscriptions(
            node, [Wanted(topic, name, KEPT, partial(self._on_image, kind)) for kind, (name, topic) in KINDS.items()]
        )

    def update(self) -> None:
        """Subscribe to what is published by now; call now and then."""
        self._subscriptions.update()

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
