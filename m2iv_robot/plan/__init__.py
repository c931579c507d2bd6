"""New placements and the robot's motion for each, for a whole dataset."""

from m2iv_robot.plan.dataset import plan_dataset
from m2iv_robot.plan.files import read_plans, write_plans
from m2iv_robot.plan.page import draw_scene, write_drawings, write_plan_page
from m2iv_robot.plan.records import Plan, PlanConfig, PlannedScene, PlanReport, PlanTask, RefusedPlan, refused_places
from m2iv_robot.plan.turning import arm_is_posed

__all__ = [
    "Plan",
    "PlanConfig",
    "PlanReport",
    "PlanTask",
    "PlannedScene",
    "RefusedPlan",
    "arm_is_posed",
    "draw_scene",
    "plan_dataset",
    "read_plans",
    "refused_places",
    "write_drawings",
    "write_plan_page",
    "write_plans",
]
