"""ROS processes for tests, and a client that talks to them: real rclpy over real DDS, in a domain of their own."""

import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

TIMEOUT_S = float(os.environ.get("ROS_TEST_TIMEOUT_S", "60"))  # for one step; more for a machine that is very busy
RANGE = "ROS_AUTOMATIC_DISCOVERY_RANGE"
MATCHED_S = 0.5  # after a service is found, until it has found the client too: an answer before is lost


class Processes:
    """Processes of one test; all are ended with it."""

    def __init__(self, folder: Path, domain: int, discovery: str = "LOCALHOST") -> None:
        self.folder = folder
        self.environment = os.environ | {
            "ROS_DOMAIN_ID": str(domain),
            RANGE: discovery,
            "ROS_LOG_DIR": str(folder / "ros_log"),
            "PYTHONUNBUFFERED": "1",
            "PYTHONPATH": os.pathsep.join([str(Path(__file__).parent.parent), str(Path(__file__).parent)]),
        }
        self._running: list[subprocess.Popen] = []

    def start(self, name: str, *arguments: str) -> subprocess.Popen:
        """Run `python -m name arguments`; what it says goes to a file that `said` reads."""
        with open(self._log(name), "ab") as log:
            process = subprocess.Popen(
                [sys.executable, "-m", name, *arguments],
                env=self.environment,
                stdin=subprocess.PIPE,
                stdout=log,
                stderr=subprocess.STDOUT,
                cwd=self.folder,
            )
        self._running.append(process)
        return process

    def said(self, name: str) -> str:
        """What the processes of this name have said."""
        path = self._log(name)
        return path.read_text() if path.is_file() else ""

    def close(self) -> None:
        """End what still runs."""
        for process in self._running:
            if process.poll() is None:
                process.kill()
            process.wait()
            process.stdin.close()

    def _log(self, name: str) -> Path:
        return self.folder / f"{name}.log"


def node_parameters(**values: object) -> list[str]:
    """Command line arguments that set a node's parameters."""
    arguments = ["--ros-args"]
    for name, value in values.items():
        text = str(value).lower() if isinstance(value, bool) else f"'{value}'" if isinstance(value, str) else str(value)
        arguments += ["-p", f"{name}:={text}"]
    return arguments


class Client:
    """A node in this process that calls services, publishes, and keeps the latest message of topics."""

    def __init__(self, domain: int, discovery: str = "LOCALHOST") -> None:
        os.environ[RANGE] = discovery
        import rclpy
        from rclpy.executors import SingleThreadedExecutor

        self.context = rclpy.Context()
        rclpy.init(context=self.context, domain_id=domain)
        self.node = rclpy.create_node("test_client", context=self.context)
        self.executor = SingleThreadedExecutor(context=self.context)
        self.executor.add_node(self.node)
        self.heard: dict[str, list] = {}
        self._clients: dict[str, object] = {}
        self._thread = threading.Thread(target=self.executor.spin, daemon=True)
        self._thread.start()

    def call(self, kind: type, name: str, request: object = None, timeout_s: float = TIMEOUT_S) -> object:
        """Call a service and return its answer."""
        if name not in self._clients:
            self._clients[name] = self.node.create_client(kind, name)
            assert self._clients[name].wait_for_service(timeout_s), f"no service {name}"
            time.sleep(MATCHED_S)
        client = self._clients[name]
        assert client.wait_for_service(timeout_s), f"no service {name}"
        future = client.call_async(request or kind.Request())
        wait_until(future.done, timeout_s, f"an answer of {name}")
        return future.result()

    def listen(self, kind: type, topic: str, profile: object) -> None:
        """Keep the messages of a topic."""
        self.heard[topic] = []
        self.node.create_subscription(kind, topic, self.heard[topic].append, profile)

    def close(self) -> None:
        """End in the order that ROS wants."""
        import rclpy

        self.executor.shutdown()
        self._thread.join()
        self.node.destroy_node()
        rclpy.try_shutdown(context=self.context)


class Recording:
    """The services and the status of a running recorder_node."""

    NODE = "/recorder_node"

    def __init__(self, client: Client) -> None:
        from diagnostic_msgs.msg import DiagnosticStatus
        from rclpy.qos import DurabilityPolicy, QoSProfile

        self._client = client
        profile = QoSProfile(depth=1, durability=DurabilityPolicy.TRANSIENT_LOCAL)
        client.listen(DiagnosticStatus, f"{self.NODE}/status", profile)

    def trigger(self, name: str) -> object:
        """Call start, stop or discard."""
        from std_srvs.srv import Trigger

        return self._client.call(Trigger, f"{self.NODE}/{name}")

    def start_when_all_arrive(self) -> None:
        """Begin an episode as soon as no stream is missing."""
        end = time.monotonic() + TIMEOUT_S
        while not (answer := self.trigger("start")).success:
            assert time.monotonic() < end, answer.message
            time.sleep(0.05)

    def status(self, key: str) -> str:
        """The latest value, "" before there is one."""
        heard = self._client.heard[f"{self.NODE}/status"]
        return {entry.key: entry.value for entry in heard[-1].values}.get(key, "") if heard else ""

    @property
    def frames(self) -> int:
        """Of the current episode."""
        return int(self.status("frames") or 0)


def wait_until(condition, timeout_s: float = TIMEOUT_S, what: str = "a condition") -> None:
    """Wait for it, or fail."""
    end = time.monotonic() + timeout_s
    while not condition():
        assert time.monotonic() < end, f"waited {timeout_s:g} s in vain for {what}"
        time.sleep(0.02)


def interrupt(process: subprocess.Popen, timeout_s: float = TIMEOUT_S) -> int:
    """What Ctrl-C does; returns the exit status."""
    process.send_signal(signal.SIGINT)
    return process.wait(timeout_s)
