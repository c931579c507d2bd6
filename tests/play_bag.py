"""`python -m play_bag BAG RATE`: publish a bag over DDS with its clock, as `ros2 bag play --clock` does.

Waits until every topic has a subscriber; the messages go out as they are in the bag, byte for byte.
"""

import sys
import time
from pathlib import Path

import rclpy
from made_bags import NS
from rclpy.qos import QoSProfile
from rosbags.highlevel import AnyReader
from rosgraph_msgs.msg import Clock

from ros_nodes.subscriptions import message_class

CLOCK_STEP_NS = NS // 50
LATE_S = 0.02


def publish(publisher, stamp_ns: int) -> None:
    message = Clock()
    message.clock.sec, message.clock.nanosec = divmod(stamp_ns, NS)
    publisher.publish(message)


def main(bag: str, rate: str) -> int:
    with AnyReader([Path(bag)]) as reader:
        kinds = {connection.topic: connection.msgtype for connection in reader.connections}
        messages = [(logged_ns, connection.topic, data) for connection, logged_ns, data in reader.messages()]
    rclpy.init()
    node = rclpy.create_node("bag_player")
    clock = node.create_publisher(Clock, "/clock", 10)
    publishers = {
        topic: node.create_publisher(message_class(kind), topic, QoSProfile(depth=2000 if "joint" in topic else 100))
        for topic, kind in kinds.items()
    }
    first_ns = messages[0][0]
    while not all(publisher.get_subscription_count() for publisher in publishers.values()):
        publish(clock, first_ns)
        time.sleep(0.05)
    time.sleep(0.5)
    started, told_ns = time.monotonic(), 0
    for logged_ns, topic, data in messages:
        wait_s = (logged_ns - first_ns) / NS / float(rate) - (time.monotonic() - started)
        if wait_s > 0:
            time.sleep(wait_s)
        elif wait_s < -LATE_S:
            started -= wait_s  # no burst to catch up
        if logged_ns - told_ns >= CLOCK_STEP_NS:
            publish(clock, logged_ns)
            told_ns = logged_ns
        publishers[topic].publish(data)
    publish(clock, messages[-1][0])
    for publisher in publishers.values():
        publisher.wait_for_all_acked(rclpy.duration.Duration(seconds=20))
    print("played", flush=True)
    sys.stdin.read()  # publishers stay until the test has what it wants
    node.destroy_node()
    rclpy.try_shutdown()
    return 0


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
