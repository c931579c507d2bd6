"""Robot and object moving under a stream of actions; no pictures."""

from dataclasses import dataclass

import mujoco
import numpy as np
from jaxtyping import Bool, Float

from m2iv_robot.data.simulation.arm import TOOL_SITE, joint_addresses
from m2iv_robot.data.simulation.scene import OBJECT, Scene

SUCCESS_DISTANCE_M = 0.03
SUCCESS_LIFT_M = 0.02
SETTLE_S = 1.0


@dataclass(frozen=True)
class Trace:
    """What happened: one row per frame, before that frame's action takes effect."""

    state: Float[np.ndarray, "t s"]
    object_positions_m: Float[np.ndarray, "t 3"]
    object_quaternions: Float[np.ndarray, "t 4"]  # w x y z
    tool_positions_m: Float[np.ndarray, "t 3"]
    held: Bool[np.ndarray, " t"]  # the object touches both jaws
    touched: Bool[np.ndarray, " t"]  # it touches the robot at all
    configurations: Float[np.ndarray, "t q"]  # MuJoCo's qpos, to film from


class World:
    """A scene in motion: its MjData and the servos' last targets."""

    def __init__(self, scene: Scene, fps: int) -> None:
        self.scene = scene
        self.fps = fps
        self.data = mujoco.MjData(scene.model)
        model = scene.model
        self._robot_actuators = [self._actuator(name) for name in (*scene.arm.arm_joints, *scene.arm.gripper_joints)]
        self._object_geoms = {g for g in range(model.ngeom) if model.geom_group[g] == OBJECT}
        self._object_body = model.body("object").id
        self._fixed = {g for g in range(model.ngeom) if model.geom_contype[g] == 2}
        self._marker = model.body("marker").mocapid[0] if "marker" in _body_names(model) else -1

    def _actuator(self, joint: str) -> int:
        return int(np.flatnonzero(self.scene.model.actuator_trnid[:, 0] == self.scene.model.joint(joint).id)[0])

    def reset(
        self,
        home: Float[np.ndarray, " j"],
        object_xy: tuple[float, float],
        object_yaw_rad: float,
        goal_xy: tuple[float, float],
        first_targets: Float[np.ndarray, " k"] | None,
    ) -> None:
        """Robot at home, object standing at its start, everything settled under the first targets (arm, gripper)."""
        mujoco.mj_resetData(self.scene.model, self.data)
        arm = self.scene.arm
        self.data.qpos[joint_addresses(self.scene.model, arm.arm_joints)] = home
        targets = np.append(home, arm.opening_to_joint(0.01)) if first_targets is None else first_targets
        self.data.qpos[joint_addresses(self.scene.model, arm.gripper_joints)] = targets[-1]
        half = object_yaw_rad / 2
        self.data.joint("object").qpos = [
            *object_xy, self.scene.thing.height_m / 2 + 0.0005, np.cos(half), 0, 0, np.sin(half),
        ]  # fmt: skip
        self.set_goal(goal_xy)
        self.data.ctrl[self._robot_actuators] = self._spread(targets)
        mujoco.mj_forward(self.scene.model, self.data)
        mujoco.mj_step(self.scene.model, self.data, int(SETTLE_S / arm.timestep_s))

    def place(self, configuration: Float[np.ndarray, " q"]) -> None:
        """Put every body where a Trace says it was."""
        self.data.qpos[:] = configuration
        mujoco.mj_kinematics(self.scene.model, self.data)
        mujoco.mj_camlight(self.scene.model, self.data)

    def set_goal(self, goal_xy: tuple[float, float]) -> None:
        """Lay the marker, where the scene has one, at the goal."""
        if self._marker >= 0:
            self.data.mocap_pos[self._marker] = [*goal_xy, 0.001]

    def targets(self, action: Float[np.ndarray, " a"]) -> Float[np.ndarray, " k"]:
        """Joint targets (arm, gripper) that an action of the dataset stands for."""
        return self.scene.arm.action_to_joints(self.scene.model, self.data, action)

    def advance(self, targets: Float[np.ndarray, " k"]) -> None:
        """One frame: the servos' set points move evenly from the last targets to these."""
        count = max(1, round(1.0 / self.fps / self.scene.arm.timestep_s))
        before = self.data.ctrl[self._robot_actuators].copy()
        after = self._spread(targets)
        chunk = 5
        for done in range(0, count, chunk):
            steps = min(chunk, count - done)
            share = min(1.0, 2.0 * (done + steps) / count)
            self.data.ctrl[self._robot_actuators] = before + share * (after - before)
            mujoco.mj_step(self.scene.model, self.data, steps)

    def _spread(self, targets: np.ndarray) -> np.ndarray:
        return np.append(targets, np.repeat(targets[-1:], len(self.scene.arm.gripper_joints) - 1))

    def state(self) -> Float[np.ndarray, " s"]:
        """The robot's state in the dataset's units."""
        return self.scene.arm.read_state(self.scene.model, self.data)

    def tool_position(self) -> Float[np.ndarray, " 3"]:
        """Tool point, base frame."""
        return self.data.site(TOOL_SITE).xpos.copy()

    def object_pose(self) -> tuple[Float[np.ndarray, " 3"], Float[np.ndarray, " 4"]]:
        """Centre and orientation (w x y z) of the object, base frame."""
        return self.data.xpos[self._object_body].copy(), self.data.xquat[self._object_body].copy()

    def contacts(self) -> tuple[bool, bool]:
        """Whether the object touches both jaws, and whether it touches the robot at all."""
        bodies = set()
        for contact in self.data.contact:
            first, second = contact.geom
            if second in self._object_geoms:
                first, second = second, first
            if first in self._object_geoms and second in self._fixed:
                bodies.add(int(self.scene.model.geom_bodyid[second]))
        return len(bodies) >= 2, bool(bodies)


