"""What can be set about a simulated dataset."""

from dataclasses import dataclass

from m2iv_robot.errors import ConfigError

ROBOTS = ("so101", "panda")
SHAPES = ("cube", "cuboid", "cylinder", "bottle", "hexagon", "cone")


@dataclass(frozen=True)
class RecordingConfig:  # configs/simulate.yaml
    """How many episodes of a lab, and how fast."""

    count: int = 10
    seed: int = 0  # of the first episode; the next ones take the next numbers
    workers: int = 1  # processes that simulate at a time, 0 is one per core; the result does not depend on it

    def __post_init__(self) -> None:
        for name, low in (("count", 1), ("seed", 0), ("workers", 0)):
            if getattr(self, name) < low:
                raise ConfigError(f"simulate: {name} must be at least {low}, got {getattr(self, name)}")


@dataclass(frozen=True)
class SimulationConfig:  # configs/simulation/*.yaml
    """One simulated lab: its robot, its table, its cameras. Lengths in metres in the robot's base frame."""

    robot: str = "so101"
    fps: int = 10
    width: int = 320  # of the fixed front camera, px
    height: int = 240
    wrist_width: int = 160  # of the wrist camera, px; 0 leaves it out
    wrist_height: int = 120
    start_x_min: float = 0.10  # where the object may start; the arm's reach cuts the corners
    start_x_max: float = 0.40
    start_y_min: float = -0.20
    start_y_max: float = 0.20
    goal_x_min: float = 0.10  # where it may be put down
    goal_x_max: float = 0.40
    goal_y_min: float = -0.20
    goal_y_max: float = 0.20
    goal_marker: bool = False  # a coaster lies at the goal
    scene_seed: int = 0  # table, light, camera pose, object, distractors: one value is one lab
    shape: str = ""  # of the object; "" lets the scene choose
    distractors: int = 3  # things that nobody touches, outside the arm's reach
    distractors_in_reach: int = 0  # the same, among the places of start and goal
    speed: float = 1.0  # of the operator, 1 is unhurried
    path_noise_m: float = 0.015  # spread of the operator's detours
    noise_levels: float = 1.5  # of the camera's sensor, standard deviation in 0..255
    supersample: int = 1  # render at this multiple and average down

    def __post_init__(self) -> None:
        if self.robot not in ROBOTS:
            raise ConfigError(f"simulation.robot must be one of {', '.join(ROBOTS)}, got {self.robot!r}")
        if self.shape and self.shape not in SHAPES:
            raise ConfigError(f"simulation.shape must be empty or one of {', '.join(SHAPES)}, got {self.shape!r}")
        for name, low in (("fps", 1), ("width", 16), ("height", 16), ("supersample", 1), ("wrist_width", 0)):
            if getattr(self, name) < low:
                raise ConfigError(f"simulation.{name} must be at least {low}, got {getattr(self, name)}")
        for name in ("start_x", "start_y", "goal_x", "goal_y"):
            low, high = getattr(self, f"{name}_min"), getattr(self, f"{name}_max")
            if low > high:
                raise ConfigError(f"simulation.{name}_min ({low}) is above simulation.{name}_max ({high})")
        for name in ("speed", "path_noise_m", "noise_levels", "distractors", "distractors_in_reach"):
            if getattr(self, name) < 0 or (name == "speed" and self.speed == 0):
                raise ConfigError(f"simulation.{name} must not be negative (speed: above 0), got {getattr(self, name)}")
