"""The gate: every check of a candidate, and the verdict."""

import dataclasses
from collections.abc import Callable

from m2iv_robot.errors import ConfigError
from m2iv_robot.quality import labels, looks, motion, place
from m2iv_robot.quality.config import QualityConfig
from m2iv_robot.quality.context import SourceContext
from m2iv_robot.quality.evidence import Case, examine
from m2iv_robot.quality.recorded import recorded, source_case
from m2iv_robot.quality.verdict import at_least, at_most
from m2iv_robot.segmentation import Segmenter
from m2iv_robot.types import Candidate, CheckResult, QualityReport

# From labels and whole pictures alone: cheap, so they come first.
QUICK_CHECKS: dict[str, Callable[[Candidate, SourceContext, QualityConfig], CheckResult | None]] = {
    "order": motion.order,
    "frozen": motion.frozen,
    "label_speed": labels.label_speed,
    "action_error": labels.action_error,
    "labeller_error": labels.labeller_error,
}
# From frames that are segmented again.
SEEN_CHECKS: dict[str, Callable[[Case, QualityConfig], CheckResult | None]] = {
    "start_error": place.start_error,
    "goal_error": place.goal_error,
    "object_seen": place.object_seen,
    "held_seen": place.held_seen,
    "object_size": place.object_size,
    "object_torn": place.object_torn,
    "object_doubled": place.object_doubled,
    "left_behind": place.left_behind,
    "object_drift": place.object_drift,
    "object_colour": looks.object_colour,
    "object_flicker": looks.object_flicker,
    "actor_colour": looks.actor_colour,
    "background_change": looks.background_change,
    "contact": motion.contact,
    "contact_after": motion.contact_after,
    "object_speed": motion.object_speed,
    "path_error": labels.path_error,
    "label_lag": labels.label_lag,
    "held_agreement": labels.held_agreement,
}
CHECKS = (*QUICK_CHECKS, *SEEN_CHECKS)
# What real video does to some extent is not held against a candidate as far as its source does it. The other checks
# compare with the source already, or are about what was asked for.
EXCUSABLE = frozenset(
    (
        "action_error",
        "object_seen",
        "object_torn",
        "object_doubled",
        "left_behind",
        "object_drift",
        "object_colour",
        "object_flicker",
        "actor_colour",
        "background_change",
        "contact",
        "path_error",
        "label_lag",
        "held_agreement",
    )
)
LIMITS = frozenset(field.name for field in dataclasses.fields(QualityConfig))


class QualityGate:
    """Judges candidates by what their frames show, never by the masks that they were made from."""

    def __init__(self, config: QualityConfig, segmenter: Segmenter) -> None:
        unknown = sorted(set(config.skip) - set(CHECKS))
        if unknown:
            raise ConfigError(f"quality.skip: no check {unknown[0]!r}; known are {', '.join(CHECKS)}")
        self.config, self.segmenter = config, segmenter

    def assess(self, candidate: Candidate, context: SourceContext) -> QualityReport:
        """Every check that can be made; one that the data do not allow (no labels, no camera) is left out.

        Raises:
            SegmentationError: the source has no mask of its object.
        """
        quick = judge_quickly(candidate, context, self.config)
        if self.config.stop_early and not all(result.passed for result in quick):
            return QualityReport(quick)
        case = examine(candidate, context, self.segmenter, self.config)
        return QualityReport(quick + judge(case, self.config))


def judge_quickly(candidate: Candidate, context: SourceContext, config: QualityConfig) -> tuple[CheckResult, ...]:
    """The results of the checks that need no segmentation."""
    results = []
    for name in (name for name in QUICK_CHECKS if name not in config.skip):
        check = QUICK_CHECKS[name]
        result = check(candidate, context, config)
        if result is not None and not result.passed and name in EXCUSABLE:
            own = recorded(context)
            result = excused(result, None if own is None else check(own, context, config))
        results.append(result)
    return tuple(result for result in results if result is not None)


def judge(case: Case, config: QualityConfig) -> tuple[CheckResult, ...]:
    """The results of the other checks."""
    results = []
    for name in (name for name in SEEN_CHECKS if name not in config.skip):
        check = SEEN_CHECKS[name]
        result = check(case, config)
        if result is not None and not result.passed and name in EXCUSABLE:
            own = source_case(case.context, config)
            result = excused(result, None if own is None else check(own, config))
        results.append(result)
    return tuple(result for result in results if result is not None)


def excused(result: CheckResult, source: CheckResult | None) -> CheckResult:
    """A failed check, its limit widened by what the source itself shows: to twice, or half, of it at most."""
    if source is None:
        return result
    if f"min_{result.name}" in LIMITS:
        return at_least(result.name, result.value, result.threshold * min(max(source.value, 0.5), 1.0))
    return at_most(result.name, result.value, result.threshold + min(max(source.value, 0.0), result.threshold))
