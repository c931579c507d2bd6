"""What a planning run is given and what it reports."""

import re
from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np
from jaxtyping import Bool, Float
from torch import Tensor

from m2iv_robot.camera import CameraConfig, CameraFit
from m2iv_robot.data.lerobot_io import Dataset, EpisodeLabels
from m2iv_robot.data.mask_store import MaskStore
from m2iv_robot.errors import ConfigError, M2IVError
from m2iv_robot.kinematics import Kinematics, RobotConfig
from m2iv_robot.placement import Place, PlacementConfig
from m2iv_robot.retarget import RetargetConfig
from m2iv_robot.types import EpisodePhases, MaskTrajectory, Motion, Placement, Plate

NUMBER = re.compile(r"\d+(\.\d+)?")


@dataclass(frozen=True)
class PlanConfig:
    """How many plans, from which episodes."""

    count: int = 20  # plans in all, the same number from every episode
    episodes: int = 0  # only from the first so many; 0 is all
    seed: int = 0
    only: int = -1  # plans from this episode alone, with what the others tell of the camera; -1: from all

    def __post_init__(self) -> None:
        if self.count < 1 or self.episodes < 0:
            raise ConfigError("plan.count must be at least 1 and plan.episodes at least 0")


@dataclass(frozen=True)
class PlanTask:
    """What a planning run works with."""

    dataset: Dataset
    camera: str
    store: MaskStore  # masks and plates that `m2iv annotate` made
    robot: RobotConfig = field(default_factory=RobotConfig)
    camera_fit: CameraConfig = field(default_factory=CameraConfig)
    placement: PlacementConfig = field(default_factory=PlacementConfig)
    retarget: RetargetConfig = field(default_factory=RetargetConfig)
    config: PlanConfig = field(default_factory=PlanConfig)
    known_camera: CameraFit | None = None  # calibrated elsewhere; None: fitted from the episodes
    drawable: "Drawable | None" = None  # refuses with a PlanError what could not be shown; None: everything could


@dataclass(frozen=True)
class SourceEpisode:
    """One episode, ready to be planned from."""

    labels: EpisodeLabels
    masks: MaskTrajectory
    poses: Float[np.ndarray, "t 4 4"] | None  # of the tool; None in the image plane alone
    phases: tuple[EpisodePhases, ...]
    start: Bool[Tensor, "h w"]  # whole outline of the object where it started
    goal: Bool[Tensor, "h w"]
    plate: Plate | None = None  # where other things stand about than in the pose's plate
    pick: int = 0  # which of the phases is planned anew

    @property
    def phase(self) -> EpisodePhases:
        """When the object is held that is placed elsewhere."""
        return self.phases[self.pick]


@dataclass(frozen=True)
class Plan:
    """One new episode before any pixel is made; `motion` is None in the image plane alone."""

    source_episode: int
    placement: Placement
    motion: Motion | None


Drawable = Callable[[Plan, list[SourceEpisode], CameraFit | None, Kinematics | None], None]


@dataclass(frozen=True)
class RefusedPlan:
    """A free place for the object that the robot's motion cannot serve."""

    source_episode: int
    place_px: tuple[float, float]
    shift_m: tuple[float, float] | None
    reason: str


def refused_places(refusals: tuple[RefusedPlan, ...]) -> list[str]:
    """A line for each episode and kind of reason, which differ in more than their numbers."""
    kinds: dict[tuple[int, str], list[str]] = {}
    for entry in refusals:
        kinds.setdefault((entry.source_episode, NUMBER.sub("", entry.reason)), []).append(entry.reason)
    return [
        f"episode {index}, {len(alike)} place{'s' * (len(alike) > 1)}: {min(alike)}"
        for (index, _), alike in sorted(kinds.items())
    ]


@dataclass(frozen=True)
class PlannedScene:
    """What the episodes of one camera pose have in common."""

    name: str
    episodes: tuple[int, ...]
    plate: Plate
    support: Bool[Tensor, "h w"]
    camera: CameraFit | None
    plane_z_m: float  # in which centres of resting objects lie
    real: tuple[Place, ...]  # where objects really started (or ended)
    half_height_m: float | None = None  # of the objects, where they are turned with the arm; None: they are not

    def plate_of(self, source: SourceEpisode) -> Plate:
        """The scene as it was in one of its episodes."""
        return self.plate if source.plate is None else source.plate


@dataclass(frozen=True)
class PlanReport:
    """All plans of a dataset, what was refused, and which episodes could not be planned from at all."""

    plans: tuple[Plan, ...]
    refusals: tuple[RefusedPlan, ...]
    failures: tuple[tuple[int, M2IVError], ...]
    scenes: tuple[PlannedScene, ...]
    notes: tuple[str, ...]  # what the run could not do, and what that costs
