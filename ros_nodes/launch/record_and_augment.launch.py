"""A USB camera, the recorder and the augmenter together: record episodes, and ask for synthetic ones from them."""

from launch import LaunchDescription
from launch.actions import DeclareLaunchArgument, IncludeLaunchDescription
from launch.conditions import IfCondition
from launch.launch_description_sources import PythonLaunchDescriptionSource
from launch.substitutions import LaunchConfiguration, PathJoinSubstitution
from launch_ros.actions import Node
from launch_ros.parameter_descriptions import ParameterFile

from ros_nodes.launching import SHARE, arguments, file_argument

ARGUMENTS = ("camera_driver", "video_device", "contract", "data_root", "output_root", "task", "device")
FILES = {"camera_params": "usb_cam.yaml", "recorder_params": "recorder.yaml", "augmenter_params": "augmenter.yaml"}


def generate_launch_description() -> LaunchDescription:
    """usb_cam as /front (unless camera_driver:=false), record.launch.py and augment.launch.py."""
    given = {name: LaunchConfiguration(name) for name in ("dataset", *ARGUMENTS, *FILES)}
    driver = Node(
        package="usb_cam",
        executable="usb_cam_node_exe",
        name="usb_cam",
        namespace="front",
        parameters=[
            ParameterFile(given["camera_params"], allow_substs=True),
            {"video_device": given["video_device"]},
        ],
        condition=IfCondition(given["camera_driver"]),
    )
    record = {
        "params_file": given["recorder_params"],  # said to both: what one include sets, the next one sees
        "contract": given["contract"],
        "root": PathJoinSubstitution([given["data_root"], given["dataset"]]),
        "task": given["task"],
    }
    augment = {name: given[name] for name in ("data_root", "output_root", "dataset", "device")}
    augment["params_file"] = given["augmenter_params"]
    dataset = DeclareLaunchArgument("dataset", description="Name of the dataset that is recorded, below data_root")
    declared = [*(file_argument(name, file) for name, file in FILES.items()), dataset, *arguments(*ARGUMENTS)]
    return LaunchDescription([*declared, driver, _included("record", record), _included("augment", augment)])


def _included(name: str, given: dict) -> IncludeLaunchDescription:
    source = PythonLaunchDescriptionSource(PathJoinSubstitution([SHARE, "launch", f"{name}.launch.py"]))
    return IncludeLaunchDescription(source, launch_arguments=given.items())
