"""Figures that `m2iv benchmark benchmark=NAME` prints: one module per benchmark, with its config and `run(config) -> dict`."""
