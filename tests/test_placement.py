"""Placements on made plates: one surface, things on it, a wall behind, a camera looking straight down or aslant."""

import dataclasses

import numpy as np
import pytest
import torch
from scipy.spatial.transform import Rotation

from m2iv_robot.camera import Camera
from m2iv_robot.errors import ConfigError, PlanError
from m2iv_robot.masks import area, centroid
from m2iv_robot.placement import (
    Place,
    PlacementConfig,
    Scene,
    find_support,
    likeness,
    on_the_plane,
    place_at,
    polygon_mask,
    resting_mask,
    sample_placements,
    stands_elsewhere,
)
from m2iv_robot.types import Plate

HEIGHT, WIDTH = 120, 160
WALL_ROWS = 30


def disc(x: float, y: float, radius: float) -> torch.Tensor:
    rows, columns = torch.meshgrid(torch.arange(HEIGHT), torch.arange(WIDTH), indexing="ij")
    return (columns - x) ** 2 + (rows - y) ** 2 <= radius**2


@pytest.fixture
def plate() -> Plate:
    """A mottled brown table under a grey wall, with a red thing and a white plate on it, darker to the right."""
    noise = np.random.default_rng(0).normal(0, 6, (HEIGHT, WIDTH, 1))
    image = np.broadcast_to([150.0, 110.0, 70.0], (HEIGHT, WIDTH, 3)) + noise
    image = image * np.linspace(1.1, 0.8, WIDTH)[None, :, None]
    image[:WALL_ROWS] = [90, 95, 100]
    for thing, colour in ((disc(40, 90, 7), [180, 20, 20]), (disc(120, 60, 14), [235, 235, 235])):
        image[thing.numpy()] = colour
    pixels = torch.from_numpy(np.clip(image, 0, 255).astype(np.uint8)).permute(2, 0, 1)
    return Plate(pixels, torch.ones(HEIGHT, WIDTH, dtype=torch.bool))


@pytest.fixture
def places() -> list[torch.Tensor]:
    return [disc(70, 70, 4), disc(90, 100, 4)]


@pytest.fixture
def scene(plate, places) -> Scene:
    support = find_support(plate, places, PlacementConfig())
    return Scene(places[0], places[1], disc(20, 50, 15), support)


def test_the_support_is_the_surface_around_the_object_without_walls_and_other_things(plate, places):
    support = find_support(plate, places, PlacementConfig())
    table = torch.ones(HEIGHT, WIDTH, dtype=torch.bool)
    table[:WALL_ROWS] = False
    things = disc(40, 90, 7) | disc(120, 60, 14)
    assert not (support & things).any()
    assert not support[: WALL_ROWS - 2].any()
    far = table & ~disc(40, 90, 12) & ~disc(120, 60, 19)
    far[: WALL_ROWS + 5] = False
    assert float(support[far].float().mean()) > 0.97


def test_a_wall_behind_a_standing_object_is_no_support(plate):
    tall = [disc(80, WALL_ROWS - 2, 8), disc(50, WALL_ROWS, 8)]
    support = find_support(plate, tall, PlacementConfig())
    assert not support[: WALL_ROWS - 2].any()
    assert float(support[WALL_ROWS + 12 :].float().mean()) > 0.8


def test_an_object_on_the_plate_stands_elsewhere_than_on_the_table(plate, places):
    support = find_support(plate, places, PlacementConfig())
    assert stands_elsewhere(support, disc(120, 60, 4), plate)
    assert not stands_elsewhere(support, disc(70, 100, 4), plate)


