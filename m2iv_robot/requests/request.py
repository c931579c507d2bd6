"""A request for synthetic episodes, and what is checked before it is accepted."""

import math
from dataclasses import dataclass, field
from pathlib import Path

import cv2
import torch
from jaxtyping import UInt8
from torch import Tensor

from m2iv_robot.data.lerobot_io import Dataset, DatasetConfig, OutputFormat, open_dataset
from m2iv_robot.errors import ConfigError, RequestError

KINDS = ("start", "goal")
SAME_SHAPE = 0.01  # by how much the sides' ratio of live and recorded images may differ


@dataclass(frozen=True)
class RequestLimits:
    """What a request may ask for."""

    data_root: str  # datasets are read below this folder alone
    output_root: str  # and written below this one alone
    max_count: int = 100  # episodes of one request

    def __post_init__(self) -> None:
        for name in ("data_root", "output_root"):
            if not getattr(self, name):
                raise ConfigError(f"{name}: give the folder below which requests may name datasets")
        if self.max_count < 1:
            raise ConfigError(f"max_count must be at least 1, got {self.max_count}")


@dataclass(frozen=True)
class AugmentRequest:
    """New episodes from one episode of a recorded dataset.

    Pixels are (x, y) in the camera's recorded images; with a live frame in that frame, where the object is found.
    """

    dataset: str  # folder, below data_root unless absolute
    output: str  # folder of the dataset that takes the new episodes, below output_root unless absolute
    camera: str  # feature key of the fixed camera
    episode: int = 0
    count: int = 1  # episodes to make
    kind: str = "start"  # which end of the motion is moved: start or goal
    seed: int = 0
    object_xy: list[float] = field(default_factory=list)  # a click on the object, x and y; [] finds it by its motion
    object_box: list[float] = field(default_factory=list)  # around the object: left, top, right, bottom
    object_mask: str = ""  # PNG file, white where the object is
    object_text: str = ""  # what the object is, in words
    prompt_frame: int = 0  # the frame that click, box and mask are of
    goal_xy: list[float] = field(default_factory=list)  # where the moved end shall be; [] chooses places
    live_frame: str = ""  # PNG file of the camera's picture now: the start is moved to where the object is in it
    task: str = ""  # what the robot does, in words; "" as recorded

    @property
    def one_place(self) -> bool:
        """Whether somebody chose the place, so that there is one episode to make."""
        return bool(self.goal_xy or self.live_frame)


def check_request(request: AugmentRequest, limits: RequestLimits) -> Dataset:
    """The dataset that the request names, opened; nothing is decoded.

    Raises:
        RequestError: the request asks for what is not allowed or cannot be.
        DatasetError: the dataset is missing or damaged, or has no such camera or episode.
    """
    source = inside(request.dataset, limits.data_root, "dataset")
    output = inside(request.output, limits.output_root, "output")
    if output == source or source in output.parents or output in source.parents:
        raise RequestError(f"output {output}: it may not be in the dataset {source} that is read; give another folder")
    if request.kind not in KINDS:
        raise RequestError(f"kind {request.kind!r}: one of {', '.join(KINDS)} can be moved")
    if not 1 <= request.count <= limits.max_count:
        raise RequestError(f"count {request.count}: a request may ask for 1 to {limits.max_count} episodes")
    dataset = open_dataset(DatasetConfig(root=str(source)))
    dataset.check_camera(request.camera)
    length = dataset.length(request.episode)
    size = OutputFormat(int(dataset.fps) or 1, None, dataset.features).size(request.camera)
    if not 0 <= request.prompt_frame < length:
        raise RequestError(f"prompt_frame {request.prompt_frame}: episode {request.episode} has {length} frames")
    if request.one_place and request.count != 1:
        raise RequestError(
            f"count {request.count}: a place that is chosen or seen live makes one episode; set count to 1"
        )
    _check_pointing(request, _live_size(request, size) if request.live_frame else size)
    return dataset


def inside(folder: str, root: str, what: str) -> Path:
    """The folder's real place, which is below `root`, links followed.

    Raises:
        RequestError: it is not below `root`, or no folder is given.
    """
    if not folder or "\0" in folder:
        raise RequestError(f"{what}: give a folder below {root}")
    base = Path(root).expanduser().resolve()
    place = (base / Path(folder).expanduser()).resolve()
    if place == base or base not in place.parents:
        raise RequestError(f"{what} {folder}: only folders below {base} may be named")
    return place


def pixels_of(path: str) -> UInt8[Tensor, "3 h w"]:
    """The RGB pixels of an image file.

    Raises:
        RequestError: there is none.
    """
    image = cv2.imread(path, cv2.IMREAD_COLOR)
    if image is None:
        raise RequestError(f"{path}: no image that can be read")
    return torch.from_numpy(image[:, :, ::-1].copy()).permute(2, 0, 1)


def _live_size(request: AugmentRequest, size: tuple[int, int]) -> tuple[int, int]:
    """Height and width of the live frame, in whose pixels the person points; `size` is that of recorded images."""
    if request.kind != "start" or request.goal_xy:
        raise RequestError(
            "with the live camera it is the start that moves, to where the object is: set kind to start, give no goal"
        )
    height, width = pixels_of(request.live_frame).shape[-2:]
    if abs(width / height / (size[1] / size[0]) - 1) > SAME_SHAPE:
        raise RequestError(
            f"the live image has {width}x{height} pixels, the recorded ones {size[1]}x{size[0]}: not the same shape"
        )
    return height, width


def _check_pointing(request: AugmentRequest, size: tuple[int, int]) -> None:
    prompts = [bool(given) for given in (request.object_xy, request.object_box, request.object_mask)]
    if sum(prompts) > 1:
        raise RequestError("give one of object_xy, object_box and object_mask, not several")
    _check_point(request.object_xy, size, "object_xy")
    _check_point(request.goal_xy, size, "goal_xy")
    if request.object_box:
        _check_box(request.object_box, size)
    if request.object_mask and not Path(request.object_mask).is_file():
        raise RequestError(f"object_mask {request.object_mask}: no such file")


def _check_point(point: list[float], size: tuple[int, int], what: str) -> None:
    height, width = size
    if not point:
        return
    if len(point) != 2 or not all(math.isfinite(value) for value in point):
        raise RequestError(f"{what} {point}: give x and y in pixels")
    if not (0 <= point[0] <= width - 1 and 0 <= point[1] <= height - 1):
        raise RequestError(f"{what} {point}: outside the image, which is {width}x{height} pixels")


def _check_box(box: list[float], size: tuple[int, int]) -> None:
    if len(box) != 4:
        raise RequestError(f"object_box {box}: give left, top, right and bottom in pixels")
    _check_point(box[:2], size, "object_box")
    _check_point(box[2:], size, "object_box")
    if not (box[0] < box[2] and box[1] < box[3]):
        raise RequestError(f"object_box {box}: it has no area; give left, top, right and bottom")
