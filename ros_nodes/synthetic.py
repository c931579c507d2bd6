"""Showing synthetic episodes on topics, at their own rate, from files that the generator leaves."""

from collections import deque
from pathlib import Path

from rclpy.lifecycle import LifecycleNode
from rclpy.qos import QoSProfile, ReliabilityPolicy
from rclpy.timer import Timer
from sensor_msgs.msg import CompressedImage, Image, JointState
from std_msgs.msg import Header
from visualization_msgs.msg import MarkerArray

from m2iv_robot.errors import M2IVError
from m2iv_robot.requests.preview import Preview, load_preview
from ros_nodes import conversions
from ros_nodes.reporting import LASTING

RELIABLE = QoSProfile(depth=10, reliability=ReliabilityPolicy.RELIABLE)


class SyntheticPublisher:
    """Publishers of ~/synthetic/...; episodes are shown one after the other, each once.

    A timer runs only while one is shown: every timer that ticks takes time from the camera.
    """

    def __init__(self, node: LifecycleNode, base_frame: str, camera_frame: str) -> None:
        """`base_frame` is the robot's, for the markers; `camera_frame` goes with the images."""
        self._node = node
        self._frames = {"base": base_frame, "camera": camera_frame}
        self._images = node.create_publisher(Image, "~/synthetic/image_raw", RELIABLE)
        self._compressed = node.create_publisher(CompressedImage, "~/synthetic/image_raw/compressed", RELIABLE)
        self._masks = node.create_publisher(Image, "~/synthetic/masks", RELIABLE)
        self._joints = node.create_publisher(JointState, "~/synthetic/joint_states", RELIABLE)
        self._markers = node.create_publisher(MarkerArray, "~/synthetic/markers", LASTING)
        self._waiting: deque[Path] = deque()
        self._preview: Preview | None = None
        self._next_frame = 0
        self._timer: Timer | None = None
        self.shown = 0  # frames

    def add(self, path: Path) -> None:
        """Show this one when those before it were shown; from any thread."""
        self._waiting.append(path)

    def update(self) -> None:
        """Begin with the next episode if none is shown; call it now and then, from the executor's thread."""
        if self._preview is not None or not self._waiting:
            return
        path = self._waiting.popleft()
        try:
            self._preview = load_preview(path)
        except M2IVError as error:
            self._node.get_logger().warning(str(error))
            return
        finally:
            path.unlink(missing_ok=True)
        if len(self._preview.gripper_path_m):
            header = Header(stamp=self._node.get_clock().now().to_msg(), frame_id=self._frames["base"])
            path_m, held = self._preview.gripper_path_m, self._preview.held
            self._markers.publish(conversions.path_markers(path_m, held, header))
        self._next_frame = 0
        self._timer = self._node.create_timer(1 / self._preview.fps, self._tick)

    def clear(self) -> None:
        """Show nothing more."""
        while self._waiting:
            self._waiting.popleft().unlink(missing_ok=True)
        self._stop()

    def _stop(self) -> None:
        if self._timer is not None:
            self._node.destroy_timer(self._timer)
        self._timer = self._preview = None

    def _tick(self) -> None:
        preview = self._preview
        if preview is None:
            return
        self._publish(preview, self._next_frame)
        self.shown += 1
        self._next_frame += 1
        if self._next_frame == len(preview.frames):
            self._stop()

    def _publish(self, preview: Preview, frame: int) -> None:
        stamp = self._node.get_clock().now().to_msg()
        header = Header(stamp=stamp, frame_id=self._frames["camera"])
        pixels = preview.frames[frame]
        if self._images.get_subscription_count():
            self._images.publish(conversions.image_message(pixels, header))
        if self._compressed.get_subscription_count():
            self._compressed.publish(conversions.compressed_message(pixels, header))
        if self._masks.get_subscription_count():
            self._masks.publish(conversions.mask_message(preview.actor[frame], preview.object[frame], header))
        if preview.state.shape[1]:
            robot = Header(stamp=stamp, frame_id=self._frames["base"])
            self._joints.publish(conversions.joint_state_message(preview.state_names, preview.state[frame], robot))
