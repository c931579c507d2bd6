"""What the launch files share; needs a ROS install, which brings `launch` and `launch_ros`."""

from launch.actions import DeclareLaunchArgument
from launch.substitutions import LaunchConfiguration, PathJoinSubstitution
from launch_ros.parameter_descriptions import ParameterFile, ParameterValue
from launch_ros.substitutions import FindPackageShare

SHARE = FindPackageShare("m2iv_robot")
DESCRIBED = {  # argument -> default (None: it must be given), what it is
    "namespace": ("", "Namespace of the node"),
    "use_sim_time": ("false", "Take the time from /clock"),
    "log_level": ("info", "debug, info, warn or error"),
    "autostart": ("true", "Configure and activate the node"),
    "contract": ("so101", "Contract: a YAML file, or so101, ur5e_robotiq"),
    "root": (None, "Folder of the LeRobot dataset; made if need be"),
    "task": ("", "What the robot does, in words"),
    "image": ("/front/image_raw", "Topic of the fixed camera"),
    "data_root": (None, "Folder that holds the recorded datasets"),
    "output_root": (None, "Folder that holds the synthetic datasets"),
    "dataset": ("", "Name of the recorded dataset in data_root"),
    "camera": ("observation.images.front", "Its fixed camera"),
    "device": ("", "cpu or cuda; empty takes a GPU if there is one"),
    "camera_driver": ("true", "Start usb_cam for the fixed camera"),
    "video_device": ("/dev/video0", "The camera's device"),
}


def arguments(*names: str) -> list[DeclareLaunchArgument]:
    """Declarations of the arguments of these names."""
    declared = []
    for name in names:
        default, text = DESCRIBED[name]
        declared.append(DeclareLaunchArgument(name, default_value=default, description=text))
    return declared


def file_argument(name: str, file: str) -> DeclareLaunchArgument:
    """An argument for a parameter file; `file` is the one that ships."""
    shipped = PathJoinSubstitution([SHARE, "config", file])
    return DeclareLaunchArgument(name, default_value=shipped, description=f"Parameters in YAML, as in {file}")


def node_settings(name: str, texts: tuple[str, ...]) -> dict:
    """What both nodes are started with: the parameter file, then the arguments `texts`, which win over it."""
    values = {text: ParameterValue(LaunchConfiguration(text), value_type=str) for text in texts}
    sim_time = ParameterValue(LaunchConfiguration("use_sim_time"), value_type=bool)
    return {
        "package": "m2iv_robot",
        "executable": name,
        "name": name,
        "namespace": LaunchConfiguration("namespace"),
        "output": "screen",
        "parameters": [
            ParameterFile(LaunchConfiguration("params_file"), allow_substs=True),
            {**values, "use_sim_time": sim_time},
        ],
        "arguments": ["--ros-args", "--log-level", LaunchConfiguration("log_level")],
    }
