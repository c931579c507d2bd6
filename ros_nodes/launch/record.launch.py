"""Record episodes: `ros2 launch m2iv_robot record.launch.py contract:=so101 root:=$HOME/datasets/cups task:="..."`."""

from launch import LaunchDescription
from launch.actions import DeclareLaunchArgument
from launch.substitutions import LaunchConfiguration, PathJoinSubstitution
from launch_ros.actions import Node
from launch_ros.parameter_descriptions import ParameterFile, ParameterValue
from launch_ros.substitutions import FindPackageShare

PARAMETERS = PathJoinSubstitution([FindPackageShare("m2iv_robot"), "config", "recorder.yaml"])


def generate_launch_description() -> LaunchDescription:
    """The recorder with its parameters; those given as arguments win over the file."""
    arguments = [
        DeclareLaunchArgument("params_file", default_value=PARAMETERS, description="Parameters of the node, YAML"),
        DeclareLaunchArgument("namespace", default_value="", description="Namespace of the node"),
        DeclareLaunchArgument("use_sim_time", default_value="false", description="Take the time from /clock"),
        DeclareLaunchArgument("log_level", default_value="info", description="debug, info, warn or error"),
        DeclareLaunchArgument(
            "contract", default_value="so101", description="Contract: a YAML file, or so101, ur5e_robotiq"
        ),
        DeclareLaunchArgument("root", description="Folder of the LeRobot dataset; made if need be"),
        DeclareLaunchArgument("task", default_value="", description="What the robot does, in words"),
    ]
    texts = {name: ParameterValue(LaunchConfiguration(name), value_type=str) for name in ("contract", "root", "task")}
    sim_time = ParameterValue(LaunchConfiguration("use_sim_time"), value_type=bool)
    recorder = Node(
        package="m2iv_robot",
        executable="recorder_node",
        name="recorder_node",
        namespace=LaunchConfiguration("namespace"),
        output="screen",
        parameters=[
            ParameterFile(LaunchConfiguration("params_file"), allow_substs=True),
            {**texts, "use_sim_time": sim_time},
        ],
        arguments=["--ros-args", "--log-level", LaunchConfiguration("log_level")],
    )
    return LaunchDescription([*arguments, recorder])
