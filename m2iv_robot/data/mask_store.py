"""Masks and plates in plain PNG files that other tools show, draw and correct.

    ROOT/DATASET/CAMERA/episode_000012/000000.png ...   one label image per frame
    ROOT/DATASET/CAMERA/episode_000012/masks.json       confidence per frame, and what this program wrote
    ROOT/DATASET/CAMERA/plates/NAME.png                 the scene without actor and object
    ROOT/DATASET/CAMERA/plates/NAME_known.png           white where a frame showed it, black elsewhere
    ROOT/DATASET/CAMERA/plates/NAME_episode_000012.png  of an episode in which other things stand about

A label is 0 background, 1 actor, 2 object or 255 ignore; the palette shows them black, green, red and grey. A program
that saves colours instead of a palette may do so: these very colours are read as labels. A file whose content is not
what this program wrote is an edited one: it is loaded with confidence 1 and never written again. Files from elsewhere,
without masks.json, count as edited.
"""

import hashlib
import io
import json
import logging
import os
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import torch
from jaxtyping import UInt8
from PIL import Image, UnidentifiedImageError
from torch import Tensor

from m2iv_robot.errors import SegmentationError
from m2iv_robot.types import MaskTrajectory, Plate

logger = logging.getLogger(__name__)

BACKGROUND, ACTOR, OBJECT, IGNORE = 0, 1, 2, 255
COLOURS = {BACKGROUND: (0, 0, 0), ACTOR: (0, 200, 0), OBJECT: (230, 0, 0), IGNORE: (128, 128, 128)}
RECORD_NAME = "masks.json"


@dataclass(frozen=True)
class MaskRecord:
    """What masks.json says of an episode's masks."""

    complete: bool = False  # False: the writing was interrupted
    length: int = 0  # frames
    confidence: tuple[float, ...] = ()
    files: dict[str, list[str]] = field(default_factory=dict)  # name -> hashes of what this program wrote
    about: dict[str, str] = field(default_factory=dict)  # who made them, with which settings


