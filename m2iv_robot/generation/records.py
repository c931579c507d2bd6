"""What goes into generating an episode, at the source's size and of the output's length."""

from dataclasses import dataclass

from jaxtyping import Bool, Float, UInt8
from torch import Tensor

from m2iv_robot.errors import ConfigError
from m2iv_robot.exemplar import Exemplar
from m2iv_robot.types import MaskTrajectory, Plate


@dataclass(frozen=True)
class GenerationConfig:
    """How the networks are used on whole episodes (configs/generation/*.yaml)."""

    mask_width_px: int = 256  # of the whole picture inside stage 1, which is squeezed into it
    mask_height_px: int = 160
    picture_width_px: int = 320  # a wider picture is brought to this width for stage 2
    width_px: int = 256  # of the crop inside stage 2, at most; its height follows from the picture's shape
    clip_frames: int = 16  # of a clip inside the networks
    clips_at_once: int = 16  # in one batch, at most; fewer where memory is short
    crop_share: float = 0.15  # by how much the crop is larger than what is generated, each way
    edge_px: float = 1.5  # width of the soft edge, in source pixels

    def __post_init__(self) -> None:
        if min(self.width_px, self.picture_width_px, self.mask_width_px, self.mask_height_px) < 16:
            raise ConfigError("generation: widths and heights must be at least 16")
        if self.clip_frames < 3 or self.clips_at_once < 1:
            raise ConfigError("generation needs clip_frames of at least 3 and clips_at_once of at least 1")
        if self.crop_share < 0 or self.edge_px < 0:
            raise ConfigError("generation.crop_share and generation.edge_px must not be negative")


@dataclass(frozen=True)
class WantedMasks:
    """What is known of the masks of an episode; a mask whose flag is False is ignored, a path of NaN is not known.

    The first frame's masks are always known. Unguided (PT-Gen): besides them the object's last. Guided: the object's
    in every frame, and the gripper's path.
    """

    first_frame: UInt8[Tensor, "3 h w"]
    actor: Bool[Tensor, "t h w"]
    actor_given: Bool[Tensor, " t"]
    object: Bool[Tensor, "t h w"]
    object_given: Bool[Tensor, " t"]
    gripper_path_px: Float[Tensor, "t 2"]  # (x, y) in the source's pixels
    actor_guess: Bool[Tensor, "t h w"] | None = None  # where the actor probably is: a real one bent to the plan


@dataclass(frozen=True)
class SourceScene:
    """The real recording that pixels are taken from, and its scene without actor and object."""

    frames: UInt8[Tensor, "n 3 h w"]
    masks: MaskTrajectory
    plate: Plate


@dataclass(frozen=True)
class WantedVideo:
    """What is asked of the frames. Frames whose flag is True come back as they are; the others' content is ignored."""

    first_frame: UInt8[Tensor, "3 h w"]
    masks: MaskTrajectory
    frames: UInt8[Tensor, "t 3 h w"]
    frames_given: Bool[Tensor, " t"]
    background: UInt8[Tensor, "t 3 h w"] | None = None  # outside what is generated; None: the plate
    exemplar: Exemplar | None = None  # None: real frames of the scene warped onto the masks
    allowed: Bool[Tensor, "t n"] | None = None  # which of the scene's frames may serve as exemplar; None: all
