"""Tables from finished clips. What is infinite or undefined becomes null: JSON knows neither."""

import math
from dataclasses import dataclass
from statistics import NormalDist, mean, median, stdev

import torch
from jaxtyping import Float
from torch import Tensor

from m2iv_robot.benchmark.generation.cache import Result
from m2iv_robot.benchmark.generation.rows import REAL
from m2iv_robot.metrics.fvd import (
    MIN_CLIPS,
    fvd,
    interval,
    interval_of_difference,
    resampled_distances,
)

LEAD = "lpips_region"
INDEPENDENT = "st_lpips_alex_region"
QUALITY = (
    LEAD, INDEPENDENT, "psnr", "ssim", "psnr_region", "ssim_region", "lpips", "sharpness_region",
    "background_change_levels",
)  # fmt: skip
WITH_INTERVALS = (LEAD, INDEPENDENT, "psnr", "ssim", "psnr_region")
LOWER_IS_BETTER = (LEAD, INDEPENDENT, "lpips")
Z_95 = NormalDist().inv_cdf(0.975)
WORST = 3


@dataclass(frozen=True)
class SetResults:
    """Finished clips of one set: row -> clip -> result. Every row has the same clips."""

    name: str
    rows: dict[str, dict[str, Result]]
    seed: int


def without_real(found: SetResults) -> dict[str, dict[str, Result]]:
    """The rows that made something."""
    return {row: results for row, results in found.rows.items() if row != REAL}


def scores_of(results: dict[str, Result], score: str) -> list[float]:
    """A score of every clip that has one; infinite ones included."""
    values = [result.scores.get(score, math.nan) for result in results.values()]
    return [value for value in values if not math.isnan(value)]


def plain(value: float | None, digits: int = 4) -> float | None:
    """A figure as JSON takes it: None for what is not finite."""
    return None if value is None or not math.isfinite(value) else round(value, digits)


def mean_of(results: dict[str, Result], score: str) -> float | None:
    """Mean over the clips that have the score; None where none has, or one is infinite."""
    values = scores_of(results, score)
    return plain(mean(values)) if values else None


def mean_interval(values: list[float]) -> list[float | None]:
    """95 % interval of a mean over clips, clips taken as independent."""
    if len(values) < 2 or not all(map(math.isfinite, values)):
        return [None, None]
    margin = Z_95 * stdev(values) / math.sqrt(len(values))
    return [plain(mean(values) - margin), plain(mean(values) + margin)]


def quality_table(found: SetResults) -> list[dict]:
    """Means over clips against the real frames, FVD, and the seconds that a clip took."""
    table = []
    for row, results in without_real(found).items():
        figures = {score: mean_of(results, score) for score in QUALITY}
        seconds = [result.seconds for result in results.values()]
        head = {"set": found.name, "row": row, "clips": len(results), LEAD: figures.pop(LEAD)}
        table.append({**head, "fvd": plain(distance(found, row), 1), **figures, "seconds": plain(median(seconds), 2)})
    return table


def interval_table(found: SetResults) -> list[dict]:
    """95 % intervals of the leading figures."""
    table = []
    for row, results in without_real(found).items():
        line: dict = {"set": found.name, "row": row}
        line |= {score: mean_interval(scores_of(results, score)) for score in WITH_INTERVALS}
        value, resampled = distance(found, row), resamples(found, row)
        line["fvd"] = None if value is None else [plain(end, 1) for end in interval(value, resampled)]
        table.append(line)
    return table


def comparison_table(found: SetResults, best: str = "ours") -> list[dict]:
    """`best` less every other row, clip by clip, with 95 % intervals; positive or negative as the score goes."""
    if best not in found.rows:
        return []
    ours, table = found.rows[best], []
    for row, results in without_real(found).items():
        if row == best:
            continue
        line: dict = {"set": found.name, "row": f"{best} - {row}"}
        for score in WITH_INTERVALS:
            pairs = [
                (ours[clip].scores.get(score, math.nan), results[clip].scores.get(score, math.nan)) for clip in ours
            ]
            differences = [one - other for one, other in pairs if math.isfinite(one) and math.isfinite(other)]
            line[score] = plain(mean(differences)) if differences else None
            line[f"{score}_interval"] = mean_interval(differences)
            won = sum(value < 0 if score in LOWER_IS_BETTER else value > 0 for value in differences)
            line[f"{score}_clips_won_percent"] = plain(100 * won / len(differences), 1) if differences else None
        table.append(line | fvd_difference(found, best, row))
    return table


