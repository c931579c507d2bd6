"""The contract: which topic, of which type, becomes which feature of the dataset, and how frames are put together."""

import importlib.resources
import math
from dataclasses import dataclass, field
from pathlib import Path

import yaml

from m2iv_robot.config import parse
from m2iv_robot.errors import ConfigError
from m2iv_robot.recording.images import IMAGE_TYPES
from m2iv_robot.recording.values import VALUE_TYPES

STATE, ACTION, CAMERA_PREFIX = "observation.state", "action", "observation.images."
SHIPPED = "ros/contracts"  # folder of configs/
WHEN_DEAD = ("refuse", "trim")
STAMPS = ("header", "received")


@dataclass(frozen=True)
class CameraStream:
    """One camera: a feature of the dataset."""

    topic: str
    type: str = "sensor_msgs/msg/Image"  # or sensor_msgs/msg/CompressedImage
    info_topic: str = ""  # sensor_msgs/msg/CameraInfo; "" where the camera publishes none
    max_age_s: float = 0.1  # an older image does not belong to a frame
    width: int = 0  # images are resized to this; 0 keeps the camera's
    height: int = 0
    depth_min_m: float = 0.2  # 16UC1 alone: what becomes black ..
    depth_max_m: float = 2.0  # .. and white; where the sensor saw nothing is black too
    stamp: str = "header"  # header: when the image was taken | received: when it arrived

    def __post_init__(self) -> None:
        _check_stream(self.topic, self.type, IMAGE_TYPES, self.stamp, self.max_age_s)
        if self.info_topic:
            _check_topic(self.info_topic)
        if (self.width == 0) != (self.height == 0) or not 0 <= self.width <= 8192 or not 0 <= self.height <= 8192:
            raise ConfigError(
                f"{self.topic}: width and height are both 0 or in 1 to 8192, got {self.width}x{self.height}"
            )
        if not 0 <= self.depth_min_m < self.depth_max_m:
            raise ConfigError(f"{self.topic}: needs 0 <= depth_min_m < depth_max_m")


@dataclass(frozen=True)
class ValueStream:
    """Some numbers of one topic: a part of a feature. value = number * scale + offset."""

    topic: str
    type: str = "sensor_msgs/msg/JointState"
    select: list[str] = field(default_factory=list)  # joint names, or the fields or indices that the type has
    names: list[str] = field(default_factory=list)  # in the dataset; empty: as in `select`
    part: str = ""  # JointState: position, velocity, effort; JointTrajectory: positions, velocities; "": the first
    scale: list[float] = field(default_factory=list)  # one for each of `select`, or one for all
    offset: list[float] = field(default_factory=list)
    max_age_s: float = 0.1  # .inf: the last value holds for ever, as of a gripper command that is sent once
    stamp: str = "header"  # received: for types without a header this is what is used in any case

    def __post_init__(self) -> None:
        _check_stream(self.topic, self.type, VALUE_TYPES, self.stamp, self.max_age_s)
        if not self.select:
            raise ConfigError(f"{self.topic}: select names no value; give the joints or fields to record")
        if len(set(self.select)) < len(self.select):
            raise ConfigError(f"{self.topic}: select names a value twice: {self.select}")
        if self.names and len(self.names) != len(self.select):
            raise ConfigError(f"{self.topic}: {len(self.names)} names for {len(self.select)} selected values")
        for name in ("scale", "offset"):
            given = getattr(self, name)
            if len(given) not in (0, 1, len(self.select)):
                raise ConfigError(f"{self.topic}: {name} needs 1 or {len(self.select)} entries, got {len(given)}")
            if not all(math.isfinite(number) for number in given):
                raise ConfigError(f"{self.topic}: {name} must be finite, got {given}")
        parts = VALUE_TYPES[self.type]
        if self.part and self.part not in parts:
            known = f"one of {', '.join(parts)}" if parts else "none"
            raise ConfigError(f"{self.topic}: part {self.part!r} is unknown for {self.type}; it has {known}")

    @property
    def feature_names(self) -> list[str]:
        """Names in the dataset."""
        return list(self.names or self.select)

    @property
    def factors(self) -> tuple[list[float], list[float]]:
        """Scale and offset for each selected value."""
        count = len(self.select)
        scale, offset = (given * count if len(given) == 1 else given for given in (self.scale, self.offset))
        return list(scale or [1.0] * count), list(offset or [0.0] * count)


