"""Synthetic episodes: `ros2 launch m2iv_robot augment.launch.py data_root:=FOLDER output_root:=FOLDER dataset:=SET`."""

from launch import LaunchDescription
from launch.actions import DeclareLaunchArgument, EmitEvent, RegisterEventHandler
from launch.conditions import IfCondition
from launch.events import matches_action
from launch.substitutions import LaunchConfiguration, PathJoinSubstitution
from launch_ros.actions import LifecycleNode
from launch_ros.event_handlers import OnStateTransition
from launch_ros.events.lifecycle import ChangeState
from launch_ros.parameter_descriptions import ParameterFile, ParameterValue
from launch_ros.substitutions import FindPackageShare
from lifecycle_msgs.msg import Transition

PARAMETERS = PathJoinSubstitution([FindPackageShare("m2iv_robot"), "config", "augmenter.yaml"])
TEXTS = ("data_root", "output_root", "dataset", "camera", "device")


def generate_launch_description() -> LaunchDescription:
    """The augmenter, brought to its active state unless told otherwise."""
    texts = {name: ParameterValue(LaunchConfiguration(name), value_type=str) for name in TEXTS}
    sim_time = ParameterValue(LaunchConfiguration("use_sim_time"), value_type=bool)
    image = LaunchConfiguration("image")
    augmenter = LifecycleNode(
        package="m2iv_robot",
        executable="augmenter_node",
        name="augmenter_node",
        namespace=LaunchConfiguration("namespace"),
        output="screen",
        parameters=[
            ParameterFile(LaunchConfiguration("params_file"), allow_substs=True),
            {**texts, "use_sim_time": sim_time},
        ],
        remappings=[("image", image), ("image/compressed", [image, "/compressed"])],
        arguments=["--ros-args", "--log-level", LaunchConfiguration("log_level")],
    )
    autostart = IfCondition(LaunchConfiguration("autostart"))
    activate = RegisterEventHandler(
        OnStateTransition(
            target_lifecycle_node=augmenter,
            start_state="configuring",
            goal_state="inactive",
            entities=[EmitEvent(event=_change(augmenter, Transition.TRANSITION_ACTIVATE))],
        ),
        condition=autostart,
    )
    configure = EmitEvent(event=_change(augmenter, Transition.TRANSITION_CONFIGURE), condition=autostart)
    return LaunchDescription([*_arguments(), augmenter, activate, configure])


def _change(node: LifecycleNode, transition: int) -> ChangeState:
    return ChangeState(lifecycle_node_matcher=matches_action(node), transition_id=transition)


def _arguments() -> list[DeclareLaunchArgument]:
    return [
        DeclareLaunchArgument("params_file", default_value=PARAMETERS, description="Parameters of the node, YAML"),
        DeclareLaunchArgument("namespace", default_value="", description="Namespace of the node"),
        DeclareLaunchArgument("use_sim_time", default_value="false", description="Take the time from /clock"),
        DeclareLaunchArgument("log_level", default_value="info", description="debug, info, warn or error"),
        DeclareLaunchArgument("autostart", default_value="true", description="Configure and activate the node"),
        DeclareLaunchArgument("image", default_value="/front/image_raw", description="Topic of the fixed camera"),
        DeclareLaunchArgument("data_root", description="Datasets are read below this folder alone"),
        DeclareLaunchArgument("output_root", description="Datasets are written below this folder alone"),
        DeclareLaunchArgument("dataset", default_value="", description="Recorded dataset, below data_root"),
        DeclareLaunchArgument("camera", default_value="observation.images.front", description="Its fixed camera"),
        DeclareLaunchArgument("device", default_value="", description="cpu or cuda; empty takes a GPU if there is one"),
    ]
