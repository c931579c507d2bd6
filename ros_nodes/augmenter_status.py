"""What augmenter_node says of itself: ~/status after each change, /diagnostics every second."""

import time

import rclpy
from diagnostic_msgs.msg import DiagnosticArray, DiagnosticStatus, KeyValue
from rclpy.lifecycle import LifecycleNode
from rclpy.qos import DurabilityPolicy, QoSProfile, ReliabilityPolicy

from m2iv_robot.requests.board import FAILED
from m2iv_robot.requests.desk import Desk
from ros_nodes.clicks import Clicks
from ros_nodes.synthetic import SyntheticPublisher

LASTING = QoSProfile(depth=1, reliability=ReliabilityPolicy.RELIABLE, durability=DurabilityPolicy.TRANSIENT_LOCAL)
PERIOD_S, EVERY = 0.1, 10
SHOWN_REQUESTS = 5


class AugmenterStatus:
    """Publishers of ~/status and /diagnostics."""

    def __init__(self, node: LifecycleNode, desk: Desk, synthetic: SyntheticPublisher, clicks: Clicks) -> None:
        """Set `changed` from any thread to have the status told soon."""
        self._node = node
        self._desk = desk
        self._synthetic = synthetic
        self._clicks = clicks
        self.changed = True
        self._periods = 0
        self._before = (time.monotonic(), 0, 0)
        self._rates = (0.0, 0.0)
        self._status = node.create_publisher(DiagnosticStatus, "~/status", LASTING)
        self._diagnostics = node.create_publisher(DiagnosticArray, "/diagnostics", 10)
        node.create_timer(PERIOD_S, self._on_timer, clock=rclpy.clock.Clock())

    def _on_timer(self) -> None:
        self._synthetic.update()
        self._periods += 1
        whole = self._periods % EVERY == 0
        if whole:
            self._measure()
        if not (whole or self.changed):
            return
        self.changed = False
        status = self._describe()
        self._status.publish(status)
        if whole:
            array = DiagnosticArray(status=[status])
            array.header.stamp = self._node.get_clock().now().to_msg()
            self._diagnostics.publish(array)

    def _measure(self) -> None:
        now = (time.monotonic(), self._clicks.camera_arrivals, self._synthetic.shown)
        span_s = max(now[0] - self._before[0], 1e-9)
        self._rates = ((now[1] - self._before[1]) / span_s, (now[2] - self._before[2]) / span_s)
        self._before = now

    def _describe(self) -> DiagnosticStatus:
        desk = self._desk
        running, waiting = desk.board.running, desk.board.waiting
        level, message = DiagnosticStatus.OK, "idle"
        if running is not None:
            message = (
                f"request {running.id} {running.state}: {running.message or 'begins'} ({100 * running.share:.0f} %)"
            )
        if desk.fault:
            level, message = DiagnosticStatus.ERROR, desk.fault
        elif not desk.models:
            message = "no models are loaded; configure the node"
        values = {
            "model": desk.models.get("weights", ""),
            "device": desk.models.get("device", ""),
            "generator memory MB": f"{desk.memory_mb:.0f}",
            "queue": len(waiting),
            "running": running.id if running is not None else "",
            "camera Hz": f"{self._rates[0]:.1f}",
            "synthetic Hz": f"{self._rates[1]:.1f}",
            "episodes per minute": f"{desk.episodes_per_minute():.2f}",
        }
        for entry in desk.board.entries[-SHOWN_REQUESTS:]:
            made = f"{entry.written} written, {entry.rejected} rejected"
            values[f"request {entry.id}"] = f"{entry.state}; {made}; {entry.message}"
            if entry.state == FAILED and level == DiagnosticStatus.OK:
                level = DiagnosticStatus.WARN
        return DiagnosticStatus(
            level=level,
            name=f"{self._node.get_fully_qualified_name()}: generator",
            message=message,
            values=[KeyValue(key=key, value=str(value)) for key, value in values.items()],
        )