@dataclass(frozen=True)
class ContractConfig:
    """The contract's plain values."""

    fps: int
    reference: str  # the camera whose images make the frames
    robot_type: str = ""
    action_from_state_frames: int = 0  # without a command topic: the action is the state so many frames later
    when_dead: str = "refuse"  # an episode in which a stream died: refuse it | trim it to its longest whole part
    max_gap_s: float = 0.25  # a longer hole between frames is a stream's death
    min_length_s: float = 1.0  # a shorter episode is refused
    slack_s: float = 0.005  # a sample taken so much later than a frame may still belong to it
    wait_s: float = 0.5  # how long a frame waits for streams that lag, before it is made without them
    max_rate_error: float = 0.1  # share by which the reference's rate may differ from fps
    max_clock_offset_s: float = 5.0  # between stamps and the recorder's clock, live

    def __post_init__(self) -> None:
        if not 1 <= self.fps <= 1000:
            raise ConfigError(f"fps must be in [1, 1000], got {self.fps}")
        if self.when_dead not in WHEN_DEAD:
            raise ConfigError(f"when_dead must be one of {', '.join(WHEN_DEAD)}, got {self.when_dead!r}")
        if self.action_from_state_frames < 0:
            raise ConfigError(f"action_from_state_frames must not be negative, got {self.action_from_state_frames}")
        for name in ("max_gap_s", "wait_s", "max_rate_error", "max_clock_offset_s"):
            if getattr(self, name) <= 0:
                raise ConfigError(f"{name} must be positive, got {getattr(self, name)}")
        for name in ("min_length_s", "slack_s"):
            if getattr(self, name) < 0:
                raise ConfigError(f"{name} must not be negative, got {getattr(self, name)}")
        if self.slack_s >= 0.5 / self.fps:
            raise ConfigError(f"slack_s must be less than half a frame ({0.5 / self.fps:.4f} s), got {self.slack_s}")


@dataclass(frozen=True)
class Contract:
    """A checked contract; `values` holds the parts of each feature in order."""

    config: ContractConfig
    cameras: dict[str, CameraStream]
    values: dict[str, list[ValueStream]]

    def __post_init__(self) -> None:
        if self.config.reference not in self.cameras:
            known = ", ".join(self.cameras) or "none"
            raise ConfigError(f"reference {self.config.reference!r} is not one of the contract's cameras: {known}")
        wrong = [key for key in self.cameras if not key.startswith(CAMERA_PREFIX) or key == CAMERA_PREFIX]
        if wrong:
            raise ConfigError(f"camera {wrong[0]!r}: cameras are called {CAMERA_PREFIX}NAME")
        wrong = [key for key in self.values if key != ACTION and not key.startswith("observation.")]
        if wrong:
            raise ConfigError(f"feature {wrong[0]!r}: features are called {STATE}, {ACTION} or observation.NAME")
        if STATE not in self.values:
            raise ConfigError(f"no {STATE}: give the topics that tell the robot's state")
        ahead = self.config.action_from_state_frames
        if (ACTION in self.values) == (ahead > 0):
            raise ConfigError(
                f"give either topics for {ACTION} or action_from_state_frames of at least 1 (without a command topic "
                f"the action is the state so many frames later), got {'both' if ahead else 'neither'}"
            )
        for key, parts in self.values.items():
            names = [name for part in parts for name in part.feature_names]
            if len(set(names)) < len(names):
                raise ConfigError(f"{key}: a name is given twice: {', '.join(names)}")

    def names(self, feature: str) -> list[str]:
        """Names of a feature's numbers; the action's are the state's where it is made from it."""
        source = feature if feature in self.values else STATE
        return [name for part in self.values[source] for name in part.feature_names]

    @property
    def features(self) -> tuple[str, ...]:
        """Value features that the dataset gets, state and action first."""
        others = [key for key in self.values if key not in (STATE, ACTION)]
        return (STATE, ACTION, *others)

    @property
    def streams(self) -> dict[str, CameraStream | ValueStream]:
        """All streams by a name of their own: the camera's feature, or the feature and the part's position."""
        parts = {f"{key}[{number}]": part for key in self.values for number, part in enumerate(self.values[key])}
        return {**self.cameras, **parts}

    @property
    def info_topics(self) -> dict[str, str]:
        """CameraInfo topic -> camera."""
        return {camera.info_topic: key for key, camera in self.cameras.items() if camera.info_topic}


