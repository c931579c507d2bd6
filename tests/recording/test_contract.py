"""Contracts: those that ship, and what is wrong with one, said by name."""

import copy

import pytest
import yaml

from m2iv_robot.errors import ConfigError
from m2iv_robot.recording.contract import load_contract, parse_contract

GOOD = yaml.safe_load(
    """
fps: 30
reference: observation.images.front
action_from_state_frames: 2
cameras:
  observation.images.front: {topic: /front}
values:
  observation.state:
    - {topic: /joints, select: [a, b], scale: [2.0]}
    - {topic: /gripper, type: std_msgs/msg/Float64, select: [data], names: [gripper], offset: [1.0], max_age_s: .inf}
"""
)


@pytest.mark.parametrize(("name", "cameras", "names"), [("so101", 2, 6), ("ur5e_robotiq", 2, 7)])
def test_the_contracts_that_ship_are_whole(name, cameras, names):
    contract = load_contract(name)
    assert contract.config.robot_type == name
    assert len(contract.cameras) == cameras
    assert len(contract.names("observation.state")) == len(contract.names("action")) == names


def test_parts_make_one_feature_in_their_order():
    contract = parse_contract(GOOD)
    assert contract.names("action") == ["a", "b", "gripper"]
    assert list(contract.streams) == ["observation.images.front", "observation.state[0]", "observation.state[1]"]
    assert contract.streams["observation.state[0]"].factors == ([2.0, 2.0], [0.0, 0.0])
    assert contract.features == ("observation.state", "action")


@pytest.mark.parametrize(
    ("place", "value", "why"),
    [
        (("fps",), 0, "fps must be in"),
        (("fps",), "fast", "fps"),
        (("speed",), 1, "unknown key 'speed'"),
        (("when_dead",), "pad", "refuse, trim"),
        (("slack_s",), 0.02, "less than half a frame"),
        (("reference",), "observation.images.side", "not one of the contract's cameras"),
        (("action_from_state_frames",), 0, "got neither"),
        (("cameras",), {}, "cameras: expected"),
        (("cameras", "observation.images.front", "type"), "sensor_msgs/msg/PointCloud2", "cannot be read"),
        (("cameras", "observation.images.front", "width"), 64, "64x0"),
        (("cameras", "observation.images.front", "topic"), "/a b", "give the topic's name"),
        (("values", "observation.state", 0, "select"), [], "select names no value"),
        (("values", "observation.state", 0, "select"), ["a", "a"], "twice"),
        (("values", "observation.state", 0, "select"), ["a", "gripper"], "observation.state: a name is given twice"),
        (("values", "observation.state", 0, "scale"), [1.0, 2.0, 3.0], "1 or 2 entries, got 3"),
        (("values", "observation.state", 0, "part"), "torque", "position, velocity, effort"),
        (("values", "observation.state", 0, "max_age_s"), 0.0, "must be positive"),
        (("values", "observation.state"), {"topic": "/joints"}, "expected a list"),
        (("values", "reward"), [{"topic": "/joints", "select": ["r"]}], "observation.NAME"),
        (("values", "action"), [{"topic": "/joints", "select": ["a"]}], "got both"),
    ],
)
def test_what_is_wrong_is_said_by_name(place, value, why):
    given = copy.deepcopy(GOOD)
    node = given
    for key in place[:-1]:
        node = node[key]
    node[place[-1]] = value
    with pytest.raises(ConfigError, match=why):
        parse_contract(given)


def test_a_contract_that_is_not_there_or_not_yaml_is_refused(tmp_path):
    with pytest.raises(ConfigError, match="so101, ur5e_robotiq"):
        load_contract("so102")
    (tmp_path / "broken.yaml").write_text("fps: [30")
    with pytest.raises(ConfigError, match=r"broken\.yaml: not YAML"):
        load_contract(str(tmp_path / "broken.yaml"))
