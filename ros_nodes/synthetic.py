"""Showing synthetic episodes on topics, at their own rate, from files that the generator leaves."""

from collections import deque
from dataclasses import dataclass
from pathlib import Path

from rclpy.lifecycle import LifecycleNode
from rclpy.qos import DurabilityPolicy, QoSProfile, ReliabilityPolicy
from sensor_msgs.msg import CompressedImage, Image, JointState
from visualization_msgs.msg import MarkerArray

from m2iv_robot.errors import M2IVError
from m2iv_robot.requests.preview import Preview, load_preview
from ros_nodes import conversions

RELIABLE = QoSProfile(depth=10, reliability=ReliabilityPolicy.RELIABLE)
LASTING = QoSProfile(depth=1, reliability=ReliabilityPolicy.RELIABLE, durability=DurabilityPolicy.TRANSIENT_LOCAL)
TICK_S = 0.005  # how exactly the frames keep their time


@dataclass
class _Showing:
    """The episode that is being shown."""

    preview: Preview
    started_ns: int
    next_frame: int = 0


class SyntheticPublisher:
    """Publishers of ~/synthetic/...; episodes are shown one after the other, each once."""

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
        self._showing: _Showing | None = None
        self.shown = 0  # frames
        node.create_timer(TICK_S, self._tick)

    def add(self, path: Path) -> None:
        """Show this one when those before it were shown; from any thread."""
        self._waiting.append(path)

    def clear(self) -> None:
        """Show nothing more."""
        while self._waiting:
            self._waiting.popleft().unlink(missing_ok=True)
        self._showing = None

    def _tick(self) -> None:
        now_ns = self._node.get_clock().now().nanoseconds
        if self._showing is None:
            if not self._waiting:
                return
            self._showing = self._begin(self._waiting.popleft(), now_ns)
        showing = self._showing
        if showing is None or (now_ns - showing.started_ns) / 1e9 < showing.next_frame / showing.preview.fps:
            return
        self._publish(showing.preview, showing.next_frame)
        self.shown += 1
        showing.next_frame += 1
        if showing.next_frame == len(showing.preview.frames):
            self._showing = None

    def _begin(self, path: Path, now_ns: int) -> _Showing | None:
        try:
            preview = load_preview(path)
        except M2IVError as error:
            self._node.get_logger().warning(str(error))
            return None
        finally:
            path.unlink(missing_ok=True)
        if len(preview.gripper_path_m):
            header = conversions.header_at(self._node.get_clock().now().to_msg(), self._frames["base"])
            self._markers.publish(conversions.path_markers(preview.gripper_path_m, preview.held, header))
        return _Showing(preview, now_ns)

    def _publish(self, preview: Preview, frame: int) -> None:
        stamp = self._node.get_clock().now().to_msg()
        header = conversions.header_at(stamp, self._frames["camera"])
        pixels = preview.frames[frame]
        if self._images.get_subscription_count():
            self._images.publish(conversions.image_message(pixels, header))
        if self._compressed.get_subscription_count():
            self._compressed.publish(conversions.compressed_message(pixels, header))
        if self._masks.get_subscription_count():
            self._masks.publish(conversions.mask_message(preview.actor[frame], preview.object[frame], header))
        if preview.state.shape[1]:
            robot = conversions.header_at(stamp, self._frames["base"])
            self._joints.publish(conversions.joint_state_message(preview.state_names, preview.state[frame], robot))