def load_contract(name_or_path: str) -> Contract:
    """The contract in a YAML file, or the shipped one of that name.

    Raises:
        ConfigError: no such contract, or something in it is unknown, missing or does not fit; says where.
    """
    path = Path(name_or_path).expanduser()
    shipped = importlib.resources.files("configs").joinpath(SHIPPED)
    if not path.is_file():
        named = shipped.joinpath(f"{name_or_path}.yaml")
        if "/" in name_or_path or not named.is_file():
            names = ", ".join(sorted(entry.name.removesuffix(".yaml") for entry in shipped.iterdir()))
            raise ConfigError(f"contract {name_or_path!r}: no such file, and none that ships ({names}) has this name")
        path = named
    try:
        return parse_contract(yaml.safe_load(path.read_text(encoding="utf-8")))
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise ConfigError(f"contract {path}: not YAML: {error}") from error
    except ConfigError as error:
        raise ConfigError(f"contract {path}: {error}") from error


def parse_contract(given: object) -> Contract:
    """A contract from plain YAML values.

    Raises:
        ConfigError: something is unknown, missing or does not fit.
    """
    if not isinstance(given, dict):
        raise ConfigError("expected keys with values: fps, reference, cameras, values")
    plain = {key: value for key, value in given.items() if key not in ("cameras", "values")}
    cameras = _mapping(given, "cameras")
    values = _mapping(given, "values")
    return Contract(
        parse(ContractConfig, plain, "contract"),
        {key: _parse_stream(CameraStream, stream, f"cameras.{key}") for key, stream in cameras.items()},
        {
            key: [_parse_stream(ValueStream, part, f"values.{key}[{number}]") for number, part in enumerate(parts)]
            for key, parts in ((key, _listed(parts, key)) for key, parts in values.items())
        },
    )


def _mapping(given: dict, key: str) -> dict:
    found = given.get(key)
    if not isinstance(found, dict) or not found:
        raise ConfigError(f"{key}: expected features with their topics")
    return found


def _listed(parts: object, key: str) -> list:
    if not isinstance(parts, list) or not parts:
        raise ConfigError(f"values.{key}: expected a list of topics (lines that begin with -)")
    return parts


def _parse_stream[Stream](schema: type[Stream], given: object, where: str) -> Stream:
    if not isinstance(given, dict):
        raise ConfigError(f"{where}: expected keys with values: topic, type, ...")
    return parse(schema, given, where)


def _check_stream(topic: str, kind: str, known: object, stamp: str, max_age_s: float) -> None:
    _check_topic(topic)
    if kind not in known:
        raise ConfigError(f"{topic}: type {kind!r} cannot be read; known are {', '.join(known)}")
    if stamp not in STAMPS:
        raise ConfigError(f"{topic}: stamp must be one of {', '.join(STAMPS)}, got {stamp!r}")
    if not max_age_s > 0:
        raise ConfigError(f"{topic}: max_age_s must be positive, got {max_age_s}")


def _check_topic(topic: str) -> None:
    if not topic or any(character.isspace() for character in topic):
        raise ConfigError(f"topic {topic!r}: give the topic's name")
