import torch

from m2iv_robot.augment.learned import lies_between
from m2iv_robot.placement import Place
from m2iv_robot.plan import Plan, PlannedScene
from m2iv_robot.types import Placement, Plate

HEIGHT, WIDTH = 40, 60


def spot(x: int, y: int) -> torch.Tensor:
    mask = torch.zeros(HEIGHT, WIDTH, dtype=torch.bool)
    mask[y - 2 : y + 3, x - 2 : x + 3] = True
    return mask


def plan(kind: str, start: torch.Tensor, goal: torch.Tensor) -> Plan:
    return Plan(0, Placement(kind, start, goal, (0.0, 0.0), 1.0, None, 0.0, None), None)


def scene(*places: tuple[float, float]) -> PlannedScene:
    plate = Plate(torch.zeros(3, HEIGHT, WIDTH, dtype=torch.uint8), torch.ones(HEIGHT, WIDTH, dtype=torch.bool))
    return PlannedScene("pose", (0,), plate, plate.known, None, 0.0, tuple(Place(place, None) for place in places))


def test_a_place_inside_the_hull_of_recorded_ones_lies_between_them():
    recorded = scene((10.0, 10.0), (50.0, 10.0), (30.0, 35.0))
    assert lies_between(plan("start", spot(30, 20), spot(55, 35)), recorded)
    assert not lies_between(plan("start", spot(50, 30), spot(30, 20)), recorded)
    assert lies_between(plan("goal", spot(50, 30), spot(30, 20)), recorded)


def test_two_recorded_places_enclose_nothing():
    assert not lies_between(plan("start", spot(30, 10), spot(30, 30)), scene((10.0, 10.0), (50.0, 10.0)))
