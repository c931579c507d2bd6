"""`augmenter_node`: synthetic episodes on request, shown on topics, appended to a LeRobot dataset; lifecycle node."""

import sys
import time
from dataclasses import replace
from pathlib import Path
from tempfile import mkdtemp

from rcl_interfaces.msg import SetParametersResult
from rclpy.lifecycle import LifecycleNode, LifecycleState, TransitionCallbackReturn
from rclpy.parameter import Parameter
from std_srvs.srv import Trigger

from m2iv_robot.errors import M2IVError
from m2iv_robot.requests.board import ENDED
from m2iv_robot.requests.desk import Desk
from m2iv_robot.requests.request import RequestLimits
from ros_nodes.augmenter_parameters import LIVE, declare, request_from, settings_from, trouble_with
from ros_nodes.augmenter_status import AugmenterStatus
from ros_nodes.clicks import Clicks
from ros_nodes.live_camera import LiveCamera
from ros_nodes.reporting import answer
from ros_nodes.running import run_node
from ros_nodes.synthetic import SyntheticPublisher

SUCCESS, FAILURE = TransitionCallbackReturn.SUCCESS, TransitionCallbackReturn.FAILURE


class AugmenterNode(LifecycleNode):
    """Services ~/augment and ~/cancel; models live in a process of their own between configure and cleanup."""

    def __init__(self) -> None:
        """Parameters as in docs/ros.md.

        Raises:
            M2IVError: a parameter cannot be used.
        """
        super().__init__("augmenter_node")
        declare(self)
        self.scratch = Path(mkdtemp(prefix="m2iv_augmenter_"))
        limits = RequestLimits(self.value("data_root"), self.value("output_root"), self.value("max_count"))
        self.desk = Desk(limits, self.value("queue_limit"), on_preview=self._show, on_change=self._note_change)
        self.clicks = Clicks(self, self.scratch)
        self.camera = LiveCamera(self)
        self.synthetic = SyntheticPublisher(self, self.value("base_frame"), self.value("camera_frame"))
        self._status = AugmenterStatus(self, self.desk, self.synthetic, self.camera)
        self.create_service(Trigger, "~/augment", self._on_augment)
        self.create_service(Trigger, "~/cancel", self._on_cancel)
        self.add_on_set_parameters_callback(self._check_parameters)
        self.get_logger().info("no models are loaded yet: ros2 lifecycle set /augmenter_node configure, then activate")

    def value(self, name: str):
        """A parameter's value."""
        return self.get_parameter(name).value

    def on_configure(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Load the models."""
        started = time.monotonic()
        try:
            self.desk.load(settings_from(self, self.scratch), self.value("load_timeout_s"))
        except M2IVError as error:
            self.get_logger().error(f"not configured: {error}")
            return FAILURE
        self.get_logger().info(f"models loaded in {time.monotonic() - started:.1f} s: {self.desk.models}")
        return SUCCESS

    def on_activate(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Accept requests."""
        self.desk.open_to_requests()
        return super().on_activate(state)

    def on_deactivate(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Accept none; cancel what waits or runs."""
        self.desk.close_to_requests("the node was deactivated")
        self.synthetic.clear()
        return super().on_deactivate(state)

    def on_cleanup(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Free the models."""
        self.desk.unload()
        return SUCCESS

    def on_shutdown(self, state: LifecycleState) -> TransitionCallbackReturn:
        """As cleanup."""
        self.desk.unload()
        return SUCCESS

    def on_error(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Back to unconfigured, without models."""
        self.desk.unload()
        return SUCCESS

    def stop(self) -> None:
        """Wait for models no longer."""
        self.desk.give_up()

    def close(self) -> None:
        """End the generator and leave no file behind."""
        self.desk.unload()
        self.synthetic.clear()
        for path in self.scratch.glob("*"):
            path.unlink(missing_ok=True)
        self.scratch.rmdir()

    def _on_augment(self, request: Trigger.Request, response: Trigger.Response) -> Trigger.Response:
        try:
            made = request_from(self, self.clicks)
            if self.value("source") == LIVE:
                frame = self.camera.save(self.scratch / f"live_{time.time_ns()}.png")
                made = replace(made, live_frame=frame)
            ident = self.desk.submit(made)
        except M2IVError as error:
            return answer(self, response, False, str(error))
        finally:
            self._sweep()
        self.clicks.forget()
        return answer(self, response, True, f"request {ident}")

    def _sweep(self) -> None:
        """Delete the pictures that no request needs any more."""
        needed = {self.clicks.object_mask}
        for entry in self.desk.board.entries:
            if entry.state not in ENDED:
                needed |= {entry.request.live_frame, entry.request.object_mask}
        for path in self.scratch.glob("*.png"):
            if str(path) not in needed:
                path.unlink(missing_ok=True)

    def _on_cancel(self, request: Trigger.Request, response: Trigger.Response) -> Trigger.Response:
        cancelled = self.desk.cancel()
        names = ", ".join(str(ident) for ident in cancelled) or "none was waiting or running"
        return answer(self, response, bool(cancelled), f"cancelled: {names}")

    def _check_parameters(self, parameters: list[Parameter]) -> SetParametersResult:
        for parameter in parameters:
            trouble = trouble_with(parameter)
            if trouble:
                return SetParametersResult(successful=False, reason=trouble)
        return SetParametersResult(successful=True)

    def _show(self, path: Path) -> None:
        self.synthetic.add(path)

    def _note_change(self) -> None:
        self._status.changed = True


def main(args: list[str] | None = None) -> int:
    """Run the node until it is interrupted; returns the exit status."""
    return run_node(AugmenterNode, args)


if __name__ == "__main__":
    sys.exit(main())
