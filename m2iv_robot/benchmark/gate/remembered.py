"""A segmenter that keeps what it saw on disk, so that a stopped run goes on and new thresholds cost nothing."""

import hashlib
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch

from m2iv_robot.errors import SegmentationError
from m2iv_robot.segmentation import Prompt, Segmenter
from m2iv_robot.types import Episode, EpisodePhases, MaskTrajectory, Plate


@dataclass(frozen=True)
class Remembered:
    """Segments each video once; `folder` belongs to one segmenter."""

    segmenter: Segmenter
    folder: Path

    def segment(
        self,
        episode: Episode,
        plate: Plate | None = None,
        prompt: Prompt | None = None,
        phases: tuple[EpisodePhases, ...] = (),
    ) -> MaskTrajectory:
        """Masks of every frame.

        Raises:
            SegmentationError: the segmenter gives up, now or when it was asked first.
        """
        path = self.folder / f"{self._name(episode, plate, prompt)}.npz"
        if not path.is_file():
            try:
                masks = self.segmenter.segment(episode, plate, prompt, phases)
            except SegmentationError as error:
                save(path, {"actor": np.zeros(0), "reason": np.array(str(error))})
            else:
                save(path, {name: getattr(masks, name).numpy() for name in ("actor", "object", "confidence")})
        with np.load(path) as kept:
            if not kept["actor"].size:
                raise SegmentationError(str(kept["reason"]))
            return MaskTrajectory(*(torch.from_numpy(kept[name]) for name in ("actor", "object", "confidence")))

    def _name(self, episode: Episode, plate: Plate | None, prompt: Prompt | None) -> str:
        digest = hashlib.sha256(episode.frames.numpy().tobytes())
        for part in (plate and plate.image, prompt and prompt.mask, prompt and prompt.rest):
            digest.update(b"" if part is None else part.numpy().tobytes())
        return digest.hexdigest()[:32]


def save(path: Path, arrays: dict[str, np.ndarray]) -> None:
    """Write arrays, whole or not at all."""
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_suffix(".partial.npz")
    np.savez_compressed(partial, **arrays)
    partial.replace(path)
