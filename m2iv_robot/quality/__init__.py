"""Which generated episodes are good enough to be written: one small function per check, thresholds in one config."""

from m2iv_robot.quality.config import QualityConfig
from m2iv_robot.quality.context import SourceContext
from m2iv_robot.quality.gate import CHECKS, QualityGate
from m2iv_robot.quality.recorded import recorded_candidate

__all__ = ["CHECKS", "QualityConfig", "QualityGate", "SourceContext", "recorded_candidate"]
