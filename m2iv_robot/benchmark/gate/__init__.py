"""How many good episodes the quality gate lets pass and how many known-bad ones it rejects."""

from m2iv_robot.benchmark.gate.benchmark import GateBenchmarkConfig, run

__all__ = ["GateBenchmarkConfig", "run"]
