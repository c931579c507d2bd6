"""What a run is asked for."""

import pytest

from m2iv_robot.augment import AugmentConfig, training_lines
from m2iv_robot.augment.preview import duration
from m2iv_robot.errors import ConfigError
from m2iv_robot.plan import RefusedPlan, refused_places


@pytest.mark.parametrize(("mix", "recorded", "wanted"), [("", 10, 4), ("1:1", 10, 10), ("2:1", 10, 5), ("1:4", 3, 12)])
def test_a_mix_decides_how_many_episodes_are_made(mix, recorded, wanted):
    assert AugmentConfig(mix=mix).wanted(recorded) == wanted


@pytest.mark.parametrize(
    ("name", "value"),
    [("mix", "half"), ("masks", "drawn"), ("renderer", "gan"), ("wrist", "blank"), ("labels", "none"), ("count", 0)],
)
def test_what_means_nothing_is_refused_by_name(name, value):
    with pytest.raises(ConfigError, match=name):
        AugmentConfig(**{name: value})


def test_predicted_masks_need_the_network_that_draws_them():
    with pytest.raises(ConfigError, match="renderer=network"):
        AugmentConfig(masks="network", renderer="cut_and_paste")


def test_the_first_training_line_needs_no_network(tmp_path):
    first = training_lines(tmp_path / "new")[0].splitlines()[-1]
    assert first.startswith("HF_HUB_OFFLINE=1 lerobot-train ")
    assert all(flag in first for flag in ("push_to_hub=false", "wandb.enable=false", "backbone_weights=null"))


@pytest.mark.parametrize(("seconds", "said"), [(30.0, "30 s"), (600.0, "10 min"), (9000.0, "2.5 h")])
def test_durations_are_said_as_a_person_says_them(seconds, said):
    assert duration(seconds) == said


def test_refused_places_are_told_by_kind_and_not_one_by_one():
    def refused(episode: int, reason: str) -> RefusedPlan:
        return RefusedPlan(episode, (1.0, 2.0), None, reason)

    told = refused_places(
        (refused(0, "71 px off"), refused(0, "65.5 px off"), refused(0, "cold"), refused(1, "9 px off"))
    )
    assert told == ["episode 0, 2 places: 65.5 px off", "episode 0, 1 place: cold", "episode 1, 1 place: 9 px off"]
