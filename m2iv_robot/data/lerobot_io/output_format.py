"""What an output dataset's episodes look like: features, rate and encoder, taken from a source or made."""

import copy
import logging
from dataclasses import dataclass

from m2iv_robot.data.lerobot_io.source import INDEX_FEATURES, Dataset
from m2iv_robot.errors import ConfigError, WriteError

logger = logging.getLogger(__name__)

CODECS = {"h264": "h264", "hevc": "hevc", "av1": "libsvtav1", "libsvtav1": "libsvtav1"}
DEFAULT_CODEC = "libsvtav1"
LABEL_KINDS = ("float16", "float32", "float64", "int8", "int16", "int32", "int64", "uint8", "bool")


@dataclass(frozen=True)
class WriterConfig:
    """How episodes are stored; see configs/writer/default.yaml."""

    codec: str = "source"  # h264, hevc, av1, a hardware encoder that LeRobot knows, or "source": the source's own
    crf: int = 18  # quality, less is better; 18 keeps real 320x192 frames above 40 dB in h264 and av1
    gop: int = 2  # a key frame every so many frames; training reads single frames
    preset: str = ""  # the codec's speed; "" is LeRobot's choice
    encoder_threads: int = 0  # per camera; 0 lets the codec choose
    include_source: bool = False  # the real episodes first
    batch_episodes: int = 32  # finished episodes merged at a time
    queue_episodes: int = 2  # episodes that may wait for the encoder
    video_file_mb: int = 200
    data_file_mb: int = 100

    def __post_init__(self) -> None:
        for name in ("gop", "batch_episodes", "queue_episodes", "video_file_mb", "data_file_mb"):
            if getattr(self, name) < 1:
                raise ConfigError(f"writer.{name} must be at least 1, got {getattr(self, name)}")
        if not 0 <= self.crf <= 63:
            raise ConfigError(f"writer.crf must be in [0, 63], got {self.crf}")
        if self.encoder_threads < 0:
            raise ConfigError(f"writer.encoder_threads must not be negative, got {self.encoder_threads}")


@dataclass(frozen=True)
class OutputFormat:
    """Features in LeRobot's form (without its index features), shapes of cameras as (h, w, 3)."""

    fps: int
    robot_type: str | None
    features: dict[str, dict]
    state_key: str | None = "observation.state"
    action_key: str | None = "action"

    def __post_init__(self) -> None:
        if not self.features:
            raise WriteError("output format: no feature; give at least one camera or label")

    @property
    def cameras(self) -> tuple[str, ...]:
        """Feature keys of the cameras."""
        return tuple(key for key, feature in self.features.items() if feature["dtype"] in ("video", "image"))

    @property
    def labels(self) -> tuple[str, ...]:
        """Feature keys of everything else."""
        return tuple(key for key in self.features if key not in self.cameras)

    def size(self, camera: str) -> tuple[int, int]:
        """Height and width of a camera in pixels."""
        shape = tuple(self.features[camera]["shape"])
        return (shape[1], shape[2]) if shape[0] in (1, 3) and shape[-1] not in (1, 3) else (shape[0], shape[1])


def format_like(
    dataset: Dataset, cameras: tuple[str, ...] | None = None, extra: tuple[str, ...] | None = None
) -> OutputFormat:
    """The format of `dataset`, with only these `cameras` and `extra` labels (None: all that can be written).

    Left out with a warning: depth maps, text, language columns, and labels of two and more dimensions, which LeRobot's
    aggregation cannot merge.

    Raises:
        DatasetError: the dataset lacks one of `cameras`.
        WriteError: the dataset lacks one of `extra`, or its rate is not a whole number.
    """
    for camera in cameras or ():
        dataset.check_camera(camera)
    for key in extra or ():
        if key not in dataset.features:
            raise WriteError(
                f"{dataset.name}: no feature {key!r} to write; its features are {', '.join(dataset.features)}"
            )
    if dataset.fps != int(dataset.fps):
        raise WriteError(f"{dataset.name}: {dataset.fps} fps; LeRobot writes whole rates only: resample the dataset")
    features = {}
    for key, feature in dataset.features.items():
        if key in INDEX_FEATURES:
            continue
        if key in dataset.cameras:
            keep = cameras is None or key in cameras
        elif feature["dtype"] not in LABEL_KINDS or len(feature["shape"]) > 1:
            logger.warning(
                "%s: feature %s (%s %s) is not written", dataset.name, key, feature["dtype"], feature["shape"]
            )
            continue
        else:
            keep = extra is None or key in extra or key in (dataset.state_key, dataset.action_key)
        if keep:
            features[key] = copy.deepcopy(feature)
    state, action = (key if key in features else None for key in (dataset.state_key, dataset.action_key))
    return OutputFormat(int(dataset.fps), dataset.robot_type, features, state, action)


def encoder_name(output: OutputFormat, codec: str) -> str:
    """The encoder for `codec`; "source" is the codec that the format's video features name, if one can be written."""
    if codec != "source":
        return CODECS.get(codec, codec)
    named = {(output.features[key].get("info") or {}).get("video.codec") for key in output.cameras}
    known = {CODECS[name] for name in named if name in CODECS}
    return known.pop() if len(known) == 1 else DEFAULT_CODEC