def _body_names(model: mujoco.MjModel) -> set[str]:
    return {model.body(number).name for number in range(model.nbody)}


class Recorder:
    """Collects a Trace."""

    def __init__(self) -> None:
        self._rows: list[tuple] = []

    def note(self, world: World) -> None:
        """Add the world's present row."""
        position, quaternion = world.object_pose()
        self._rows.append(
            (world.state(), position, quaternion, world.tool_position(), *world.contacts(), world.data.qpos.copy())
        )

    def trace(self) -> Trace:
        """Everything noted."""
        columns = [np.array(column) for column in zip(*self._rows, strict=True)]
        return Trace(*columns)


def carried(trace: Trace, goal_xy: tuple[float, float]) -> tuple[bool, float, float]:
    """Whether the object was lifted, set down near the goal and let go; its final distance and greatest lift, m."""
    distance = float(np.linalg.norm(trace.object_positions_m[-1, :2] - np.array(goal_xy)))
    lift = float(trace.object_positions_m[:, 2].max() - trace.object_positions_m[0, 2])
    fallen_off = trace.object_positions_m[-1, 2] < 0
    done = distance <= SUCCESS_DISTANCE_M and lift >= SUCCESS_LIFT_M and not trace.touched[-1] and not fallen_off
    return bool(done), distance, lift


def held_span(trace: Trace) -> tuple[int, int]:
    """First frame of the last grip that lifted the object, and the first frame after it; (-1, -1) without one."""
    lifted = trace.object_positions_m[:, 2] > trace.object_positions_m[0, 2] + SUCCESS_LIFT_M / 2
    if not (lifted & trace.held).any():
        return -1, -1
    top = int(np.flatnonzero(lifted & trace.held)[0])
    grasp = top
    while grasp > 0 and trace.held[grasp - 1]:
        grasp -= 1
    release = int(np.flatnonzero(lifted & trace.held)[-1])
    while release < len(trace.held) and trace.held[release]:
        release += 1
    return grasp, release