class MaskStore:
    """The masks and plates below one folder."""

    def __init__(self, root: str | Path) -> None:
        self.root = Path(root).expanduser()

    def folder(self, dataset_name: str, index: int, camera: str) -> Path:
        """Where the masks of one episode and camera are."""
        return self.root / _safe(dataset_name) / _safe(camera) / f"episode_{index:06d}"

    def about(self, dataset_name: str, index: int, camera: str) -> dict[str, str]:
        """What was noted with the masks; {} where none are complete."""
        record = _read_record(self.folder(dataset_name, index, camera))
        return record.about if record.complete else {}

    def edited_frames(self, dataset_name: str, index: int, camera: str) -> tuple[int, ...]:
        """Frames whose file is not what this program wrote."""
        folder = self.folder(dataset_name, index, camera)
        files = _read_record(folder).files
        return tuple(
            int(path.stem) for path in _frame_files(folder) if _hash(path.read_bytes()) not in files.get(path.name, [])
        )

    def save(
        self, dataset_name: str, index: int, camera: str, masks: MaskTrajectory, about: dict[str, str] | None = None
    ) -> tuple[int, ...]:
        """Write the masks of an episode; returns the frames that were left alone because someone edited them.

        Raises:
            SegmentationError: the folder cannot be written.
        """
        folder = self.folder(dataset_name, index, camera)
        encoded = {_frame_name(frame): _encode(label) for frame, label in enumerate(to_labels(masks).numpy())}
        try:
            folder.mkdir(parents=True, exist_ok=True)
            edited = self.edited_frames(dataset_name, index, camera)
            record = _read_record(folder)
            confidence = tuple(round(float(value), 4) for value in masks.confidence)
            known = {name: [_hash(png), *record.files.get(name, [])[:1]] for name, png in encoded.items()}
            _write_record(folder, MaskRecord(False, len(encoded), confidence, known, about or {}))
            for frame, (name, png) in enumerate(encoded.items()):
                if frame not in edited:
                    _write(folder / name, png)
            kept = {name: hashes[:1] for name, hashes in known.items()}
            _write_record(folder, MaskRecord(True, len(encoded), confidence, kept, about or {}))
        except OSError as error:
            raise SegmentationError(
                f"{folder}: masks cannot be written ({error.strerror}); give a writable folder"
            ) from error
        return edited

    def load(
        self, dataset_name: str, index: int, camera: str, shape: tuple[int, int, int] | None = None
    ) -> MaskTrajectory | None:
        """The masks of an episode, or None where there are none or their writing was interrupted.

        `shape` is the episode's (frames, height, width). Ignored pixels belong to neither mask.

        Raises:
            SegmentationError: a file is missing, damaged or of the wrong size, or holds other labels.
        """
        folder = self.folder(dataset_name, index, camera)
        files, record = _frame_files(folder), _read_record(folder)
        length = shape[0] if shape else (record.length or len(files))
        missing = [frame for frame in range(length) if not (folder / _frame_name(frame)).is_file()]
        if not files or (missing and not record.complete):
            if files:
                logger.warning("%s: %d of %d masks are there; they are not used", folder, length - len(missing), length)
            return None
        if missing:
            raise SegmentationError(
                f"{folder}: masks of frames {missing[:8]} are missing ({len(missing)} of {length}); put them back, or "
                f"delete {RECORD_NAME} to have them made again (edited ones are kept)"
            )
        if not record.complete and record.files:
            logger.warning("%s: the writing of these masks was interrupted; they are not used", folder)
            return None
        labels = np.stack([_decode(folder / _frame_name(frame), shape) for frame in range(length)])
        return _to_masks(labels, self._confidence(dataset_name, index, camera, length))

    def save_plate(self, dataset_name: str, camera: str, name: str, plate: Plate) -> None:
        """Write a plate; `name` tells camera poses of one camera apart.

        Raises:
            SegmentationError: the folder cannot be written.
        """
        folder = self.root / _safe(dataset_name) / _safe(camera) / "plates"
        try:
            folder.mkdir(parents=True, exist_ok=True)
            _write(folder / f"{_safe(name)}_known.png", _encode_grey(plate.known.numpy().astype(np.uint8) * 255))
            _write(folder / f"{_safe(name)}.png", _encode_grey(plate.image.permute(1, 2, 0).numpy()))
        except OSError as error:
            raise SegmentationError(
                f"{folder}: plate cannot be written ({error.strerror}); give a writable folder"
            ) from error

    def load_plate(self, dataset_name: str, camera: str, name: str) -> Plate | None:
        """A plate, or None where there is none.

        Raises:
            SegmentationError: its files are damaged or do not fit each other.
        """
        folder = self.root / _safe(dataset_name) / _safe(camera) / "plates"
        image_path, known_path = folder / f"{_safe(name)}.png", folder / f"{_safe(name)}_known.png"
        if not image_path.is_file() or not known_path.is_file():
            return None
        image, known = _open(image_path).convert("RGB"), _open(known_path).convert("L")
        if image.size != known.size:
            raise SegmentationError(f"{known_path}: {known.size} pixels, the plate has {image.size}; delete both files")
        return Plate(
            torch.from_numpy(np.array(image)).permute(2, 0, 1).contiguous(), torch.from_numpy(np.array(known) >= 128)
        )

    def save_episode_plate(self, dataset_name: str, camera: str, name: str, index: int, plate: Plate | None) -> None:
        """Write the plate of one episode whose scene is not its pose's; None removes what was there.

        Raises:
            SegmentationError: the folder cannot be written.
        """
        own = _episode_plate(name, index)
        if plate is not None:
            self.save_plate(dataset_name, camera, own, plate)
            return
        folder = self.root / _safe(dataset_name) / _safe(camera) / "plates"
        for path in (folder / f"{_safe(own)}.png", folder / f"{_safe(own)}_known.png"):
            path.unlink(missing_ok=True)

    def load_episode_plate(self, dataset_name: str, camera: str, name: str, index: int) -> Plate | None:
        """The plate of one episode, or None where its scene is that of its pose.

        Raises:
            SegmentationError: its files are damaged or do not fit each other.
        """
        return self.load_plate(dataset_name, camera, _episode_plate(name, index))

    def _confidence(self, dataset_name: str, index: int, camera: str, length: int) -> Tensor:
        confidence = torch.ones(length)
        stored = _read_record(self.folder(dataset_name, index, camera)).confidence[:length]
        confidence[: len(stored)] = torch.tensor(stored)
        for frame in self.edited_frames(dataset_name, index, camera):
            if frame < length:
                confidence[frame] = 1.0
        return confidence


