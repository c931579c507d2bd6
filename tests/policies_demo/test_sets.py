import cv2
import numpy as np
import pytest

pytest.importorskip("mujoco")

from m2iv_robot.camera import Camera
from m2iv_robot.data.simulation import film_replay
from m2iv_robot.data.simulation.episode import demonstrate
from m2iv_robot.data.simulation.scene import build_scene
from m2iv_robot.errors import ConfigError
from policies_demo.config import DemoConfig, lab
from policies_demo.rows import ROWS
from policies_demo.sets import GENERATED, RECORDED, make_set, start_polygon


@pytest.mark.parametrize(("x", "y"), [(0.24, -0.16), (0.34, 0.16)])
def test_an_object_in_a_corner_of_the_region_stands_within_the_polygon(x, y):
    config = DemoConfig()
    table = lab(config, "seen")
    actions = demonstrate(build_scene(table), table, 0).actions[:1]
    filmed = film_replay(table, 0, (x, y), actions)
    pose = filmed.world_to_camera
    camera = Camera(float(filmed.intrinsics[0, 0]), table.width, table.height, pose[:3, :3], pose[:3, 3])
    polygon = np.array(start_polygon(config, camera), np.float32).reshape(-1, 2)
    rows, columns = np.nonzero(filmed.masks.object[0].numpy())
    assert len(rows) > 50
    foot = rows > np.median(rows)
    inside = [
        cv2.pointPolygonTest(polygon, (float(column), float(row)), False) >= 0
        for column, row in zip(columns[foot], rows[foot], strict=True)
    ]
    assert all(inside)


def test_both_halves_together_are_the_whole_region():
    config = DemoConfig()
    seen, unseen, both = lab(config, "seen"), lab(config, "unseen"), lab(config)
    assert (seen.start_y_min, seen.start_y_max, unseen.start_y_max) == (both.start_y_min, 0.0, both.start_y_max)
    assert unseen.start_y_min == seen.start_y_max
    assert both.start_y_max - both.start_y_min >= 0.30


def test_every_set_of_a_row_can_be_made():
    known = {*RECORDED, *GENERATED, "planned"}
    assert {name for row in ROWS.values() for name in row.sets} <= known
    with pytest.raises(ConfigError, match="everywhere"):
        make_set(DemoConfig(), "nothing")
