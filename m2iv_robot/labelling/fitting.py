"""A labeller fitted to episodes: which parts there are, and linear maps from their places to labels."""

from collections.abc import Sequence

import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn import functional

from m2iv_robot.labelling.reading import together
from m2iv_robot.labelling.watching import Watched
from m2iv_robot.models.labeller import Labeller, LabellerConfig, Readout, describe, lively, step_numbers
from m2iv_robot.models.segmenter import Segmenter

LIVELY_QUANTILE = 0.93  # of the places of a video, above which something moves
POINTS = 800  # of each episode that parts are made of
EVERY = 6  # frame of an episode that points are taken from
ROUNDS = 8  # of k-means
STIFFNESS = (0.003, 0.03, 0.3, 1.0, 3.0)  # ridge per row, that one is chosen from
LEAST_SCALE = 1e-3
Pairs = Sequence[tuple[Float[Tensor, "_ n"], Float[Tensor, "_ d"]]]  # what is given and what is wanted, by episode


def fit_labeller(episodes: list[Watched], config: LabellerConfig, eyes: Segmenter, seed: int = 0) -> Labeller:
    """A labeller that knows these episodes; each head leaves some out, which tells how far it is usually off."""
    model = Labeller(config, eyes)
    generator = torch.Generator().manual_seed(seed)
    model.parts.copy_(find_parts(episodes, config.parts, generator))
    places = [describe(episode.seen, model.parts) for episode in episodes]
    labels = [episode.labels for episode in episodes]
    folds = [number % min(config.heads, len(episodes)) for number in range(len(episodes))]
    fit_readout(model.level, list(zip(places, labels, strict=True)), folds)
    steps = [
        (step_numbers(place, config), each[config.stride :] - each[: -config.stride])
        for place, each in zip(places, labels, strict=True)
        if len(each) > config.stride
    ]
    fit_readout(
        model.step, steps, [fold for fold, each in zip(folds, labels, strict=True) if len(each) > config.stride]
    )
    model.spread.copy_(torch.cat(labels).double().std(0).clamp(min=LEAST_SCALE * float(torch.cat(labels).std())))
    errors = [
        together(model, place, (fold,))[0] - each for place, each, fold in zip(places, labels, folds, strict=True)
    ]
    model.sigma.copy_(torch.cat(errors).square().mean(0).sqrt())
    return model


def find_parts(episodes: list[Watched], count: int, generator: torch.Generator) -> Float[Tensor, "p c"]:
    """Typical looks of what moves: spherical k-means (Dhillon & Modha 2001)."""
    points = torch.cat([moving_points(episode, generator) for episode in episodes])
    centres = points[torch.randint(len(points), (count,), generator=generator)]
    for _ in range(ROUNDS):
        nearest = (points @ centres.T).argmax(1)
        sums = torch.zeros_like(centres).index_add_(0, nearest, points)
        lonely = sums.norm(dim=1, keepdim=True) == 0
        centres = functional.normalize(torch.where(lonely, centres, sums), dim=1)
    return centres


def moving_points(episode: Watched, generator: torch.Generator) -> Float[Tensor, "n c"]:
    """Looks of places that differ from the video's median."""
    seen = episode.seen[::EVERY].float()
    change = lively(episode.seen)[::EVERY]
    limit = torch.stack([each.flatten().quantile(LIVELY_QUANTILE) for each in change]).median()
    points = functional.normalize(seen.permute(0, 2, 3, 1)[change >= limit], dim=1)
    return points[torch.randperm(len(points), generator=generator)[:POINTS]]


def fit_readout(readout: Readout, episodes: Pairs, folds: list[int]) -> None:
    """Fit every head to the episodes that are not in its fold (in place), as stiffly as serves those in it best."""
    given = torch.cat([given for given, _ in episodes])
    readout.middle.copy_(given.mean(0))
    readout.scale.copy_(given.std(0) + LEAST_SCALE)
    fits = [fit_head(readout, taught(episodes, folds, head)) for head in range(len(readout.weight))]
    usual = torch.cat([wanted for _, wanted in episodes]).std(0).clamp(min=1e-9)
    best = None
    for choice in range(len(STIFFNESS)):
        heads = [fit[choice] for fit in fits]
        errors = []
        for (numbers, wanted), fold in zip(episodes, folds, strict=True):
            weight, bias = heads[fold]
            errors.append(((numbers - readout.middle) / readout.scale) @ weight + bias - wanted)
        sigma = torch.cat(errors).square().mean(0).sqrt()
        score = float((sigma / usual).clamp(max=1).mean())
        if best is None or score < best[0]:
            best = (score, heads, sigma)
    _, heads, sigma = best
    readout.weight.copy_(torch.stack([weight for weight, _ in heads]))
    readout.bias.copy_(torch.stack([bias for _, bias in heads]))
    readout.sigma.copy_(sigma.clamp(min=1e-9))


def taught(episodes: Pairs, folds: list[int], head: int) -> Pairs:
    """What a head learns from: all but its fold; everything where there is nothing else."""
    return [pair for pair, fold in zip(episodes, folds, strict=True) if fold != head] or episodes


def fit_head(readout: Readout, episodes: Pairs) -> list[tuple[Float[Tensor, "n d"], Float[Tensor, " d"]]]:
    """Ridge regression, for each stiffness: weights and bias for numbers that are brought to mean 0 and spread 1."""
    given = ((torch.cat([given for given, _ in episodes]) - readout.middle) / readout.scale).double()
    wanted = torch.cat([wanted for _, wanted in episodes]).double()
    middle, mean = given.mean(0), wanted.mean(0)
    given = given - middle
    alike, towards = given.T @ given, given.T @ (wanted - mean)
    ridge = len(given) * torch.eye(given.shape[1], dtype=torch.float64)
    weights = [torch.linalg.solve(alike + stiffness * ridge, towards) for stiffness in STIFFNESS]
    return [(weight.float(), (mean - middle @ weight).float()) for weight in weights]
