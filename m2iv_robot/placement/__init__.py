"""Where the object could have started, or ended: reachable, visible, free places on its support."""

from m2iv_robot.placement.config import PlacementConfig
from m2iv_robot.placement.rest import likeness, resting_mask
from m2iv_robot.placement.sampling import Place, Refusal, Scene, Turning, place_at, sample_placements
from m2iv_robot.placement.support import find_support, on_the_plane, polygon_mask, stands_elsewhere

__all__ = [
    "Place",
    "PlacementConfig",
    "Refusal",
    "Scene",
    "Turning",
    "find_support",
    "likeness",
    "on_the_plane",
    "place_at",
    "polygon_mask",
    "resting_mask",
    "sample_placements",
    "stands_elsewhere",
]