def test_placements_are_whole_on_free_support_and_away_from_the_goal(scene, generator):
    placements, refusals = sample_placements(scene, PlacementConfig(), 40, generator)
    assert len(placements) == 40
    assert not refusals
    for placement in placements:
        assert int(area(placement.start)) == pytest.approx(int(area(scene.start)), abs=8)
        assert not (placement.start & scene.robot).any()
        assert float(scene.support[placement.start].float().mean()) > 0.9
        apart = torch.linalg.vector_norm(centroid(placement.start) - centroid(scene.goal))
        assert float(apart) >= 2 * 7 - 1
        assert placement.nearest_real_px == pytest.approx(np.hypot(*placement.shift_px), abs=1e-6)
        assert torch.equal(placement.goal, scene.goal)
        assert placement.shift_m is None


def test_placements_are_spread_more_evenly_than_chance(scene, generator):
    def nearest(config: PlacementConfig) -> float:
        placements, _ = sample_placements(scene, config, 30, generator)
        places = np.stack([centroid(placement.start).numpy() for placement in placements])
        distances = np.linalg.norm(places[:, None] - places[None], axis=2) + 1e9 * np.eye(len(places))
        return float(distances.min(axis=1).mean())

    assert nearest(PlacementConfig(candidates=30)) > 1.5 * nearest(PlacementConfig(candidates=1))


def test_one_seed_makes_one_set_of_placements(scene):
    def shifts(seed: int) -> list:
        made, _ = sample_placements(scene, PlacementConfig(), 5, torch.Generator().manual_seed(seed))
        return [placement.shift_px for placement in made]

    assert shifts(3) == shifts(3)
    assert shifts(3) != shifts(4)


def test_with_a_camera_size_and_shift_follow_the_plane(scene, generator):
    rotation = Rotation.from_euler("x", np.pi - 0.6).as_matrix()
    camera = Camera(150.0, WIDTH, HEIGHT, rotation, -rotation @ np.array([0.0, -0.5, 0.8]))
    wide = dataclasses.replace(scene, camera=camera, plane_z_m=0.02, support=torch.ones_like(scene.support))
    placements, _ = sample_placements(wide, PlacementConfig(), 10, generator)
    old = camera.unproject(centroid(scene.start).double().numpy()[None], 0.02)
    for placement in placements:
        new = old + np.array([*placement.shift_m, 0.0])
        assert camera.project(new)[0] - camera.project(old)[0] == pytest.approx(placement.shift_px, abs=1e-3)
        assert placement.scale == pytest.approx(camera.depth_m(old)[0] / camera.depth_m(new)[0])
        assert int(area(placement.start)) == pytest.approx(placement.scale**2 * int(area(scene.start)), rel=0.25)
        assert placement.nearest_real_m == pytest.approx(float(np.hypot(*placement.shift_m)), abs=1e-6)


def test_the_arms_reach_bounds_placements(scene, generator):
    turn = Rotation.from_euler("x", np.pi).as_matrix()
    camera = Camera(150.0, WIDTH, HEIGHT, turn, -turn @ np.array([0.0, 0.0, 1.0]))
    bounded = dataclasses.replace(scene, camera=camera, reach=lambda points: points[:, 0] > 0.1)
    placements, _ = sample_placements(bounded, PlacementConfig(), 10, generator)
    points = camera.unproject(np.stack([centroid(p.start).double().numpy() for p in placements]), 0.0)
    assert points[:, 0].min() > 0.09


def test_what_is_not_feasible_is_listed_with_its_reason(scene, generator):
    def left_only(placement) -> None:
        if placement.shift_px[0] > 0:
            raise PlanError("too far right")

    placements, refusals = sample_placements(scene, PlacementConfig(), 6, generator, left_only)
    assert len(placements) == 6
    assert all(placement.shift_px[0] <= 0 for placement in placements)
    assert refusals
    assert {entry.reason for entry in refusals} == {"too far right"}


def test_new_places_keep_away_from_those_taken(scene, generator):
    taken = tuple(Place((float(x), float(y)), None) for x in range(0, 100, 8) for y in range(30, 120, 8))
    placements, _ = sample_placements(dataclasses.replace(scene, taken=taken), PlacementConfig(), 5, generator)
    assert all(float(centroid(placement.start)[0]) > 90 for placement in placements)


