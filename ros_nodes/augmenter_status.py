"""What augmenter_node says of itself: ~/status after each change, /diagnostics every second."""

import time

import rclpy
from diagnostic_msgs.msg import DiagnosticStatus
from rclpy.lifecycle import LifecycleNode

from m2iv_robot.requests.board import FAILED
from m2iv_robot.requests.desk import Desk
from ros_nodes.live_camera import LiveCamera
from ros_nodes.reporting import Reporter
from ros_nodes.synthetic import SyntheticPublisher

PERIOD_S, EVERY = 0.1, 10
SHOWN_REQUESTS = 5


class AugmenterStatus:
    """Kept state: whether there is news, and the rates lately."""

    def __init__(self, node: LifecycleNode, desk: Desk, synthetic: SyntheticPublisher, camera: LiveCamera) -> None:
        """Set `changed` from any thread to have the status told soon."""
        self._desk = desk
        self._synthetic = synthetic
        self._camera = camera
        self.changed = True
        self._periods = 0
        self._before = (time.monotonic(), 0, 0)
        self._rates = (0.0, 0.0)
        self._reporter = Reporter(node, "generator")
        node.create_timer(PERIOD_S, self._on_timer, clock=rclpy.clock.Clock())

    def _on_timer(self) -> None:
        self._synthetic.update()
        self._periods += 1
        whole = self._periods % EVERY == 0
        if whole:
            self._camera.update()
            self._measure()
        if not (whole or self.changed):
            return
        self.changed = False
        self._reporter.report(*self._summary(), self._values(), diagnose=whole)

    def _measure(self) -> None:
        now = (time.monotonic(), self._camera.arrivals, self._synthetic.shown)
        span_s = max(now[0] - self._before[0], 1e-9)
        self._rates = ((now[1] - self._before[1]) / span_s, (now[2] - self._before[2]) / span_s)
        self._before = now

    def _summary(self) -> tuple[bytes, str]:
        """Level and message."""
        desk = self._desk
        running, level = desk.board.running, DiagnosticStatus.OK
        if desk.fault:
            return DiagnosticStatus.ERROR, desk.fault
        if any(entry.state == FAILED for entry in desk.board.entries[-SHOWN_REQUESTS:]):
            level = DiagnosticStatus.WARN
        if not desk.models:
            return level, "no models are loaded; configure the node"
        if running is None:
            return level, "idle"
        share = f"{100 * running.share:.0f} %"
        return level, f"request {running.id} {running.state}: {running.message or 'begins'} ({share})"

    def _values(self) -> dict[str, object]:
        desk = self._desk
        running = desk.board.running
        values = {
            "model": desk.models.get("weights", ""),
            "device": desk.models.get("device", ""),
            "generator memory MB": f"{desk.memory_mb:.0f}",
            "queue": len(desk.board.waiting),
            "running": running.id if running is not None else "",
            "camera Hz": f"{self._rates[0]:.1f}",
            "synthetic Hz": f"{self._rates[1]:.1f}",
            "episodes per minute": f"{desk.episodes_per_minute():.2f}",
        }
        for entry in desk.board.entries[-SHOWN_REQUESTS:]:
            made = f"{entry.written} written, {entry.rejected} rejected"
            values[f"request {entry.id}"] = f"{entry.state}; {made}; {entry.message}"
        return values
