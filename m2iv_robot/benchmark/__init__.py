"""What `m2iv benchmark benchmark=NAME` measures: one module each, a config dataclass and `run(config) -> dict`."""
