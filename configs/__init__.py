"""Hydra configuration: one file per command, one folder per dataclass."""
