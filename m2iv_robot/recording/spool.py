"""An episode on its way to the dataset: frames and values on disk, so that memory stays flat and nothing waits for it.

`episode.json` says what it is, and by being there that the rest is whole; `values.npz` holds one array per value
feature, one row per frame; `CAMERA.rgb` the frames, uint8 h w 3, one behind the other.
"""

import json
import os
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

import numpy as np
from jaxtyping import Float64, Int64, UInt8

from m2iv_robot.errors import RecordingError

ABOUT_FILE, VALUES_FILE = "episode.json", "values.npz"


@dataclass(frozen=True)
class SpooledEpisode:
    """A recorded episode, ready to be written to a dataset."""

    folder: Path
    key: str
    task: str
    fps: int
    robot_type: str
    sizes: dict[str, tuple[int, int]]  # camera -> height, width
    names: dict[str, list[str]]  # value feature -> names
    intrinsics: dict[str, dict]  # camera -> what its CameraInfo said
    start: int  # first frame to write, among those in the files
    length: int  # frames to write
    report: dict

    def frames(self, camera: str) -> UInt8[np.ndarray, "t h w 3"]:
        """The frames, mapped from the disk."""
        shape = (self.start + self.length, *self.sizes[camera], 3)
        # copy-on-write: torch warns of arrays that cannot be written
        return np.memmap(self.folder / _file_name(camera), np.uint8, "c", shape=shape)[self.start :]

    def values(self) -> dict[str, Float64[np.ndarray, "t _"]]:
        """Each value feature."""
        with np.load(self.folder / VALUES_FILE) as stored:
            return {name: stored[name] for name in self.names}

    def remove(self) -> None:
        """Delete the files."""
        shutil.rmtree(self.folder, ignore_errors=True)


class Spool:
    """The files of an episode that is being recorded."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.sizes: dict[str, tuple[int, int]] = {}
        self.stamps_ns: list[int] = []
        self._rows: list[dict[str, np.ndarray]] = []
        self._files: dict[str, BinaryIO] = {}

    def open(self) -> None:
        """Make the folder.

        Raises:
            RecordingError: it cannot be made.
        """
        try:
            self.folder.mkdir(parents=True)
        except OSError as error:
            raise RecordingError(f"{self.folder}: cannot be written ({error.strerror}); give another root") from error

    def add(self, stamp_ns: int, images: dict[str, np.ndarray], row: dict[str, np.ndarray]) -> None:
        """Append a frame: the image of every camera, and every stream's values.

        Raises:
            RecordingError: an image is of another size than its camera's first, or the disk is full.
        """
        for camera, image in images.items():
            size = self.sizes.setdefault(camera, image.shape[:2])
            if image.shape[:2] != size:
                raise RecordingError(
                    f"{camera}: an image is {image.shape[1]}x{image.shape[0]}, the first was {size[1]}x{size[0]}"
                )
        try:
            for camera, image in images.items():
                if camera not in self._files:
                    self._files[camera] = open(self.folder / _file_name(camera), "wb")
                self._files[camera].write(image)
        except OSError as error:
            raise RecordingError(
                f"{self.folder}: cannot be written ({error.strerror}); free some disk space"
            ) from error
        self.stamps_ns.append(stamp_ns)
        self._rows.append(row)

    @property
    def stamps(self) -> Int64[np.ndarray, " t"]:
        """Stamp of every frame, ns."""
        return np.array(self.stamps_ns, dtype=np.int64)

    def column(self, stream: str) -> Float64[np.ndarray, "t _"]:
        """All rows of a stream."""
        return np.stack([row[stream] for row in self._rows])

    def finish(self, episode: SpooledEpisode, values: dict[str, np.ndarray]) -> SpooledEpisode:
        """Complete the files: the episode is what is to be written of them."""
        self.close()
        np.savez(self.folder / VALUES_FILE, **values)
        about = {key: value for key, value in vars(episode).items() if key != "folder"}
        unfinished = self.folder / f"{ABOUT_FILE}.unfinished"
        unfinished.write_text(json.dumps(about))
        os.replace(unfinished, self.folder / ABOUT_FILE)
        return episode

    def close(self) -> None:
        """Close the files."""
        for file in self._files.values():
            file.close()
        self._files.clear()

    def discard(self) -> None:
        """Close and delete the files."""
        self.close()
        shutil.rmtree(self.folder, ignore_errors=True)


def open_spool(folder: str | Path) -> SpooledEpisode:
    """A spooled episode from its folder.

    Raises:
        RecordingError: the folder does not hold a whole episode.
    """
    path = Path(folder) / ABOUT_FILE
    if not path.is_file():
        raise RecordingError(f"{folder}: no whole episode; the recording of it was interrupted")
    about = json.loads(path.read_text())
    about["sizes"] = {camera: tuple(size) for camera, size in about["sizes"].items()}
    return SpooledEpisode(folder=Path(folder), **about)


def spool_folder(root: Path) -> Path:
    """Where the episodes of a dataset wait."""
    return root.with_name(f".{root.name}.recording")


def finished_spools(root: Path) -> list[Path]:
    """Whole episodes that wait to be written to the dataset, in the order of their recording."""
    return sorted(path.parent for path in spool_folder(root).glob(f"*/{ABOUT_FILE}"))


def clear_interrupted(root: Path) -> None:
    """Delete episodes whose recording was interrupted."""
    for folder in spool_folder(root).glob("*/"):
        if not (folder / ABOUT_FILE).is_file():
            shutil.rmtree(folder, ignore_errors=True)


def _file_name(camera: str) -> str:
    return f"{camera}.rgb"
