"""Parameters of augmenter_node: what they are, their ranges, and the request that they make."""

from pathlib import Path

from rcl_interfaces.msg import FloatingPointRange, IntegerRange, ParameterDescriptor
from rclpy.lifecycle import LifecycleNode
from rclpy.parameter import Parameter

from m2iv_robot.requests.request import KINDS, AugmentRequest
from ros_nodes.clicks import Clicks

MAX_TEXT_LENGTH = 1000
RECORDED, LIVE = "recorded", "live"
CHOICES = {"kind": KINDS, "source": (RECORDED, LIVE)}
FIXED = {  # name -> default, what it is
    "data_root": ("", "Datasets are read below this folder alone"),
    "output_root": ("", "Datasets are written below this folder alone"),
    "base_frame": ("base_link", "Frame of the robot's base, for markers"),
    "camera_frame": ("camera_optical", "Frame of the camera's pixels"),
    "device": ("", "cpu, cuda, cuda:1; empty takes a GPU if there is one"),
    "trajectory_weights": ("", "Weights of the mask network; empty takes those that ship"),
    "video_weights": ("", "Weights of the video network; empty takes those that ship"),
    "segmentation": ("learned", "Segmenter: learned, motion or grounded_sam2"),
    "masks": ("warped", "Masks of the arm: warped (a real one, bent to the plan) or network"),
    "renderer": ("network", "Frames: network, or cut_and_paste (real pixels alone)"),
    "robot": ("auto", "Description of the robot, a file of configs/robot; auto tells it from the dataset"),
    "camera_fit": ("default", "Settings of the camera fit, a file of configs/camera_fit"),
}
REQUESTED = {
    "dataset": ("", "Folder of the recorded dataset, below data_root"),
    "output": ("synthetic", "Folder of the dataset that takes the new episodes, below output_root"),
    "camera": ("observation.images.front", "The fixed camera, by its feature"),
    "task": ("", "What the robot does in the new episodes, in words; empty as recorded"),
    "kind": ("start", "Which end of the motion is moved: start or goal"),
    "object_text": ("", "What the object is, in words; needs a segmenter that reads them"),
}
WHOLE = {  # name -> default, least, most, fixed, what it is
    "queue_limit": (4, 0, 100, True, "Requests that may wait"),
    "max_count": (100, 1, 100000, True, "Episodes that one request may ask for"),
    "episode": (0, 0, 10_000_000, False, "Episode of the dataset to start from"),
    "count": (1, 1, 100000, False, "Episodes to make"),
    "seed": (0, 0, 2**31 - 1, False, "Seed of the next request"),
    "prompt_frame": (0, 0, 10_000_000, False, "Frame of the episode that click, box and mask are of"),
}


def declare(node: LifecycleNode) -> None:
    """Declare all parameters of the node."""
    for name, (default, text) in FIXED.items():
        node.declare_parameter(name, default, ParameterDescriptor(description=text, read_only=True))
    for name, (default, text) in REQUESTED.items():
        node.declare_parameter(name, default, ParameterDescriptor(description=text))
    for name, (default, least, most, fixed, text) in WHOLE.items():
        span = IntegerRange(from_value=least, to_value=most, step=1)
        description = ParameterDescriptor(description=text, read_only=fixed, integer_range=[span])
        node.declare_parameter(name, default, description)
    source = ParameterDescriptor(description="Where the object is looked for: in the recorded episode, or live")
    node.declare_parameter("source", RECORDED, source)
    box = ParameterDescriptor(description="Box around the object: left, top, right, bottom in pixels; one number: none")
    node.declare_parameter("object_box", [0.0], box)
    seconds = FloatingPointRange(from_value=1.0, to_value=3600.0)
    gate = ParameterDescriptor(description="Whether episodes are judged before they are written", read_only=True)
    node.declare_parameter("gate", True, gate)
    load = ParameterDescriptor(description="How long loading the models may take, s", floating_point_range=[seconds])
    node.declare_parameter("load_timeout_s", 300.0, load)


def trouble_with(parameter: Parameter) -> str:
    """Why a new value cannot be taken; "" where it can."""
    name, value = parameter.name, parameter.value
    if name in CHOICES and value not in CHOICES[name]:
        return f"{name} must be one of {', '.join(CHOICES[name])}, got {value!r}"
    if name == "object_box" and len(value) not in (0, 1, 4):
        return f"object_box needs left, top, right and bottom, got {len(value)} numbers"
    if isinstance(value, str) and len(value) > MAX_TEXT_LENGTH:
        return f"{name} has {len(value)} characters, {MAX_TEXT_LENGTH} are allowed"
    return ""


def request_from(node: LifecycleNode, clicks: Clicks) -> AugmentRequest:
    """The request that parameters and clicks make now."""
    names = (*REQUESTED, "episode", "count", "seed", "prompt_frame")
    given = {name: node.get_parameter(name).value for name in names}
    box = list(node.get_parameter("object_box").value)
    pointed = bool(clicks.object_xy or clicks.object_mask)
    return AugmentRequest(
        object_xy=list(clicks.object_xy),
        object_mask=clicks.object_mask,
        object_box=box if len(box) == 4 and not pointed else [],
        goal_xy=list(clicks.goal_xy),
        **given,
    )


def settings_from(node: LifecycleNode, scratch: Path) -> dict:
    """What the generator's process is started with."""
    names = ["gate", *(name for name in FIXED if not name.endswith("_frame"))]
    settings = {name: node.get_parameter(name).value for name in names}
    return {**settings, "preview_folder": str(scratch)}
