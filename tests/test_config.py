"""config.parse: Hydra nodes to checked dataclasses."""

from dataclasses import dataclass

import pytest
from omegaconf import OmegaConf

from m2iv_robot.config import parse
from m2iv_robot.errors import ConfigError


@dataclass(frozen=True)
class GripConfig:
    width_m: float = 0.05
    tries: int = 3
    name: str = "gentle"
    columns: list[str] | None = None

    def __post_init__(self) -> None:
        if self.width_m <= 0:
            raise ConfigError(f"grip.width_m must be positive, got {self.width_m}")


def test_values_given_replace_defaults_and_the_rest_stays():
    assert parse(GripConfig, OmegaConf.create({"tries": 5})) == GripConfig(tries=5)


def test_a_plain_dict_is_accepted_too():
    assert parse(GripConfig, {"width_m": 0.1}) == GripConfig(width_m=0.1)


def test_a_whole_number_is_taken_where_a_float_is_asked_for():
    assert parse(GripConfig, {"width_m": 1}).width_m == 1.0


def test_interpolations_are_resolved_before_parsing():
    root = OmegaConf.create({"length": 4, "grip": {"tries": "${length}"}})
    assert parse(GripConfig, root.grip).tries == 4


def test_an_unknown_key_is_named_with_the_known_ones():
    with pytest.raises(ConfigError, match=r"grip: unknown key 'widht_m'; known are columns, name, tries, width_m"):
        parse(GripConfig, {"widht_m": 0.1}, "grip")


@pytest.mark.parametrize(("key", "value"), [("tries", "many"), ("tries", 1.5), ("width_m", "wide")])
def test_a_wrong_type_is_refused_naming_group_and_key(key, value):
    with pytest.raises(ConfigError, match=rf"grip\.{key}: "):
        parse(GripConfig, {key: value}, "grip")


def test_a_missing_value_is_refused():
    with pytest.raises(ConfigError, match=r"grip\.tries: "):
        parse(GripConfig, OmegaConf.create({"tries": "???"}), "grip")


def test_the_check_of_the_dataclass_itself_is_passed_on():
    with pytest.raises(ConfigError, match="must be positive, got -1"):
        parse(GripConfig, {"width_m": -1.0})
