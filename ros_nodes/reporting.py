"""What both nodes tell: the answer of a service, ~/status and /diagnostics."""

from diagnostic_msgs.msg import DiagnosticArray, DiagnosticStatus, KeyValue
from rclpy.node import Node
from rclpy.qos import DurabilityPolicy, QoSProfile, ReliabilityPolicy
from std_srvs.srv import Trigger

LASTING = QoSProfile(depth=1, reliability=ReliabilityPolicy.RELIABLE, durability=DurabilityPolicy.TRANSIENT_LOCAL)


def answer(node: Node, response: Trigger.Response, success: bool, message: str) -> Trigger.Response:
    """Fill in the answer of a service, and log it."""
    response.success, response.message = success, message
    log = node.get_logger()
    if success:  # two lines: a logger's call has one severity for good
        log.info(message)
    else:
        log.warning(message)
    return response


class Reporter:
    """Publishers of ~/status and /diagnostics."""

    def __init__(self, node: Node, part: str) -> None:
        """`part` is what of the node is reported on."""
        self._node = node
        self._name = f"{node.get_fully_qualified_name()}: {part}"
        self._status = node.create_publisher(DiagnosticStatus, "~/status", LASTING)
        self._diagnostics = node.create_publisher(DiagnosticArray, "/diagnostics", 10)

    def report(self, level: bytes, message: str, values: dict[str, object], diagnose: bool = True) -> None:
        """Publish the status, and with `diagnose` the diagnostics too."""
        pairs = [KeyValue(key=key, value=str(value)) for key, value in values.items()]
        status = DiagnosticStatus(level=level, name=self._name, message=message, values=pairs)
        self._status.publish(status)
        if diagnose:
            array = DiagnosticArray(status=[status])
            array.header.stamp = self._node.get_clock().now().to_msg()
            self._diagnostics.publish(array)
