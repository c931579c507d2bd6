"""How a measured value becomes a check's result."""

import math

from m2iv_robot.types import CheckResult

WORST = 99.0  # stands for infinitely bad: results are written as JSON


def at_most(name: str, value: float, limit: float) -> CheckResult:
    """Passed up to the limit; a value that is not a number fails."""
    value = _finite(value)
    return CheckResult(name, value, limit, value <= limit)


def at_least(name: str, value: float, limit: float) -> CheckResult:
    """Passed from the limit on; a value that is not a number fails."""
    value = -WORST if math.isnan(value) else min(max(float(value), -WORST), WORST)
    return CheckResult(name, value, limit, value >= limit)


def _finite(value: float) -> float:
    return WORST if math.isnan(value) else min(max(float(value), -WORST), WORST)
