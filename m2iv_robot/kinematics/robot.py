"""What a dataset's state means: which columns are which joints or coordinates, their units, and the arm's limits."""

from dataclasses import dataclass, field

from m2iv_robot.errors import ConfigError

KINDS = ("auto", "joints", "cartesian", "none")
JOINT_UNITS = ("degree", "radian", "range100")
ROTATIONS = ("rpy", "rotation_vector", "quaternion_xyzw", "none")
ROTATION_COLUMNS = {"rpy": 3, "rotation_vector": 3, "quaternion_xyzw": 4, "none": 0}


@dataclass(frozen=True)
class RobotConfig:
    """One arm with one gripper, as a dataset records it; lists that hold one entry apply to every joint."""

    name: str = "auto"
    kind: str = "auto"  # joints | cartesian | none | auto: chosen from robot_type and state names
    urdf: str = ""  # path, or the name of a file that ships in configs/robot
    tool_frame: str = ""  # URDF link whose pose is "the tool"
    joint_names: list[str] = field(default_factory=list)  # in the URDF, from the base to the tool
    joint_columns: list[str] = field(default_factory=list)  # in the dataset; empty: the joints' own names
    joint_units: list[str] = field(default_factory=lambda: ["degree"])  # range100: -100..100 over the joint's limits
    joint_signs: list[float] = field(default_factory=lambda: [1.0])  # URDF angle = sign * recorded + offset
    joint_offsets_deg: list[float] = field(default_factory=lambda: [0.0])
    position_columns: list[str] = field(default_factory=lambda: ["x", "y", "z"])  # metres in the base frame
    rotation_columns: list[str] = field(default_factory=lambda: ["roll", "pitch", "yaw"])  # radians
    rotation: str = "rpy"  # rpy: about the fixed x, then y, then z | rotation_vector | quaternion_xyzw | none
    gripper_column: str = "gripper"
    gripper_open: float = 100.0
    gripper_closed: float = 0.0
    gripper_joint: str = ""  # of the URDF, that the gripper column turns; empty: the fingers' motion is not shown
    gripper_joint_deg: list[float] = field(default_factory=lambda: [0.0, 0.0])  # its angle closed and open
    surface: str = ""  # file with points of the arm's surface; empty: from the URDF's meshes, where it has any
    rough_hand: bool = False  # the surface lacks what hangs on the hand: pictures show it in one piece, as it was seen
    finger_offset_m: list[float] = field(default_factory=lambda: [0.0, 0.0, 0.0])  # fingertips in the tool frame
    posture_deg: list[float] = field(default_factory=list)  # usual joint angles; with spheres in the URDF: its body
    jaw_axis: list[float] = field(default_factory=list)  # closing direction, tool frame; empty: level at a grasp
    workspace_min_m: list[float] = field(default_factory=lambda: [-1.0, -1.0, -0.1])  # fingertips, base frame
    workspace_max_m: list[float] = field(default_factory=lambda: [1.0, 1.0, 1.0])
    reach_min_m: float = 0.0  # fingertips from the base's vertical axis
    reach_max_m: float = 1.0
    joint_speed_deg_s: list[float] = field(default_factory=lambda: [180.0])
    tool_speed_m_s: float = 0.5

    def __post_init__(self) -> None:
        _one_of("kind", self.kind, KINDS)
        _one_of("rotation", self.rotation, ROTATIONS)
        for unit in self.joint_units:
            _one_of("joint_units", unit, JOINT_UNITS)
        if self.gripper_open == self.gripper_closed:
            raise ConfigError(f"robot.gripper_open and robot.gripper_closed are both {self.gripper_open}")
        for name, length in (
            ("gripper_joint_deg", 2),
            ("finger_offset_m", 3),
            ("workspace_min_m", 3),
            ("workspace_max_m", 3),
        ):
            if len(getattr(self, name)) != length:
                raise ConfigError(f"robot.{name} needs {length} numbers, got {getattr(self, name)}")
        if len(self.jaw_axis) not in (0, 3):
            raise ConfigError(f"robot.jaw_axis needs 3 numbers or none, got {self.jaw_axis}")
        if self.kind == "joints":
            self._check_joints()
        if self.kind == "cartesian":
            self._check_cartesian()

    def _check_joints(self) -> None:
        if not (self.urdf and self.tool_frame and self.joint_names):
            raise ConfigError("robot.kind=joints needs robot.urdf, robot.tool_frame and robot.joint_names")
        count = len(self.joint_names)
        for name in ("joint_units", "joint_signs", "joint_offsets_deg", "joint_speed_deg_s"):
            if len(getattr(self, name)) not in (1, count):
                raise ConfigError(f"robot.{name} needs 1 or {count} entries, got {len(getattr(self, name))}")
        if self.joint_columns and len(self.joint_columns) != count:
            raise ConfigError(f"robot.joint_columns needs {count} entries, got {len(self.joint_columns)}")
        if any(abs(sign) != 1.0 for sign in self.joint_signs):
            raise ConfigError(f"robot.joint_signs must be 1 or -1, got {self.joint_signs}")

    def _check_cartesian(self) -> None:
        if len(self.position_columns) != 3:
            raise ConfigError(f"robot.position_columns needs 3 names, got {self.position_columns}")
        wanted = ROTATION_COLUMNS[self.rotation]
        if len(self.rotation_columns) != wanted:
            raise ConfigError(
                f"robot.rotation_columns needs {wanted} names for {self.rotation}, got {self.rotation_columns}"
            )


def _one_of(name: str, value: str, allowed: tuple[str, ...]) -> None:
    if value not in allowed:
        raise ConfigError(f"robot.{name} must be one of {', '.join(allowed)}, got {value!r}")
