"""Episodes cut into the networks' clips: which frames, at which size, how many at once."""

import itertools
import logging
import math
from collections.abc import Callable, Sequence

import numpy as np
import torch
from jaxtyping import Bool, Float, UInt8
from torch import Tensor
from torch.nn import functional

logger = logging.getLogger(__name__)

SEED_STRIDE = 1_000_003
OUT_OF_MEMORY = ("out of memory", "can't allocate memory", "not enough memory")


def clip_indices(first: int, last: int, count: int) -> list[int]:
    """`count` frame numbers spread evenly from `first` to `last`; a number repeats where there are fewer frames."""
    return [round(value) for value in np.linspace(first, last, count)]


def spans(first: int, last: int, count: int) -> list[tuple[int, int]]:
    """Neighbouring spans of almost equal length that cover `first` to `last`, `count` frames each at most."""
    pieces = max(1, math.ceil((last - first) / (count - 1)))
    ends = [round(value) for value in np.linspace(first, last, pieces + 1)]
    return [(a, b) for a, b in itertools.pairwise(ends) if b > a]


def unknown_runs(known: Bool[Tensor, " t"]) -> list[tuple[int, int]]:
    """First and last frame of each run of frames that are not known."""
    runs: list[tuple[int, int]] = []
    for frame in torch.nonzero(~known)[:, 0].tolist():
        if runs and runs[-1][1] == frame - 1:
            runs[-1] = (runs[-1][0], frame)
        else:
            runs.append((frame, frame))
    return runs


def working_size(height: int, width: int, scale: float, multiple: int) -> tuple[int, int]:
    """Height and width that a picture scaled by `scale` has inside a network: both multiples of `multiple`."""
    rows, columns = (max(multiple, round(size * scale / multiple) * multiple) for size in (height, width))
    return rows, columns


def resize_frames(frames: UInt8[Tensor, "t 3 _ _"], height: int, width: int) -> Float[Tensor, "t 3 {height} {width}"]:
    """Frames at another size, float32 in [0, 1]."""
    values = frames.to(torch.float32) / 255
    if values.shape[-2:] == (height, width):
        return values
    resized = functional.interpolate(values, (height, width), mode="bilinear", align_corners=False, antialias=True)
    return resized.clamp(0, 1)


def clip_generator(seed: int, stage: int, first: int, device: torch.device) -> torch.Generator:
    """The random numbers of one clip; they depend on nothing else."""
    return torch.Generator(device).manual_seed((seed * 4 + stage) * SEED_STRIDE + first)


def in_batches[Item, Result](
    items: Sequence[Item], at_once: int, work: Callable[[Sequence[Item]], Sequence[Result]]
) -> list[Result]:
    """`work` done on batches of `items`; where memory does not suffice, on smaller ones.

    Raises:
        RuntimeError: memory does not suffice for a single item.
    """
    results: list[Result] = []
    while len(results) < len(items):
        batch = items[len(results) : len(results) + at_once]
        try:
            results += work(batch)
        except RuntimeError as error:
            short = isinstance(error, torch.OutOfMemoryError) or any(text in str(error) for text in OUT_OF_MEMORY)
            if not short or len(batch) == 1:
                raise
            at_once = len(batch) // 2
            logger.info("memory is short: %d clips at once", at_once)
            if torch.cuda.is_available():
                torch.cuda.empty_cache()
    return results
