"""New pick-and-place episodes from a few real ones: masks, placements, motion plans, video, LeRobot datasets."""

__version__ = "0.1.0"