def to_labels(masks: MaskTrajectory) -> UInt8[Tensor, "t h w"]:
    """Label images: 0 background, 1 actor, 2 object."""
    return torch.where(masks.object, OBJECT, masks.actor.to(torch.uint8)).to(torch.uint8)


def _to_masks(labels: np.ndarray, confidence: Tensor) -> MaskTrajectory:
    tensor = torch.from_numpy(labels)
    return MaskTrajectory(tensor == ACTOR, tensor == OBJECT, confidence)


def _encode(label: np.ndarray) -> bytes:
    image = Image.fromarray(label, mode="P")
    palette = np.zeros((256, 3), np.uint8)
    for value, colour in COLOURS.items():
        palette[value] = colour
    image.putpalette(palette.tobytes())
    content = io.BytesIO()
    image.save(content, "PNG", compress_level=4)
    return content.getvalue()


def _encode_grey(pixels: np.ndarray) -> bytes:
    content = io.BytesIO()
    Image.fromarray(pixels).save(content, "PNG", compress_level=4)
    return content.getvalue()


def _open(path: Path) -> Image.Image:
    try:
        image = Image.open(path)
        image.load()
        return image
    except (OSError, UnidentifiedImageError, SyntaxError) as error:
        raise SegmentationError(f"{path}: not a readable image ({error}); delete or replace it") from error


def _decode(path: Path, shape: tuple[int, int, int] | None) -> np.ndarray:
    image = _open(path)
    if shape and (image.height, image.width) != tuple(shape[1:]):
        raise SegmentationError(
            f"{path}: the mask is {image.width}x{image.height}, the frames are {shape[2]}x{shape[1]}; "
            "save it at the size of the frames, or delete it"
        )
    if image.mode in ("P", "L"):
        label = np.asarray(image, dtype=np.uint8)
    else:
        pixels = np.asarray(image.convert("RGB"))
        label = np.full(pixels.shape[:2], 3, np.uint8)  # 3 is no label
        for value, colour in COLOURS.items():
            label[(pixels == colour).all(-1)] = value
    counts = np.bincount(label.ravel(), minlength=256)
    counts[list(COLOURS)] = 0
    if counts.any():
        raise SegmentationError(
            f"{path}: it has labels or colours other than 0 (black), 1 (green 0,200,0), 2 (red 230,0,0) and 255 (grey "
            f"128,128,128), e.g. {int(counts.argmax())}; draw without smoothing, or delete it"
        )
    return label


def _episode_plate(name: str, index: int) -> str:
    return f"{name}_episode_{index:06d}"


def _frame_name(frame: int) -> str:
    return f"{frame:06d}.png"


def _frame_files(folder: Path) -> list[Path]:
    return sorted(path for path in folder.glob("*.png") if path.stem.isdigit())


def _safe(name: str) -> str:
    return name.replace("/", "--").replace("\\", "--")


def _hash(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()[:24]


def _write(path: Path, content: bytes) -> None:
    temporary = path.with_name(f".{path.name}.part")
    temporary.write_bytes(content)
    os.replace(temporary, path)


def _write_record(folder: Path, record: MaskRecord) -> None:
    _write(folder / RECORD_NAME, json.dumps(vars(record), indent=1).encode())


def _read_record(folder: Path) -> MaskRecord:
    path = folder / RECORD_NAME
    if not path.is_file():
        return MaskRecord()
    try:
        content = json.loads(path.read_text())
        return MaskRecord(**{**content, "confidence": tuple(content["confidence"])})
    except (json.JSONDecodeError, UnicodeDecodeError, TypeError, KeyError) as error:
        raise SegmentationError(f"{path}: not readable ({error}); delete it to have the masks made again") from error
