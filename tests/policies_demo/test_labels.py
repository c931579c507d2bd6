import pytest
import torch
from drawn_scene import START, draw, table

from m2iv_robot.errors import M2IVError
from m2iv_robot.masks import dilate
from policies_demo.config import DemoConfig
from policies_demo.labels import check_labels, covered, object_centre, summary


def row(error, success, unseen):
    return {"label_error_cm": error, "success": success, "unseen": unseen}


def test_the_object_is_found_where_it_stands_and_neither_arm_nor_shadow_is():
    episode, truth = draw(shadow=0.4)
    plate = torch.from_numpy(table().clip(0, 255)).byte().permute(2, 0, 1)
    free = ~dilate(truth.actor[:1], 7)[0]
    centre = object_centre(episode.frames[0], plate, free)
    assert centre == pytest.approx([START[0] - 0.5, START[1] - 0.5], abs=0.7)
    assert object_centre(plate, plate, free) is None


def test_the_summary_counts_every_episode_and_tells_the_halves_apart():
    told = summary([row(0.2, True, False), row(0.6, True, True), row(1.8, False, True)], count=4)
    assert (told["episodes"], told["object_found_in"]) == (4, 3)
    assert told["all"] == {
        "episodes": 3, "label_error_median_cm": 0.6, "label_error_worst_cm": 1.8, "replays_that_succeed": 2,
    }  # fmt: skip
    assert told["unseen"]["replays_that_succeed"] == 1
    assert summary([], count=2)["all"]["label_error_median_cm"] is None


def test_cells_of_the_start_region_are_counted_once():
    config = DemoConfig(start_x_min=0.24, start_x_max=0.34, start_y_max=0.16)
    assert covered(config, []) == "0 of 24"
    assert covered(config, [[0.25, -0.15], [0.26, -0.14], [0.33, -0.15], [0.36, 0.2]]) == "3 of 24"


def test_a_set_that_was_not_made_yet_is_named(tmp_path):
    with pytest.raises(M2IVError, match="run the row that is made of it first"):
        check_labels(DemoConfig(folder=str(tmp_path)))
