"""Frechet video distance between two sets of clips, with bootstrap intervals.

The features are I3D's time-averaged logits (`i3d.embed`), as in the reference implementation, from clips of 16 frames.

How far to trust a value: the distance of finite sets is biased upwards, and the more so the fewer the clips (with fewer
clips than the 400 logits the covariances are singular): two disjoint sets of 48 real robot clips are 860 apart. Compare
only values from equally many clips, best from the very same ones, and look at `interval_of_difference` before calling
one better.

Source: Unterthiner et al. 2018, "Towards Accurate Generative Models of Video", section 3.
"""

import math
from statistics import NormalDist

import torch
from jaxtyping import Float
from torch import Tensor

CLIP_FRAMES = 16
MIN_CLIPS = 16  # below, the distance says next to nothing
RESAMPLES = 100
CONFIDENCE = 0.95


def check_enough(features: Float[Tensor, "n d"], name: str) -> None:
    """Refuse sets too small to measure.

    Raises:
        ValueError: fewer than MIN_CLIPS clips.
    """
    if features.shape[0] < MIN_CLIPS:
        raise ValueError(
            f"FVD needs at least {MIN_CLIPS} clips in each set, the {name} set has {features.shape[0]}; hold out more"
        )


def frechet_distance(first: Float[Tensor, "n d"], second: Float[Tensor, "m d"]) -> float:
    """Squared Frechet distance of the Gaussians with the samples' means and (unbiased) covariances.

    |mean - mean'|^2 + tr(C) + tr(C') - 2 tr((C C')^(1/2)). With A and B the centred samples, C = A^T A / (n - 1), the
    last trace is the sum of the singular values of A B^T / sqrt((n - 1)(m - 1)): no square root of a singular matrix.
    Source: Dowson & Landau 1982, "The Frechet distance between multivariate normal distributions".
    """
    first, second = first.double(), second.double()
    shift = (first.mean(0) - second.mean(0)).square().sum()
    a = (first - first.mean(0)) / math.sqrt(first.shape[0] - 1)
    b = (second - second.mean(0)) / math.sqrt(second.shape[0] - 1)
    # The triangular factors have the same singular values as the samples, and at most d rows
    a, b = torch.linalg.qr(a, mode="r").R, torch.linalg.qr(b, mode="r").R
    overlap = torch.linalg.svdvals(a @ b.T).sum()
    return float((shift + a.square().sum() + b.square().sum() - 2 * overlap).clamp(min=0))


def fvd(real: Float[Tensor, "n d"], generated: Float[Tensor, "m d"]) -> float:
    """Frechet distance of two sets of clips from their I3D features.

    Raises:
        ValueError: a set has fewer than MIN_CLIPS clips.
    """
    check_enough(real, "real")
    check_enough(generated, "generated")
    return frechet_distance(real, generated)


def resampled_distances(
    real: Float[Tensor, "n d"], generated: Float[Tensor, "n d"], generator: torch.Generator, resamples: int = RESAMPLES
) -> Float[Tensor, " r"]:
    """FVD of bootstrap resamples of the clips; clip i of one set belongs to clip i of the other and is drawn with it.

    Two methods measured on the same real clips with generators of the same seed see the same draws, so that their
    difference can be resampled too.

    Raises:
        ValueError: the sets have fewer than MIN_CLIPS clips.
    """
    check_enough(real, "real")
    count = real.shape[0]
    distances = []
    for _ in range(resamples):
        draw = torch.randint(count, (count,), generator=generator)
        distances.append(frechet_distance(real[draw], generated[draw]))
    return torch.tensor(distances, dtype=torch.float64)


def interval(value: float, resampled: Float[Tensor, " r"], confidence: float = CONFIDENCE) -> tuple[float, float]:
    """Confidence interval of `value`: as wide as the resamples scatter, centred on the value itself.

    Not the resamples' quantiles: a resample holds fewer different clips, so its distance is biased upwards.
    """
    margin = NormalDist().inv_cdf((1 + confidence) / 2) * float(resampled.std())
    return max(value - margin, 0.0), value + margin


def interval_of_difference(
    values: tuple[float, float],
    resampled: tuple[Float[Tensor, " r"], Float[Tensor, " r"]],
    confidence: float = CONFIDENCE,
) -> tuple[float, float]:
    """Confidence interval of first - second, both resampled with the same draws; without zero inside, they differ."""
    margin = NormalDist().inv_cdf((1 + confidence) / 2) * float((resampled[0] - resampled[1]).std())
    difference = values[0] - values[1]
    return difference - margin, difference + margin
