"""Episodes take turns in planning; those that have only strange places left wait until the others have none."""

from collections import deque

import torch

from m2iv_robot.placement import Place, Scene
from m2iv_robot.plan.dataset import _Desk, _Planner, _share_out
from m2iv_robot.plan.records import Plan, PlannedScene, RefusedPlan
from m2iv_robot.types import Placement, Plate

SPOT = torch.ones(2, 2, dtype=torch.bool)
POSE = PlannedScene("pose_00", (0, 1), Plate(torch.zeros(3, 2, 2, dtype=torch.uint8), SPOT), SPOT, None, 0.0, ())


class Planner(_Planner):
    """Has so many usual places and so many strange ones."""

    def __init__(self, index: int, usual: int, strange: int) -> None:
        self.index, self.usual, self.strange, self.only_usual = index, usual, strange, True
        self.scene = Scene(SPOT, SPOT, SPOT, SPOT)

    def settle_for_less(self) -> bool:
        news, self.only_usual = self.only_usual, False
        return news

    def next_plan(self, taken: list[Place]) -> tuple[Plan | None, list[RefusedPlan]]:
        if self.usual:
            self.usual -= 1
        elif self.strange and not self.only_usual:
            self.strange -= 1
        else:
            return None, [RefusedPlan(self.index, (0.0, 0.0), None, "no")]
        return Plan(self.index, Placement("start", SPOT, SPOT, (0.0, 0.0), 1.0, None, 0.0, None), None), []


def made(count: int, *planners: Planner) -> tuple[list[int], list[int]]:
    desk = _Desk(POSE, deque(planners))
    _share_out([desk], count, lambda *_: None)
    return [plan.source_episode for plan in desk.plans], [refusal.source_episode for refusal in desk.refusals]


def test_others_plan_what_one_has_only_strange_places_for():
    plans, refusals = made(4, Planner(0, 1, 5), Planner(1, 9, 0))
    assert plans == [0, 1, 1, 1]
    assert not refusals


def test_strange_places_are_taken_when_no_usual_one_is_left():
    plans, refusals = made(6, Planner(0, 1, 2), Planner(1, 1, 1))
    assert plans == [0, 1, 0, 1, 0]
    assert sorted(refusals) == [0, 1]
