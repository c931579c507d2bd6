"""Subscribing as the publishers offer it: their type is checked and their quality of service matched."""

import importlib
from collections.abc import Callable
from dataclasses import dataclass

from rclpy.node import Node
from rclpy.qos import DurabilityPolicy, HistoryPolicy, QoSProfile, ReliabilityPolicy


def message_class(kind: str) -> type:
    """The class of a message type such as "sensor_msgs/msg/Image".

    Raises:
        ModuleNotFoundError: the package that defines it is not installed.
    """
    package, _, name = kind.rpartition("/")
    return getattr(importlib.import_module(package.replace("/", ".")), name)


@dataclass(frozen=True)
class Wanted:
    """A topic to subscribe to once somebody publishes it."""

    topic: str
    kind: str
    depth: int  # messages kept while this node is busy
    callback: Callable[[object], None]


class Subscriptions:
    """Subscriptions that wait for their publishers; call `update` now and then."""

    def __init__(self, node: Node, wanted: list[Wanted]) -> None:
        """Nothing is subscribed yet."""
        self._node = node
        self._wanted = list(wanted)
        self.troubles: dict[str, str] = {}  # topic -> why it is not subscribed

    def update(self) -> None:
        """Subscribe to what is published by now."""
        self._wanted = [wanted for wanted in self._wanted if not self._subscribe(wanted)]

    def _subscribe(self, wanted: Wanted) -> bool:
        publishers = self._node.get_publishers_info_by_topic(self._node.resolve_topic_name(wanted.topic))
        if not publishers:
            self.troubles[wanted.topic] = "nobody publishes it"
            return False
        kinds = {publisher.topic_type for publisher in publishers}
        if wanted.kind not in kinds:
            self.troubles[wanted.topic] = f"it is {', '.join(sorted(kinds))}, not {wanted.kind}"
            return False
        offered = [publisher.qos_profile for publisher in publishers if publisher.topic_type == wanted.kind]
        reliable = all(qos.reliability == ReliabilityPolicy.RELIABLE for qos in offered)
        lasting = all(qos.durability == DurabilityPolicy.TRANSIENT_LOCAL for qos in offered)
        profile = QoSProfile(
            history=HistoryPolicy.KEEP_LAST,
            depth=wanted.depth,
            reliability=ReliabilityPolicy.RELIABLE if reliable else ReliabilityPolicy.BEST_EFFORT,
            durability=DurabilityPolicy.TRANSIENT_LOCAL if lasting else DurabilityPolicy.VOLATILE,
        )
        self._node.create_subscription(message_class(wanted.kind), wanted.topic, wanted.callback, profile)
        self.troubles.pop(wanted.topic, None)
        return True
