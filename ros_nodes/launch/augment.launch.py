"""Synthetic episodes: `ros2 launch m2iv_robot augment.launch.py data_root:=FOLDER output_root:=FOLDER dataset:=SET`."""

from launch import LaunchDescription
from launch.actions import EmitEvent, RegisterEventHandler
from launch.conditions import IfCondition
from launch.events import matches_action
from launch.substitutions import LaunchConfiguration
from launch_ros.actions import LifecycleNode
from launch_ros.event_handlers import OnStateTransition
from launch_ros.events.lifecycle import ChangeState
from lifecycle_msgs.msg import Transition

from ros_nodes.launching import arguments, file_argument, node_settings

TEXTS = ("data_root", "output_root", "dataset", "camera", "device")


def generate_launch_description() -> LaunchDescription:
    """The augmenter, brought to its active state unless told otherwise."""
    declared = [file_argument("params_file", "augmenter.yaml")]
    declared += arguments("namespace", "use_sim_time", "log_level", "autostart", "image", *TEXTS)
    image = LaunchConfiguration("image")
    remappings = [("image", image), ("image/compressed", [image, "/compressed"])]
    augmenter = LifecycleNode(**node_settings("augmenter_node", TEXTS), remappings=remappings)
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
    return LaunchDescription([*declared, augmenter, activate, configure])


def _change(node: LifecycleNode, transition: int) -> ChangeState:
    return ChangeState(lifecycle_node_matcher=matches_action(node), transition_id=transition)
