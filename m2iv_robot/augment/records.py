"""What an augmentation run is given and what it reports."""

from dataclasses import dataclass, field
from pathlib import Path

from m2iv_robot.annotate import AnnotationTask
from m2iv_robot.data.lerobot_io import WriterConfig
from m2iv_robot.errors import ConfigError, M2IVError
from m2iv_robot.generation import GenerationConfig
from m2iv_robot.learned_labels import LabellerTask
from m2iv_robot.models.trajectory import TrajectoryModel
from m2iv_robot.models.video import VideoModel
from m2iv_robot.placement import PlacementConfig
from m2iv_robot.plan import Plan
from m2iv_robot.quality import QualityGate
from m2iv_robot.retarget import RetargetConfig
from m2iv_robot.types import Candidate, QualityReport

CHOICES = {
    "masks": ("warped", "network"),
    "renderer": ("network", "cut_and_paste"),
    "wrist": ("remake", "retime", "drop"),
    "labels": ("auto", "video_only"),
}


@dataclass(frozen=True)
class AugmentConfig:
    """How many new episodes, from what, and made how."""

    count: int = 4  # new episodes in all, the same number from every recorded one
    mix: str = ""  # recorded:generated, e.g. 1:1; decides the count
    episodes: int = 0  # only from the first so many; 0 is all
    seed: int = 0
    masks: str = "warped"  # of the arm: warped (a real one bent to the plan) or network (stage 1, guided by it)
    renderer: str = "network"  # network (stage 2) or cut_and_paste (real pixels alone)
    wrist: str = "remake"  # cameras on the tool: made anew (else re-timed, the log says why), retime, or drop
    labels: str = "auto"  # auto: from the motion plan, without kinematics learned; video_only: no dataset, videos alone
    preview: int = 3  # so many first; then time, disk and acceptance of the rest are told
    preview_only: bool = False
    spare: float = 1.0  # plans beyond the count, as a share of it, for those that are refused
    most_bend_share: float = 0.08  # of the picture's width: a plan that bends the nearest real arm farther is refused
    most_turn_deg: float = 50.0  # where all links are known: one that shows them so far from every side seen is refused
    most_unseen_share: float = 0.4  # of such an arm, that no recorded frame shows: a plan with more of it is refused
    footage_episodes: int = 8  # of one camera pose that an arm may come from
    page_videos: int = 12  # shown on the page
    trajectory_weights: str = ""  # of stage 1; "" is what ships
    video_weights: str = ""  # of stage 2; "" is what ships
    device: str = "auto"  # of the networks: cpu, cuda, or auto: cuda where there is one

    def __post_init__(self) -> None:
        for name, choices in CHOICES.items():
            if getattr(self, name) not in choices:
                raise ConfigError(f"{name} must be one of {', '.join(choices)}, got {getattr(self, name)!r}")
        if self.count < 1 or self.footage_episodes < 1 or min(self.episodes, self.preview, self.page_videos) < 0:
            raise ConfigError(
                "count and footage_episodes must be at least 1; episodes, preview, page_videos at least 0"
            )
        if self.spare < 0 or min(self.most_bend_share, self.most_turn_deg, self.most_unseen_share) <= 0:
            raise ConfigError("spare must not be negative, all of most_* must be positive")
        if self.masks == "network" and self.renderer != "network" and self.labels == "auto":
            raise ConfigError("masks=network needs renderer=network: cut_and_paste moves real pixels with their masks")
        if self.mix:
            self.wanted(1)

    def wanted(self, recorded: int) -> int:
        """How many new episodes there are to be beside so many recorded ones."""
        if not self.mix:
            return self.count
        real, _, made = self.mix.partition(":")
        if not (real.isdigit() and made.isdigit() and int(real) > 0 and int(made) > 0):
            raise ConfigError(f"mix must be RECORDED:GENERATED in whole numbers, such as 1:1 or 1:4, got {self.mix!r}")
        return max(1, round(recorded * int(made) / int(real)))


@dataclass(frozen=True)
class Networks:
    """Both stages and the hashes of their weights; None where a run needs no network."""

    trajectory: TrajectoryModel | None = None
    video: VideoModel | None = None
    hashes: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class AugmentTask:
    """What an augmentation run works with."""

    annotation: AnnotationTask  # dataset, camera, segmenter, masks' folder
    root: Path  # of the new dataset
    networks: Networks
    placement: PlacementConfig = field(default_factory=PlacementConfig)
    retarget: RetargetConfig = field(default_factory=RetargetConfig)
    generation: GenerationConfig = field(default_factory=GenerationConfig)
    writer: WriterConfig = field(default_factory=WriterConfig)
    config: AugmentConfig = field(default_factory=AugmentConfig)
    gate: QualityGate | None = None  # None: nothing is rejected
    labeller: LabellerTask | None = None  # reads labels where no motion can be planned; None: nothing is made there

    @property
    def report_folder(self) -> Path:
        """Where the page, its videos and the journal of the run are."""
        return self.root.parent / f"{self.root.name}_report"


@dataclass(frozen=True)
class Made:
    """A new episode and what the gate says of it."""

    candidate: Candidate
    report: QualityReport
    seconds: float
    bend_px: float = 0.0  # by how much the arm had to be bent at most


@dataclass(frozen=True)
class Outcome:
    """A line of the run's journal: what became of one plan."""

    key: str
    source_episode: int
    frames: int
    verdict: str  # written, rejected or refused
    reason: str  # the checks that failed, or why the plan was refused; "" where it was written
    seconds: float
    bend_px: float  # by how much the arm had to be bent at most
    kept_frames: int  # frames that are the source's own


@dataclass(frozen=True)
class AugmentReport:
    """What a run made."""

    outcomes: tuple[Outcome, ...]
    failures: tuple[tuple[int, M2IVError], ...]  # episodes that nothing can be made from
    notes: tuple[str, ...]
    wanted: int
    root: Path

    @property
    def written(self) -> tuple[Outcome, ...]:
        """Those that are in the dataset."""
        return tuple(outcome for outcome in self.outcomes if outcome.verdict == "written")


@dataclass(frozen=True)
class NumberedPlan:
    """A plan with its place among those of its episode, which with the run's seed makes its own seed."""

    plan: Plan
    number: int
    seed: int
