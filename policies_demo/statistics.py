"""How sure a success rate is, how sure a difference is, and how many real episodes a gain is worth."""

import math
from dataclasses import dataclass

import numpy as np

from m2iv_robot.errors import ConfigError

SURE = 1.959963984540054  # standard normal quantile of a two-sided 95 % interval
DRAWS = 20_000


@dataclass(frozen=True)
class Rate:
    """Successes out of attempts."""

    successes: int
    attempts: int

    def __post_init__(self) -> None:
        if not 0 <= self.successes <= self.attempts or self.attempts == 0:
            raise ConfigError(f"{self.successes} successes of {self.attempts} attempts is no rate")

    @property
    def share(self) -> float:
        """Successes per attempt."""
        return self.successes / self.attempts

    def __add__(self, other: "Rate") -> "Rate":
        return Rate(self.successes + other.successes, self.attempts + other.attempts)


def wilson(rate: Rate) -> tuple[float, float]:
    """95 % confidence interval of a share.

    Source: Wilson 1927, "Probable Inference, the Law of Succession, and Statistical Inference".
    """
    count, share, square = rate.attempts, rate.share, SURE**2
    centre = (share + square / (2 * count)) / (1 + square / count)
    reach = SURE * math.sqrt(share * (1 - share) / count + square / (4 * count**2)) / (1 + square / count)
    return max(0.0, centre - reach), min(1.0, centre + reach)


def difference(first: Rate, second: Rate) -> tuple[float, float]:
    """95 % confidence interval of `first` minus `second`, as shares; above 0: the first is better beyond doubt.

    Source: Newcombe 1998, "Interval estimation for the difference between independent proportions", method 10.
    """
    (low_first, high_first), (low_second, high_second) = wilson(first), wilson(second)
    gap = first.share - second.share
    down = math.hypot(first.share - low_first, high_second - second.share)
    up = math.hypot(high_first - first.share, second.share - low_second)
    return gap - down, gap + up


def worth(few: Rate, many: Rate, generated: Rate, more_episodes: int, seed: int = 0) -> dict[str, float | None]:
    """How many more real episodes give what the generated ones give, between `few` real ones and `more_episodes` more.

    Straight between the two, and no further: a value of `more_episodes` says "at least that many". The interval is
    that of the middle 90 % of what the three rates may really be (beta distributions, Jeffreys' prior). None where
    more real episodes did not help, so that nothing can be told.
    """
    if many.share <= few.share:
        return {"episodes": None, "low": None, "high": None, "at_most_told": float(more_episodes)}
    generator = np.random.default_rng(seed)
    low, high, mine = (
        generator.beta(rate.successes + 0.5, rate.attempts - rate.successes + 0.5, DRAWS)
        for rate in (few, many, generated)
    )
    gain = np.maximum(high - low, 1e-9)
    drawn = np.clip((mine - low) / gain, 0, 1) * more_episodes
    value = min(max((generated.share - few.share) / (many.share - few.share), 0.0), 1.0) * more_episodes
    return {
        "episodes": value,
        "low": float(np.percentile(drawn, 5)),
        "high": float(np.percentile(drawn, 95)),
        "at_most_told": float(more_episodes),
    }
