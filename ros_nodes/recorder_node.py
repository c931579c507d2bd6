"""`recorder_node`: camera and joint topics to episodes of a LeRobot dataset, as a contract says."""

import sys
from concurrent.futures import Future as Outcome
from functools import partial
from pathlib import Path

import rclpy
from diagnostic_msgs.msg import DiagnosticStatus
from rcl_interfaces.msg import FloatingPointRange, ParameterDescriptor, SetParametersResult
from rclpy.callback_groups import ReentrantCallbackGroup
from rclpy.node import Node
from rclpy.parameter import Parameter
from rclpy.task import Future
from std_srvs.srv import Trigger

from m2iv_robot.errors import ConfigError, M2IVError
from m2iv_robot.recording import load_contract
from m2iv_robot.recording.recorder import Recorder
from m2iv_robot.recording.saver import SavedEpisode
from ros_nodes.reporting import Reporter, answer
from ros_nodes.running import run_node
from ros_nodes.subscriptions import Subscriptions, Wanted

IMAGE_DEPTH, VALUE_DEPTH = 60, 1000  # two seconds in which this process may be busy
MAX_TASK_LENGTH = 1000
STATUS_PERIOD_S = 0.2  # also how soon an answer that waited for the recording thread is sent
STATUS_EVERY = 5  # of these periods
CAMERA_INFO = "sensor_msgs/msg/CameraInfo"


