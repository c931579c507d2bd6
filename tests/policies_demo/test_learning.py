import dataclasses
import json
import sys

import draccus
import pytest

pytest.importorskip("mujoco")

from lerobot.envs.configs import EnvConfig

from m2iv_robot.config import preset
from m2iv_robot.data.simulation import lerobot_env  # noqa: F401  registers the environments
from m2iv_robot.errors import M2IVError
from policies_demo.commands import note_of, run_for, run_logged
from policies_demo.config import DemoConfig, lab
from policies_demo.learning import evaluation_arguments, successes_of, train, training_arguments
from policies_demo.rows import row_of
from policies_demo.statistics import Rate


@dataclasses.dataclass
class Told:
    env: EnvConfig


@pytest.fixture(params=["cpu", "gpu"])
def config(request) -> DemoConfig:
    return preset(DemoConfig, "policies_demo", request.param)


@pytest.mark.parametrize("half", ["seen", "unseen"])
def test_lerobot_understands_which_half_is_tried(config, half, tmp_path):
    arguments = evaluation_arguments(config, tmp_path, half, tmp_path)
    environment = [one for one in arguments if one.startswith("--env.") and "discover" not in one]
    told = draccus.parse(Told, args=environment).env
    expected = lab(config, half)
    smaller = dataclasses.replace(
        expected,
        width=expected.width // config.reduce,
        height=expected.height // config.reduce,
        supersample=config.reduce,
    )
    assert told.type == "m2iv_so101"
    assert told.simulation == smaller
    assert told.episode_length == config.attempt_frames
    places = (told.simulation.start_y_min, told.simulation.start_y_max)
    assert places == ((-config.start_y_max, 0.0) if half == "seen" else (0.0, config.start_y_max))


def test_only_row_b_uses_image_transforms(config, tmp_path):
    for letter in "abcdefgh":
        arguments = training_arguments(config, row_of(letter), tmp_path, 0, tmp_path)
        assert (f"--dataset.image_transforms.enable={'true' if letter == 'b' else 'false'}") in arguments


def test_a_policy_that_is_trained_is_not_trained_again(config, tmp_path):
    last = tmp_path / "train" / "checkpoints" / f"{config.steps:06d}" / "pretrained_model"
    last.mkdir(parents=True)
    assert train(config, row_of("a"), tmp_path / "nowhere", 0, tmp_path).name == "pretrained_model"
    assert not (tmp_path / "train.log").exists()


def test_successes_are_read_as_lerobot_writes_them(tmp_path):
    path = tmp_path / "eval_info.json"
    path.write_text(json.dumps({"per_task": [{"metrics": {"successes": [True, False, True]}}]}))
    assert successes_of(path) == Rate(2, 3)
    path.write_text(json.dumps({"aggregated": {}}))
    with pytest.raises(M2IVError, match=r"eval_info\.json"):
        successes_of(path)


def test_a_command_leaves_its_log_and_the_seconds_of_all_its_runs(tmp_path):
    log = tmp_path / "deep" / "note.log"
    run_logged([sys.executable, "-c", "print('one')"], log)
    first = note_of(log)["seconds"]
    run_logged([sys.executable, "-c", "print('two')"], log)
    assert log.read_text().split() == ["one", "two"]
    assert note_of(log)["seconds"] >= first
    assert "two" in note_of(log)["command"]


def test_a_command_that_fails_says_its_last_words(tmp_path):
    with pytest.raises(M2IVError, match="no such dataset") as caught:
        run_logged([sys.executable, "-c", "raise SystemExit('no such dataset')"], tmp_path / "fails.log")
    assert "status 1" in str(caught.value)


def test_a_command_that_failed_for_some_but_left_its_result_is_enough(tmp_path, caplog):
    result = tmp_path / "result"
    command = [sys.executable, "-c", f"open({str(result)!r}, 'w').close(); raise SystemExit('one episode failed')"]
    run_for(result, command, tmp_path / "some.log")
    assert "one episode failed" in caplog.text
    with pytest.raises(M2IVError):
        run_for(tmp_path / "other", command, tmp_path / "other.log")
