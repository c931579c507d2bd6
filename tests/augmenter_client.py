"""The services and topics of a running augmenter_node as functions, for its tests and the soak."""

from pathlib import Path

from ros_processes import wait_until

import m2iv_robot

NODE = "/augmenter_node"
SAMPLE = Path(m2iv_robot.__file__).parent / "sample"
CONFIGURE, CLEANUP, ACTIVATE, DEACTIVATE = 1, 2, 3, 4


class AugmenterClient:
    """The node's services as functions."""

    def __init__(self, client):
        from diagnostic_msgs.msg import DiagnosticStatus
        from geometry_msgs.msg import PointStamped
        from lifecycle_msgs.srv import ChangeState
        from rcl_interfaces.msg import Parameter, ParameterType, ParameterValue
        from rcl_interfaces.srv import SetParameters
        from rclpy.qos import DurabilityPolicy, QoSProfile
        from std_srvs.srv import Trigger

        self.client = client
        self._change_state, self._trigger, self._set = ChangeState, Trigger, SetParameters
        self._parameter, self._value, self._kinds = Parameter, ParameterValue, ParameterType
        self._point = PointStamped
        latched = QoSProfile(depth=1, durability=DurabilityPolicy.TRANSIENT_LOCAL)
        client.listen(DiagnosticStatus, f"{NODE}/status", latched)
        self._goal = client.node.create_publisher(PointStamped, f"{NODE}/goal_click", 10)

    def change(self, transition):
        request = self._change_state.Request()
        request.transition.id = transition
        return self.client.call(self._change_state, f"{NODE}/change_state", request).success

    def call(self, name):
        return self.client.call(self._trigger, f"{NODE}/{name}")

    def set(self, **values):
        """Set parameters; "" where they were taken, else why not."""
        parameters = []
        for name, value in values.items():
            made = self._value(type=self._kinds.PARAMETER_STRING, string_value=value)
            if isinstance(value, int):
                made = self._value(type=self._kinds.PARAMETER_INTEGER, integer_value=value)
            parameters.append(self._parameter(name=name, value=made))
        answer = self.client.call(self._set, f"{NODE}/set_parameters", self._set.Request(parameters=parameters))
        return "; ".join(result.reason or "refused" for result in answer.results if not result.successful)

    def point_at_goal(self, x, y):
        wait_until(lambda: self._goal.get_subscription_count() > 0)
        message = self._point()
        message.point.x, message.point.y = x, y
        self._goal.publish(message)
        self.set(seed=0)  # a call that comes after it has been heard

    def status(self, key):
        """The latest value, "" before there is one."""
        heard = self.client.heard[f"{NODE}/status"]
        return {entry.key: entry.value for entry in heard[-1].values}.get(key, "") if heard else ""
