"""A camera on the tool: how it is mounted, and what it would see on a way that the tool never took."""

from m2iv_robot.wrist.film import ToolFilm
from m2iv_robot.wrist.floor import Floor, filled_from, floor_below
from m2iv_robot.wrist.mount import Mount, Tracks, fit_mount, joined, track
from m2iv_robot.wrist.records import ToolFootage, ToolLab, ToolMotion
from m2iv_robot.wrist.survey import Survey, survey

__all__ = [
    "Floor",
    "Mount",
    "Survey",
    "ToolFilm",
    "ToolFootage",
    "ToolLab",
    "ToolMotion",
    "Tracks",
    "filled_from",
    "fit_mount",
    "floor_below",
    "joined",
    "survey",
    "track",
]