def test_a_goal_is_moved_and_the_start_kept(scene, generator):
    placements, _ = sample_placements(scene, PlacementConfig(kind="goal"), 3, generator)
    assert all(torch.equal(placement.start, scene.start) for placement in placements)
    assert all(not torch.equal(placement.goal, scene.goal) for placement in placements)


def test_an_asked_place_is_taken_exactly_even_off_the_support_or_refused_with_why(scene):
    bare = dataclasses.replace(scene, support=torch.zeros_like(scene.support))
    placement = place_at(bare, PlacementConfig(), (60.0, 90.0))
    torch.testing.assert_close(centroid(placement.start), torch.tensor([60.0, 90.0]), atol=0.5, rtol=0)
    assert torch.equal(placement.goal, scene.goal)
    goal = tuple(centroid(scene.goal).tolist())
    for place, why in (((1.0, 60.0), "outside the frame"), (goal, "other end")):
        with pytest.raises(PlanError, match=why):
            place_at(scene, PlacementConfig(), place)


def test_no_room_is_said(scene, generator):
    nowhere = dataclasses.replace(scene, support=disc(70, 70, 3))
    with pytest.raises(PlanError, match="no free place"):
        sample_placements(nowhere, PlacementConfig(), 3, generator)


def test_a_polygon_is_filled_and_one_outside_is_refused():
    inside = polygon_mask([10.0, 10.0, 50.0, 10.0, 50.0, 40.0, 10.0, 40.0], HEIGHT, WIDTH)
    assert int(area(inside)) == 41 * 31
    with pytest.raises(PlanError, match="outside the frame"):
        polygon_mask([500.0, 500.0, 600.0, 500.0, 600.0, 600.0], HEIGHT, WIDTH)


def test_the_resting_mask_is_one_in_which_nothing_hides_the_object():
    masks = torch.zeros(10, HEIGHT, WIDTH, dtype=torch.bool)
    masks[:] = disc(50, 60, 6)
    masks[6:, :60] = False
    assert torch.equal(resting_mask(masks, (0, 10)), disc(50, 60, 6))
    with pytest.raises(PlanError, match="not seen in frames 2 to 4"):
        resting_mask(torch.zeros_like(masks), (2, 5))


@pytest.mark.parametrize(
    "wrong", [{"kind": "both"}, {"polygon_px": [1.0, 2.0]}, {"candidates": 0}, {"apart_sizes": -1.0}, {"turn": "left"}]
)
def test_bad_settings_are_refused(wrong):
    with pytest.raises(ConfigError, match="placement"):
        PlacementConfig(**wrong)


def test_walls_behind_the_table_are_not_on_its_plane():
    # a camera 1 m above the plane that looks along x, level: the horizon is the middle row
    rotation = np.array([[0.0, -1, 0], [0, 0, -1], [1, 0, 0]])
    camera = Camera(100.0, 81, 61, rotation, -rotation @ np.array([0.0, 0.0, 1.0]))
    seen = on_the_plane(camera, 0.0, (61, 81), lambda points: points[:, 0] < 5.0)
    assert not seen[:51].any()  # 5 m away and 1 m below is 20 px under the horizon
    assert seen[51:].all()


def test_a_thing_keeps_its_likeness_when_it_is_carried_turned_or_farther_away_and_a_folded_one_does_not():
    start = torch.zeros(120, 160, dtype=torch.bool)
    start[20:30, 20:50] = True
    turned = torch.zeros_like(start)
    turned[60:90, 100:110] = True
    far = torch.zeros_like(start)
    far[80:87, 30:51] = True
    folded = torch.zeros_like(start)
    folded[60:90, 60:64] = folded[60:64, 60:90] = True
    assert likeness(start, start) > 0.95
    assert likeness(start, turned) > 0.85
    assert likeness(start, far) > 0.85
    assert likeness(start, folded) < 0.5
    assert likeness(start, start & ~start) == 0
