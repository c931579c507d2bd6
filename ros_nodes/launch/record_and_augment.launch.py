"""A USB camera, the recorder and the augmenter together: record episodes, and ask for synthetic ones from them."""

from launch import LaunchDescription
from launch.actions import DeclareLaunchArgument, IncludeLaunchDescription
from launch.conditions import IfCondition
from launch.launch_description_sources import PythonLaunchDescriptionSource
from launch.substitutions import LaunchConfiguration, PathJoinSubstitution
from launch_ros.actions import Node
from launch_ros.parameter_descriptions import ParameterFile
from launch_ros.substitutions import FindPackageShare

SHARE = FindPackageShare("m2iv_robot")
CAMERA_PARAMETERS = PathJoinSubstitution([SHARE, "config", "usb_cam.yaml"])


def generate_launch_description() -> LaunchDescription:
    """usb_cam as /front (unless camera_driver:=false), record.launch.py and augment.launch.py."""
    data_root, dataset = LaunchConfiguration("data_root"), LaunchConfiguration("dataset")
    driver = Node(
        package="usb_cam",
        executable="usb_cam_node_exe",
        name="usb_cam",
        namespace="front",
        parameters=[
            ParameterFile(LaunchConfiguration("camera_params"), allow_substs=True),
            {"video_device": LaunchConfiguration("video_device")},
        ],
        condition=IfCondition(LaunchConfiguration("camera_driver")),
    )
    record = {
        "contract": LaunchConfiguration("contract"),
        "root": PathJoinSubstitution([data_root, dataset]),
        "task": LaunchConfiguration("task"),
    }
    augment = {
        "data_root": data_root,
        "output_root": LaunchConfiguration("output_root"),
        "dataset": dataset,
        "device": LaunchConfiguration("device"),
        "image": "/front/image_raw",
    }
    return LaunchDescription([*_arguments(), driver, _included("record", record), _included("augment", augment)])


def _included(name: str, arguments: dict) -> IncludeLaunchDescription:
    source = PythonLaunchDescriptionSource(PathJoinSubstitution([SHARE, "launch", f"{name}.launch.py"]))
    return IncludeLaunchDescription(source, launch_arguments=arguments.items())


def _arguments() -> list[DeclareLaunchArgument]:
    return [
        DeclareLaunchArgument("camera_driver", default_value="true", description="Start usb_cam for the fixed camera"),
        DeclareLaunchArgument("video_device", default_value="/dev/video0", description="The camera's device"),
        DeclareLaunchArgument(
            "camera_params", default_value=CAMERA_PARAMETERS, description="usb_cam's parameters, YAML"
        ),
        DeclareLaunchArgument(
            "contract", default_value="so101", description="Contract: a YAML file, or so101, ur5e_robotiq"
        ),
        DeclareLaunchArgument("data_root", description="Folder that holds the recorded datasets"),
        DeclareLaunchArgument("dataset", description="Name of the dataset in it that is recorded and augmented"),
        DeclareLaunchArgument("output_root", description="Folder that holds the synthetic datasets"),
        DeclareLaunchArgument("task", default_value="", description="What the robot does, in words"),
        DeclareLaunchArgument("device", default_value="", description="cpu or cuda; empty takes a GPU if there is one"),
    ]