def control_table(found: SetResults) -> list[dict]:
    """Where the object went in the frames segmented again. A lost object counts as infinitely far in the median."""
    table = []
    for row, results in found.rows.items():
        errors = scores_of(results, "place_error_percent")
        contacts = scores_of(results, "contact_percent")
        if not errors:
            continue
        table.append(
            {
                "set": found.name,
                "row": row,
                "clips": len(errors),
                "place_error_percent_median": plain(median(errors), 1),
                "within_25_percent": plain(100 * sum(error <= 25 for error in errors) / len(errors), 1),
                "object_lost": sum(map(math.isinf, errors)),
                "final_iou": mean_of(results, "final_iou"),
                "contact_percent": mean_of(results, "contact_percent"),
                "contact_wanted_percent": mean_of(results, "contact_wanted_percent"),
                "touching_throughout_percent": plain(100 * sum(c >= 100 for c in contacts) / len(contacts), 1)
                if contacts
                else None,
                "doubled_percent": mean_of(results, "doubled_percent"),
                "left_behind_percent": mean_of(results, "left_behind_percent"),
                "ghost": mean_of(results, "ghost"),
            }
        )
    return table


def worst_table(found: SetResults) -> list[dict]:
    """The clips in which each row is farthest from the real frames where it matters."""
    table = []
    for row, results in without_real(found).items():
        for clip in ranked(results)[:WORST]:
            scores = results[clip].scores
            shown = {
                name: plain(scores[name]) for name in (LEAD, "psnr_region", "place_error_percent") if name in scores
            }
            table.append({"set": found.name, "row": row, "clip": clip, **shown})
    return table


def ranked(results: dict[str, Result]) -> list[str]:
    """Clips, the worst by the leading score first; where that is not measured, by how far the object is off."""

    def badness(clip: str) -> float:
        scores = results[clip].scores
        value = scores.get(LEAD, scores.get("place_error_percent", math.nan))
        return -math.inf if math.isnan(value) else value

    return sorted(results, key=badness, reverse=True)


def features_of(found: SetResults, row: str) -> tuple[Float[Tensor, "n d"], Float[Tensor, "n d"]] | None:
    """I3D features of the real clips and of a row's, clip for clip; None for too few."""
    real, made = found.rows.get(REAL, {}), found.rows[row]
    clips = [clip for clip in real if real[clip].features is not None and made[clip].features is not None]
    if len(clips) < MIN_CLIPS:
        return None
    return torch.stack([real[clip].features for clip in clips]), torch.stack([made[clip].features for clip in clips])


def distance(found: SetResults, row: str) -> float | None:
    """FVD of a row; None where too few clips were embedded."""
    features = features_of(found, row)
    return None if features is None else fvd(*features)


def resamples(found: SetResults, row: str) -> Float[Tensor, " r"] | None:
    """FVD of bootstrap resamples; all rows of a set see the same draws."""
    features = features_of(found, row)
    return None if features is None else resampled_distances(*features, torch.Generator().manual_seed(found.seed))


def fvd_difference(found: SetResults, best: str, row: str) -> dict:
    """FVD of `best` less that of another row, with its interval."""
    values, drawn = (distance(found, best), distance(found, row)), (resamples(found, best), resamples(found, row))
    if None in values:
        return {"fvd": None, "fvd_interval": None}
    ends = interval_of_difference(values, drawn)
    return {"fvd": plain(values[0] - values[1], 1), "fvd_interval": [plain(end, 1) for end in ends]}
