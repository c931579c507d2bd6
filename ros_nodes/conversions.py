"""Arrays to ROS messages, and what a person clicked to pixels; no node, no rclpy."""

import array

import cv2
import numpy as np
from geometry_msgs.msg import Point
from jaxtyping import Bool, Float, UInt8
from sensor_msgs.msg import CompressedImage, Image, JointState
from std_msgs.msg import ColorRGBA, Header
from visualization_msgs.msg import Marker, MarkerArray

ACTOR_LEVEL, OBJECT_LEVEL = 100, 200  # grey levels of a mask image: to be told apart by eye and by program
JPEG_QUALITY = 90


def image_message(pixels: UInt8[np.ndarray, "h w 3"], header: Header) -> Image:
    """RGB pixels as rgb8."""
    return _raw(np.ascontiguousarray(pixels), "rgb8", header)


def mask_message(actor: Bool[np.ndarray, "h w"], held: Bool[np.ndarray, "h w"], header: Header) -> Image:
    """Masks as mono8: 0 background, 100 robot, 200 object."""
    levels = np.where(held, OBJECT_LEVEL, np.where(actor, ACTOR_LEVEL, 0)).astype(np.uint8)
    return _raw(levels, "mono8", header)


def compressed_message(pixels: UInt8[np.ndarray, "h w 3"], header: Header) -> CompressedImage:
    """RGB pixels as jpeg."""
    bgr = np.ascontiguousarray(pixels[:, :, ::-1])
    _, data = cv2.imencode(".jpg", bgr, [cv2.IMWRITE_JPEG_QUALITY, JPEG_QUALITY])
    message = CompressedImage(header=header, format="rgb8; jpeg compressed bgr8")
    message.data = array.array("B", data.tobytes())  # anything else is copied byte by byte
    return message


def joint_state_message(names: list[str], row: Float[np.ndarray, " s"], header: Header) -> JointState:
    """A state as joint positions, in the dataset's own units."""
    return JointState(header=header, name=list(names), position=[float(value) for value in row])


def path_markers(path_m: Float[np.ndarray, "t 3"], held: tuple[int, int], header: Header) -> MarkerArray:
    """The gripper's path in the base frame: a line, with balls where the object is grasped and let go."""
    line = _marker(header, 0, Marker.LINE_STRIP, ColorRGBA(r=0.1, g=0.7, b=0.2, a=0.9))
    line.scale.x = 0.005
    line.points = [_point(place) for place in path_m]
    balls = []
    for number, frame in enumerate(held):
        ball = _marker(header, number + 1, Marker.SPHERE, ColorRGBA(r=0.9, g=0.2, b=0.1, a=0.9))
        ball.scale.x = ball.scale.y = ball.scale.z = 0.02
        ball.pose.position = _point(path_m[min(max(frame, 0), len(path_m) - 1)])
        balls.append(ball)
    return MarkerArray(markers=[line, *balls])


def _raw(pixels: np.ndarray, encoding: str, header: Header) -> Image:
    message = Image(header=header, encoding=encoding, height=pixels.shape[0], width=pixels.shape[1])
    message.step = pixels.strides[0]
    message.data = array.array("B", pixels.tobytes())
    return message


def _marker(header: Header, number: int, kind: int, colour: ColorRGBA) -> Marker:
    marker = Marker(header=header, ns="synthetic", id=number, type=kind, action=Marker.ADD, color=colour)
    marker.pose.orientation.w = 1.0
    return marker


def _point(place: np.ndarray) -> Point:
    return Point(x=float(place[0]), y=float(place[1]), z=float(place[2]))
