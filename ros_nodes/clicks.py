"""What a person points at: clicks and masks, in pixels of recorded or live images, kept until they are used."""

import math
import time
from pathlib import Path

import cv2
import numpy as np
from geometry_msgs.msg import Point, PointStamped
from rclpy.lifecycle import LifecycleNode
from sensor_msgs.msg import Image

from m2iv_robot.errors import M2IVError
from m2iv_robot.recording.images import RAW, decode_image

MASK_LEVEL = 127  # brighter is the object


class Clicks:
    """Kept state: the latest click and mask for the object and for its goal."""

    def __init__(self, node: LifecycleNode, folder: Path) -> None:
        """Masks are kept as PNG files in `folder`."""
        self._node = node
        self._folder = folder
        self.object_xy: list[float] = []
        self.goal_xy: list[float] = []
        self.object_mask = ""
        node.create_subscription(PointStamped, "~/object_click", self._on_object_stamped, 10)
        node.create_subscription(Point, "~/object_point", self._on_object, 10)
        node.create_subscription(PointStamped, "~/goal_click", self._on_goal_stamped, 10)
        node.create_subscription(Point, "~/goal_point", self._on_goal, 10)
        node.create_subscription(Image, "~/object_mask", self._on_object_mask, 1)
        node.create_subscription(Image, "~/goal_mask", self._on_goal_mask, 1)

    def forget(self) -> None:
        """Drop what was pointed at; files stay for the request that uses them."""
        self.object_xy, self.goal_xy, self.object_mask = [], [], ""

    def _on_object_stamped(self, message: PointStamped) -> None:
        self._on_object(message.point)

    def _on_goal_stamped(self, message: PointStamped) -> None:
        self._on_goal(message.point)

    def _on_object(self, point: Point) -> None:
        if self._is_pixel(point, "object"):
            self.object_xy, self.object_mask = [point.x, point.y], ""

    def _on_goal(self, point: Point) -> None:
        if self._is_pixel(point, "goal"):
            self.goal_xy = [point.x, point.y]

    def _is_pixel(self, point: Point, what: str) -> bool:
        if not (math.isfinite(point.x) and math.isfinite(point.y)):
            self._node.get_logger().warning(f"{what} click: x and y are {point.x} and {point.y}; it is not used")
            return False
        return True

    def _on_object_mask(self, message: Image) -> None:
        mask = self._mask(message, "object")
        if mask is not None:
            path = self._folder / f"object_{time.time_ns()}.png"
            cv2.imwrite(str(path), mask.astype(np.uint8) * 255)
            self.object_mask, self.object_xy = str(path), []

    def _on_goal_mask(self, message: Image) -> None:
        mask = self._mask(message, "goal")
        if mask is not None:
            rows, columns = np.nonzero(mask)
            self.goal_xy = [float(columns.mean()), float(rows.mean())]

    def _mask(self, message: Image, what: str) -> np.ndarray | None:
        try:
            mask = decode_image(message, RAW)[:, :, 0] > MASK_LEVEL
        except M2IVError as error:
            self._node.get_logger().warning(f"{what} mask: {error}; it is not used")
            return None
        if not mask.any():
            self._node.get_logger().warning(f"{what} mask: nothing in it is brighter than {MASK_LEVEL}; it is not used")
            return None
        return mask
