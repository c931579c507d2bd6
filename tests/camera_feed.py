"""`python -m camera_feed TOPIC FPS`: a camera of 640x480 that publishes reliably until its input ends.

Says each second how many pictures it has published in it: on a busy machine fewer than it was asked for.
"""

import sys
import threading
import time

import numpy as np
import rclpy
from sensor_msgs.msg import Image
from std_msgs.msg import Header

from ros_nodes.conversions import image_message


def main(topic: str, fps: str) -> int:
    rclpy.init()
    node = rclpy.create_node("camera_feed")
    publisher = node.create_publisher(Image, topic, 10)
    ended = threading.Event()
    threading.Thread(target=lambda: (sys.stdin.read(), ended.set()), daemon=True).start()
    message = image_message(np.random.default_rng(0).integers(0, 255, (480, 640, 3), dtype=np.uint8), Header())
    due = told = time.monotonic()
    published = 0
    while not ended.is_set():
        message.header.stamp = node.get_clock().now().to_msg()
        publisher.publish(message)
        published += 1
        if time.monotonic() - told >= 1:
            print(f"{published / (time.monotonic() - told):.1f}", flush=True)
            told, published = time.monotonic(), 0
        due = max(due + 1 / float(fps), time.monotonic() - 0.2)
        time.sleep(max(0.0, due - time.monotonic()))
    node.destroy_node()
    rclpy.try_shutdown()
    return 0


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
