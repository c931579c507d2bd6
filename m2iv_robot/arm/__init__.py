"""An arm whose joints are known: its camera from its outline, and pictures of it in new postures from real pixels."""

from m2iv_robot.arm.contour import align
from m2iv_robot.arm.film import ArmFilm, ArmFootage, ArmShot
from m2iv_robot.arm.outline import Beads, OutlineFit, SeenArm, fit_outline
from m2iv_robot.arm.shadow import Light, cast, study_light
from m2iv_robot.arm.shape import placed, splat

__all__ = [
    "ArmFilm",
    "ArmFootage",
    "ArmShot",
    "Beads",
    "Light",
    "OutlineFit",
    "SeenArm",
    "align",
    "cast",
    "fit_outline",
    "placed",
    "splat",
    "study_light",
]
