"""What travels between modules: frozen records with shapes in their annotations.

Pixels are (x, y) with x to the right and y down, the centre of the top-left pixel at (0, 0).
Lengths in space are metres in the robot's base frame (z up); video is uint8 RGB until a network reads it.
"""

from dataclasses import dataclass, field

import numpy as np
from jaxtyping import Bool, Float, Int, UInt8
from torch import Tensor


@dataclass(frozen=True)
class Episode:
    """One recorded episode seen by one camera; `state` or `action` is None where the dataset has none."""

    dataset: str  # repo_id, or the folder's name
    index: int  # episode_index in that dataset
    camera: str  # feature key, e.g. "observation.images.front"
    frames: UInt8[Tensor, "t 3 h w"]
    state: Float[Tensor, "t s"] | None
    action: Float[Tensor, "t a"] | None
    state_names: tuple[str, ...]
    action_names: tuple[str, ...]
    fps: float
    task: str  # "" where the dataset gives none
    robot_type: str | None
    extra: dict[str, Tensor] = field(
        default_factory=dict
    )  # other per-frame numeric features, e.g. "observation.joints"

    @property
    def length(self) -> int:
        """Number of frames."""
        return self.frames.shape[0]


@dataclass(frozen=True)
class MaskTrajectory:
    """Visible pixels of actor (all of the robot) and object (the one thing moved); they never overlap."""

    actor: Bool[Tensor, "t h w"]
    object: Bool[Tensor, "t h w"]
    confidence: Float[Tensor, " t"]  # in [0, 1]: how sure the segmenter is of the frame


@dataclass(frozen=True)
class Plate:
    """A static camera's scene without actor and object. `known` is False where no frame ever showed it."""

    image: UInt8[Tensor, "3 h w"]
    known: Bool[Tensor, "h w"]


@dataclass(frozen=True)
class Placement:
    """Where the object starts and ends in a new episode; one of the two is the source's own."""

    kind: str  # "start" or "goal": which of the two was moved
    start: Bool[Tensor, "h w"]
    goal: Bool[Tensor, "h w"]
    shift_px: tuple[float, float]  # of the object's centroid in the moved one
    scale: float  # of the object's mask in the moved one, by perspective
    shift_m: tuple[float, float] | None  # the same shift on the support plane, base frame; None without a projection
    nearest_real_px: float  # distance of the moved place from the nearest real one
    nearest_real_m: float | None
    motion_m: Float[np.ndarray, "4 4"] | None = None  # where it is turned as well: the rigid motion, base frame

    @property
    def turn_rad(self) -> float:
        """How far the object is turned about the vertical, counter-clockwise from above; 0 where it lies as it lay."""
        return 0.0 if self.motion_m is None else float(np.arctan2(self.motion_m[1, 0], self.motion_m[0, 0]))


@dataclass(frozen=True)
class Motion:
    """The robot's motion for a placement, one row per output frame, labels in the dataset's own convention."""

    state: Float[Tensor, "t s"]
    action: Float[Tensor, "t a"]
    source_time: Float[Tensor, " t"]  # the source frame (fractional) that each output frame is the time-warp of
    verbatim: Bool[Tensor, " t"]  # True: frame and labels are the source's own at round(source_time)
    grasp_frame: int  # first output frame in which the object is held
    release_frame: int  # first output frame in which it no longer is
    gripper_path_m: Float[np.ndarray, "t 3"]  # tool point, base frame
    gripper_path_px: Float[Tensor, "t 2"] | None  # its projection; None without a camera fit
    object_path_px: Float[Tensor, "t 2"] | None  # projection of the object's centre


@dataclass(frozen=True)
class Provenance:
    """Where a generated episode comes from: one line of meta/m2iv_provenance.jsonl."""

    source_dataset: str
    source_episode: int
    camera: str
    placement_kind: str
    shift_px: tuple[float, float]
    shift_m: tuple[float, float] | None
    seed: int
    weights: dict[str, str]  # part -> hash of the weights file
    notes: tuple[str, ...] = ()
    turn_rad: float = 0.0  # of the object about the vertical, counter-clockwise from above


@dataclass(frozen=True)
class Candidate:
    """A generated episode before anyone has judged it."""

    episode: Episode
    masks: MaskTrajectory
    placement: Placement
    motion: Motion | None
    provenance: Provenance
    other_cameras: dict[str, UInt8[Tensor, "t 3 _ _"]] = field(default_factory=dict)


@dataclass(frozen=True)
class CheckResult:
    """One check of the quality gate: the measured value against its threshold."""

    name: str
    value: float
    threshold: float
    passed: bool


@dataclass(frozen=True)
class QualityReport:
    """What the quality gate says of a candidate."""

    checks: tuple[CheckResult, ...]

    @property
    def accepted(self) -> bool:
        """True when every check passed."""
        return all(check.passed for check in self.checks)


@dataclass(frozen=True)
class EpisodePhases:
    """When the object is held, in source frames: held during [grasp, release)."""

    grasp: int
    release: int


FrameIndex = Int[Tensor, " n"]