class RecorderNode(Node):
    """Services ~/start, ~/stop, ~/discard; status on ~/status and /diagnostics; all work is the library's."""

    def __init__(self) -> None:
        """Parameters as in docs/ros.md.

        Raises:
            M2IVError: the contract or the dataset's folder cannot be used.
        """
        super().__init__("recorder_node")
        self._declare()
        if not self._value("root"):
            raise ConfigError("parameter root: give the folder of the dataset that takes the episodes")
        self.contract = load_contract(self._value("contract"))
        self.recorder = Recorder(
            self.contract, Path(self._value("root")), self._value("codec"), on_saved=self._log_saved
        )
        self._ticks = 0
        self._reporter = Reporter(self, "recording")
        self._topics = Subscriptions(self, self._wanted())
        services = ReentrantCallbackGroup()  # in the node's own group an answer that waits would hold up all topics
        self.create_service(Trigger, "~/start", self._on_start, callback_group=services)
        self.create_service(Trigger, "~/stop", self._on_stop, callback_group=services)
        self.create_service(Trigger, "~/discard", self._on_discard, callback_group=services)
        self.add_on_set_parameters_callback(self._check_parameters)
        self.create_timer(STATUS_PERIOD_S, self._on_timer, clock=rclpy.clock.Clock())
        self.get_logger().info(f"recording to {self.recorder.root} when asked: ros2 service call ~/start")

    def stop(self) -> None:
        """Nothing waits here."""

    def close(self) -> None:
        """Forget a current episode and let the finished ones be written."""
        status = self.recorder.status()
        if status.recording:
            self.get_logger().warning("shutting down in the middle of an episode: it is discarded")
        if not self.recorder.close(self._value("save_timeout_s")):
            self.get_logger().warning("the last episodes are still being written, by a process that ends by itself")

    def _declare(self) -> None:
        fixed = partial(ParameterDescriptor, read_only=True)
        self.declare_parameter("contract", "so101", fixed(description="A contract's YAML file, or one that ships"))
        self.declare_parameter("root", "", fixed(description="Folder of the LeRobot dataset; made if need be"))
        self.declare_parameter("codec", "h264", fixed(description="h264, hevc or av1"))
        task = ParameterDescriptor(description="What the robot does, in words; goes with the next episode")
        self.declare_parameter("task", "", task)
        seconds = FloatingPointRange(from_value=0.0, to_value=3600.0)
        wait = ParameterDescriptor(
            description="At shutdown, how long to wait for episodes to be written, s", floating_point_range=[seconds]
        )
        self.declare_parameter("save_timeout_s", 10.0, wait)

    def _value(self, name: str):
        return self.get_parameter(name).value

    def _check_parameters(self, parameters: list[Parameter]) -> SetParametersResult:
        for parameter in parameters:
            if parameter.name == "task" and len(parameter.value) > MAX_TASK_LENGTH:
                reason = f"task has {len(parameter.value)} characters, {MAX_TASK_LENGTH} are allowed"
                return SetParametersResult(successful=False, reason=reason)
        return SetParametersResult(successful=True)

    def _wanted(self) -> list[Wanted]:
        by_topic: dict[tuple[str, str], list[str]] = {}
        for name, stream in self.contract.streams.items():
            by_topic.setdefault((stream.topic, stream.type), []).append(name)
        wanted = []
        for (topic, kind), names in by_topic.items():
            depth = IMAGE_DEPTH if names[0] in self.contract.cameras else VALUE_DEPTH
            wanted.append(Wanted(topic, kind, depth, partial(self._on_message, names)))
        for topic, camera in self.contract.info_topics.items():
            wanted.append(Wanted(topic, CAMERA_INFO, 1, partial(self.recorder.info, camera)))
        return wanted

    def _on_message(self, streams: list[str], message: object) -> None:
        received_ns = self.get_clock().now().nanoseconds
        for stream in streams:
            self.recorder.message(stream, message, received_ns)

    def _on_start(self, request: Trigger.Request, response: Trigger.Response) -> Trigger.Response:
        try:
            self.recorder.start(self._value("task"), self.get_clock().now().nanoseconds)
        except M2IVError as error:
            self._topics.update()  # right after the node's start nobody may have looked yet
            return answer(self, response, False, "; ".join([str(error), *self._troubles()]))
        return answer(self, response, True, f"recording; task: {self._value('task') or 'none'}")

    async def _on_stop(self, request: Trigger.Request, response: Trigger.Response) -> Trigger.Response:
        try:
            outcome = self.recorder.stop(self.get_clock().now().nanoseconds)
            episode = await self._awaitable(outcome)
        except M2IVError as error:
            return answer(self, response, False, str(error))
        return answer(self, response, True, f"saving: {episode.report['summary']}")

    def _on_discard(self, request: Trigger.Request, response: Trigger.Response) -> Trigger.Response:
        try:
            return answer(self, response, True, self.recorder.discard())
        except M2IVError as error:
            return answer(self, response, False, str(error))

    def _awaitable(self, outcome: Outcome) -> Future:
        """The outcome of another thread as something that a callback can await while others go on."""
        future = Future(executor=self.executor)

        def settle(done: Outcome) -> None:
            error = done.exception()
            if error is None:
                future.set_result(done.result())
            else:
                future.set_exception(error)

        outcome.add_done_callback(settle)
        return future

    def _troubles(self) -> list[str]:
        return [f"{topic}: {why}" for topic, why in self._topics.troubles.items()]

    def _log_saved(self, saved: SavedEpisode) -> None:
        if saved.error:
            self.get_logger().error(f"not saved: {saved.error}")
        else:
            self.get_logger().info(f"episode {saved.index} is in {self.recorder.root}: {saved.summary}")

    def _on_timer(self) -> None:
        self._topics.update()
        self._ticks += 1
        if self._ticks % STATUS_EVERY:
            return
        self._report()

    def _report(self) -> None:
        found, troubles = self.recorder.status(), self._troubles()
        silent = [name for name, rate in found.rates_hz.items() if rate == 0 and name in self.contract.cameras]
        level, message = DiagnosticStatus.OK, "recording" if found.recording else "idle"
        if troubles or silent or found.lost_messages:
            level = DiagnosticStatus.WARN
            lost = [f"{found.lost_messages} messages lost"] if found.lost_messages else []
            message += ": " + "; ".join([*troubles, *(f"{name} is silent" for name in silent), *lost])
        values = {
            "frames": found.frames,
            "episodes waiting": found.waiting,
            "episodes saved": found.saved,
            "messages waiting": found.queued,
            "messages lost": found.lost_messages,
            "last episode": found.last,
            "dataset": self.recorder.root,
            "robot": self.contract.config.robot_type,
            **{f"{name} Hz": rate for name, rate in found.rates_hz.items()},
        }
        self._reporter.report(level, message, values)


def main(args: list[str] | None = None) -> int:
    """Run the node until it is interrupted; returns the exit status."""
    return run_node(RecorderNode, args)


if __name__ == "__main__":
    sys.exit(main())
