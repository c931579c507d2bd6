"""Record episodes: `ros2 launch m2iv_robot record.launch.py contract:=so101 root:=$HOME/datasets/cups task:="..."`."""

from launch import LaunchDescription
from launch_ros.actions import Node

from ros_nodes.launching import arguments, file_argument, node_settings

TEXTS = ("contract", "root", "task")


def generate_launch_description() -> LaunchDescription:
    """The recorder with its parameters; those given as arguments win over the file."""
    declared = [file_argument("params_file", "recorder.yaml")]
    declared += arguments("namespace", "use_sim_time", "log_level", *TEXTS)
    return LaunchDescription([*declared, Node(**node_settings("recorder_node", TEXTS))])
