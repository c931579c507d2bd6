"""Settings of placements."""

from dataclasses import dataclass, field

from m2iv_robot.errors import ConfigError

KINDS = ("start", "goal")
TURNS = ("auto", "never")


@dataclass(frozen=True)
class PlacementConfig:
    """Which places are offered (configs/placement/*.yaml)."""

    kind: str = "start"  # start: where could the object have started? goal: where could it have ended?
    task: str = ""  # goal: the new instruction, required where the source ends in or on another object
    polygon_px: list[float] = field(default_factory=list)  # x1, y1, x2, y2, ...: only inside; empty: all of the support
    at_px: list[float] = field(default_factory=list)  # x, y: exactly here, on support or not; empty: places are chosen
    clearance_sizes: float = 0.3  # from the robot and other objects, in sizes (square root of the area) of the object
    apart_sizes: float = 2.0  # least distance between the start and the goal of one episode, in sizes
    support_share: float = 0.9  # of the lower half of the object's outline that must lie on the support
    step: float = 3.0  # how sharp an edge ends the support, in standard deviations of its own texture
    colour_spread: float = 5.0  # how far its colour may lie from what surrounds the object, in standard deviations
    least_likeness: float = 0.5  # of the object's outlines at start and goal (IoU, one laid over the other)
    turn: str = "auto"  # never: objects lie as they lay; auto: turned with an arm that has fewer than six joints
    candidates: int = 30  # tried for every placement; more spread more evenly

    def __post_init__(self) -> None:
        if self.kind not in KINDS:
            raise ConfigError(f"placement.kind must be start or goal, got {self.kind!r}")
        if self.turn not in TURNS:
            raise ConfigError(f"placement.turn must be auto or never, got {self.turn!r}")
        if self.polygon_px and (len(self.polygon_px) < 6 or len(self.polygon_px) % 2):
            raise ConfigError("placement.polygon_px needs x and y of at least three corners: [x1,y1,x2,y2,x3,y3]")
        if self.at_px and (len(self.at_px) != 2 or self.polygon_px):
            raise ConfigError("placement.at_px needs x and y, and no placement.polygon_px beside it")
        if not 0 <= self.least_likeness <= 1:
            raise ConfigError(f"placement.least_likeness must be in [0, 1], got {self.least_likeness}")
        if not 0 < self.support_share <= 1:
            raise ConfigError(f"placement.support_share must be in (0, 1], got {self.support_share}")
        for name in ("clearance_sizes", "apart_sizes"):
            if getattr(self, name) < 0:
                raise ConfigError(f"placement.{name} must not be negative, got {getattr(self, name)}")
        if self.candidates < 1 or self.step <= 0 or self.colour_spread <= 0:
            raise ConfigError("placement: candidates must be at least 1, step and colour_spread positive")
