"""Episodes in and out: LeRobot datasets, masks on disk, training clips, simulated robots."""
