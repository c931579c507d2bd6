"""What can be set about the proof: its lab, its episodes, its policy, its rollouts."""

from dataclasses import dataclass, field, replace
from pathlib import Path

from m2iv_robot.config import preset
from m2iv_robot.data.simulation import SimulationConfig
from m2iv_robot.errors import ConfigError

HALVES = ("seen", "unseen")
FRONT, WRIST = "observation.images.front", "observation.images.wrist"
POSITIVE = ("sources", "generated", "everywhere", "taught", "reduce", "steps", "batch_size", "save_every", "seeds")


@dataclass(frozen=True)
class DemoConfig:
    """configs/policies_demo/*.yaml: one file per size of computer."""

    folder: str = "outputs/policies/cpu"
    # The lab. The start region is split at y = 0: y < 0 is the seen half.
    scene_seed: int = 8
    shape: str = "cylinder"
    start_x_min: float = 0.24  # m, robot's base frame
    start_x_max: float = 0.34
    start_y_max: float = 0.16  # and to minus this on the other side
    goal_x: float = 0.165
    goal_y: float = 0.0
    wrist: bool = False  # a second camera, at the wrist
    recorders: int = 2  # processes that simulate at a time
    # Episodes
    sources: int = 10  # recorded ones, their object starts in the seen half
    generated: int = 40  # over both halves, beside the sources; mixed one to one by repeating the sources
    everywhere: int = 50  # recorded ones over both halves, instead of sources and generated ones
    taught: int = 20  # more recorded ones, in the unseen half
    true_masks: bool = False  # plan from the simulator's masks and plate: which part is to blame?
    # The policy
    reduce: int = 2  # front pictures are averaged down by this factor
    policy: list[str] = field(default_factory=lambda: ["--policy.type=act"])  # arguments of lerobot-train
    device: str = "cpu"
    steps: int = 2500
    batch_size: int = 32
    loaders: int = 0  # processes that read the dataset beside the one that trains
    save_every: int = 1000  # steps; a run that was stopped goes on from there
    threads: int = 2  # of the training process
    seeds: int = 1
    # Rollouts
    rollouts: int = 50  # of each policy, half of them in either half
    attempt_frames: int = 150  # before an attempt counts as failed
    parallel: bool = True  # both halves at a time, each in its own process
    videos: int = 2  # of each row and half, kept beside the results

    def __post_init__(self) -> None:
        for name in POSITIVE:
            if getattr(self, name) < 1:
                raise ConfigError(f"policies_demo.{name} must be at least 1, got {getattr(self, name)}")
        if self.rollouts < 2 or self.rollouts % 2:
            raise ConfigError(f"policies_demo.rollouts must be even, half for either half; got {self.rollouts}")
        if not self.start_x_min < self.start_x_max or self.start_y_max <= 0:
            raise ConfigError("policies_demo: start_x_min < start_x_max and start_y_max > 0 span the start region")

    @property
    def root(self) -> Path:
        """Where everything goes."""
        return Path(self.folder)

    @property
    def cameras(self) -> tuple[str, ...]:
        """What the policy sees."""
        return (FRONT, WRIST) if self.wrist else (FRONT,)


def lab(config: DemoConfig, half: str = "") -> SimulationConfig:
    """The simulated lab, its objects starting in one half, or in both for ""."""
    shipped = preset(SimulationConfig, "simulation", "so101")
    return replace(
        shipped,
        scene_seed=config.scene_seed,
        shape=config.shape,
        goal_marker=True,
        start_x_min=config.start_x_min,
        start_x_max=config.start_x_max,
        start_y_min=0.0 if half == "unseen" else -config.start_y_max,
        start_y_max=0.0 if half == "seen" else config.start_y_max,
        goal_x_min=config.goal_x,
        goal_x_max=config.goal_x,
        goal_y_min=config.goal_y,
        goal_y_max=config.goal_y,
        wrist_width=shipped.wrist_width if config.wrist else 0,
    )
