"""Running a node until Ctrl-C, and ending it in the order that ROS wants."""

import signal
import sys
from collections.abc import Callable
from typing import Protocol

import rclpy
from rclpy.executors import ExternalShutdownException, SingleThreadedExecutor
from rclpy.signals import SignalHandlerOptions

from m2iv_robot.errors import M2IVError

FAILED = 1


class ClosableNode(Protocol):
    """A node that has something to finish."""

    def close(self) -> None:
        """Finish it; topics and logs still work."""

    def destroy_node(self) -> None:
        """Every node's own."""


def run_node(make: Callable[[], ClosableNode], args: list[str] | None) -> int:
    """Make the node and spin it; returns the exit status.

    SIGINT and SIGTERM are Python's here: rclpy's handlers would end the context before the node could be closed. The
    nodes' timers wake the executor often enough for them to be heard at once.
    """
    rclpy.init(args=args, signal_handler_options=SignalHandlerOptions.NO)
    for number in (signal.SIGINT, signal.SIGTERM):  # a shell's background job has SIGINT ignored unless it is set here
        signal.signal(number, signal.default_int_handler)
    executor, node = SingleThreadedExecutor(), None
    try:
        node = make()
        executor.add_node(node)
        executor.spin()
    except (KeyboardInterrupt, ExternalShutdownException):
        pass
    except M2IVError as error:
        sys.stderr.write(f"{error}\n")
        return FAILED
    finally:
        if node is not None:
            node.close()
        executor.shutdown()
        if node is not None:
            node.destroy_node()
        rclpy.try_shutdown()
    return 0
