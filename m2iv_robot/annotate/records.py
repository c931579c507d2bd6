"""What an annotation run is given and what it reports."""

import hashlib
from dataclasses import dataclass, field

from m2iv_robot.background import PlateConfig
from m2iv_robot.camera import CameraConfig
from m2iv_robot.data.lerobot_io import Dataset
from m2iv_robot.data.mask_store import MaskStore
from m2iv_robot.errors import ConfigError, M2IVError
from m2iv_robot.kinematics import RobotConfig
from m2iv_robot.segmentation import Prompt, Segmenter
from m2iv_robot.segmentation.prompts import Exemplar, PromptConfig
from m2iv_robot.types import EpisodePhases, MaskTrajectory, Plate


@dataclass(frozen=True)
class AnnotationConfig:
    """Which episodes, and when a person should look (configs/annotation/*.yaml)."""

    episodes: int = 0  # only the first so many; 0 is all
    good_confidence: float = 0.6  # mean over an episode; above it a glance is enough
    poor_confidence: float = 0.3  # below it the masks are probably wrong
    plate_frames: int = 240  # of all episodes of a pose together; a median of more says nothing new

    def __post_init__(self) -> None:
        if not 0 <= self.poor_confidence <= self.good_confidence <= 1:
            raise ConfigError("annotation needs 0 <= poor_confidence <= good_confidence <= 1")
        if self.episodes < 0 or self.plate_frames < 6:
            raise ConfigError("annotation.episodes must be at least 0 and plate_frames at least 6")


@dataclass(frozen=True)
class AnnotationTask:
    """What an annotation run works with."""

    dataset: Dataset
    camera: str
    segmenter: Segmenter
    store: MaskStore
    settings: str  # of all that decides what masks look like; masks made with other settings are made again
    prompt: PromptConfig = field(default_factory=PromptConfig)
    robot: RobotConfig = field(default_factory=RobotConfig)
    camera_check: CameraConfig = field(default_factory=CameraConfig)
    plate: PlateConfig = field(default_factory=PlateConfig)
    config: AnnotationConfig = field(default_factory=AnnotationConfig)

    @property
    def settings_hash(self) -> str:
        """Short name of the settings, noted with the masks."""
        return hashlib.sha256(self.settings.encode()).hexdigest()[:16]


@dataclass(frozen=True)
class DatasetPrompt:
    """The person's prompt, and how the prompted object looks (None for a text)."""

    prompt: Prompt
    exemplar: Exemplar | None


@dataclass(frozen=True)
class PoseGroup:
    """Episodes that one camera pose saw, and their common plate (None where none could be made)."""

    name: str
    episodes: tuple[int, ...]
    plate: Plate | None = None
    changed: tuple[int, ...] = ()  # episodes in which other things stand about: they have a plate of their own

    @property
    def note(self) -> dict[str, str]:
        """What is noted with the masks, so that a later run knows whether the stored plate is still right."""
        return {"plate": self.name, "pose_episodes": " ".join(map(str, self.episodes))}


@dataclass(frozen=True)
class EpisodeAnnotation:
    """What was found in one episode."""

    index: int
    length: int
    masks: MaskTrajectory
    plate: str  # its name in the store
    phases: tuple[EpisodePhases, ...]  # from the gripper; () where it is not known
    confidence: float  # mean over the frames
    edited_frames: int  # made or corrected by someone else, and kept
    start_px: tuple[float, float] | None  # the object's centre in the first frame that shows it
    goal_px: tuple[float, float] | None  # and in the last
    area_px: float  # median over the frames that show the object
    verdict: str  # good, check or bad


@dataclass(frozen=True)
class AnnotationReport:
    """All episodes of a dataset: what was found, and why the others failed."""

    annotations: tuple[EpisodeAnnotation, ...]
    failures: tuple[tuple[int, M2IVError], ...]
    poses: tuple[PoseGroup, ...]
