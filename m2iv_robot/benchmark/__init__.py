"""Figures that `m2iv benchmark benchmark=NAME` prints: one module each, a config dataclass and `run(config) -> dict`."""
