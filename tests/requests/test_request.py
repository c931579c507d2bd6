"""What is checked before a request is accepted."""

from dataclasses import replace

import pytest

from m2iv_robot.errors import ConfigError, DatasetError, RequestError
from m2iv_robot.requests.request import AugmentRequest, RequestLimits, check_request

FRONT = "observation.images.front"


@pytest.fixture
def limits(small_dataset, tmp_path):
    return RequestLimits(data_root=str(small_dataset.parent), output_root=str(tmp_path), max_count=8)


@pytest.fixture
def request_(small_dataset):
    return AugmentRequest(dataset="small", output="new", camera=FRONT, object_xy=[63.0, 0.0])


def test_a_request_that_fits_names_its_dataset(request_, limits, small_dataset):
    assert check_request(request_, limits).root == small_dataset
    absolute = replace(request_, dataset=str(small_dataset), output=str(limits.output_root) + "/deep/new")
    assert check_request(absolute, limits).episode_count == 3


@pytest.mark.parametrize(
    ("changes", "why"),
    [
        ({"dataset": "none"}, "no such folder"),
        ({"dataset": "../elsewhere"}, "only folders below"),
        ({"dataset": ""}, "give a folder below"),
        ({"output": "/etc/new"}, "only folders below"),
        ({"output": "a/../../new"}, "only folders below"),
        ({"output": "."}, "only folders below"),
        ({"camera": "observation.images.side"}, "its cameras are"),
        ({"episode": 3}, "no episode 3"),
        ({"episode": -1}, "no episode -1"),
        ({"count": 0}, "1 to 8 episodes"),
        ({"count": 9}, "1 to 8 episodes"),
        ({"kind": "middle"}, "start, goal"),
        ({"object_xy": [64.0, 0.0]}, "outside the image, which is 64x48"),
        ({"object_xy": [1.0]}, "give x and y"),
        ({"goal_xy": [10.0, 48.0]}, "goal_xy .* outside the image"),
        ({"goal_xy": [float("nan"), 1.0]}, "give x and y"),
        ({"object_xy": [], "object_box": [5.0, 5.0, 2.0, 9.0]}, "no area"),
        ({"object_xy": [], "object_box": [5.0, 5.0]}, "left, top, right and bottom"),
        ({"object_box": [1.0, 1.0, 5.0, 5.0]}, "not several"),
        ({"object_xy": [], "object_mask": "nowhere.png"}, "no such file"),
        ({"prompt_frame": 5}, "episode 0 has 5 frames"),
    ],
)
def test_what_cannot_be_is_refused_by_name(request_, limits, changes, why):
    with pytest.raises((RequestError, DatasetError), match=why):
        check_request(replace(request_, **changes), limits)


def test_an_output_may_not_lie_in_its_source_nor_leave_through_a_link(request_, limits, small_dataset, tmp_path):
    inner = replace(limits, output_root=str(small_dataset.parent))
    for output in ("small", "small/new"):
        with pytest.raises(RequestError, match="may not be in the dataset"):
            check_request(replace(request_, output=output), inner)
    (tmp_path / "away").symlink_to("/")
    with pytest.raises(RequestError, match="only folders below"):
        check_request(replace(request_, output="away/new"), limits)


def test_limits_need_their_folders():
    with pytest.raises(ConfigError, match="output_root"):
        RequestLimits(data_root="/data", output_root="")
