"""An arm whose joints are known: its camera from its outline, and pictures of it in new postures from real pixels."""

from m2iv_robot.arm.contour import align, misfit
from m2iv_robot.arm.film import ArmFilm
from m2iv_robot.arm.outline import Beads, OutlineFit, SeenArm, fit_outline
from m2iv_robot.arm.records import ArmFootage, ArmShot
from m2iv_robot.arm.shadow import Light, cast, study_light
from m2iv_robot.arm.shape import placed, splat
from m2iv_robot.arm.whole import MOST_MISFIT, ArmRecording, has_surface, on_its_surface

__all__ = [
    "MOST_MISFIT",
    "ArmFilm",
    "ArmFootage",
    "ArmRecording",
    "ArmShot",
    "Beads",
    "Light",
    "OutlineFit",
    "SeenArm",
    "align",
    "cast",
    "fit_outline",
    "has_surface",
    "misfit",
    "on_its_surface",
    "placed",
    "splat",
    "study_light",
]
