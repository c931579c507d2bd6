"""Running a node until Ctrl-C, and ending it in the order that ROS wants."""

import os
import signal
import sys
import threading
from collections.abc import Callable, MutableMapping
from types import FrameType
from typing import Protocol

import rclpy
from rclpy.executors import ExternalShutdownException, SingleThreadedExecutor
from rclpy.signals import SignalHandlerOptions

from m2iv_robot.errors import M2IVError

FAILED = 1
HEARD_WITHIN_S = 0.5
# Fast DDS hands a picture over in parts. By default its buffers hold less than one of 640x480, and parts are lost
# whenever this process is not scheduled at once; these hold several, as far as net.core.rmem_max allows (docs/ros.md).
TRANSPORTS, ROOMY = "FASTDDS_BUILTIN_TRANSPORTS", "UDPv4?sockets_size=4MB"
PROFILES = ("FASTRTPS_DEFAULT_PROFILES_FILE", "FASTDDS_DEFAULT_PROFILES_FILE")


class ClosableNode(Protocol):
    """A node that has something to finish."""

    def stop(self) -> None:
        """Give up what a callback waits for; called in the middle of anything."""

    def close(self) -> None:
        """Finish; topics and logs still work."""

    def destroy_node(self) -> None:
        """Every node's own."""


def make_room(environment: MutableMapping[str, str]) -> None:
    """Ask for buffers that hold raw images, unless somebody has asked for something else."""
    if not any(name in environment for name in PROFILES):
        environment.setdefault(TRANSPORTS, ROOMY)


def run_node(make: Callable[[], ClosableNode], args: list[str] | None) -> int:
    """Make the node and spin it; returns the exit status.

    SIGINT and SIGTERM only set a flag: rclpy's own handlers would end the context before the node could be closed, and
    Python's would raise in the middle of a message's conversion.
    """
    make_room(os.environ)
    rclpy.init(args=args, signal_handler_options=SignalHandlerOptions.NO)
    stopped, nodes = threading.Event(), []

    def stop(number: int, frame: FrameType | None) -> None:
        stopped.set()
        for node in nodes:
            node.stop()

    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, stop)
    executor = SingleThreadedExecutor()
    try:
        nodes.append(make())
        executor.add_node(nodes[0])
        while not stopped.is_set():
            executor.spin_once(timeout_sec=HEARD_WITHIN_S)
    except ExternalShutdownException:
        pass
    except M2IVError as error:
        sys.stderr.write(f"{error}\n")
        return FAILED
    finally:
        for node in nodes:
            node.close()
        executor.shutdown()
        for node in nodes:
            node.destroy_node()
        rclpy.try_shutdown()
    return 0
