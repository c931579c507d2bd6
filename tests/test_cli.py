"""The command line: what it prints, and the status it ends with."""

import json
import re
import subprocess
import sys
import types
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path

import pytest
from omegaconf import OmegaConf

from m2iv_robot import cli
from m2iv_robot.cli import benchmark, help
from m2iv_robot.errors import M2IVError, WriteError

CONFIGS = Path(import_module("configs").__file__).parent


def stand_in(monkeypatch, command, run):
    """Let `command` run `run` instead of its module, so that the handling around it can be seen alone."""
    module = types.ModuleType(f"m2iv_robot.cli.{command}")
    module.run = run
    monkeypatch.setitem(sys.modules, f"m2iv_robot.cli.{command}", module)
    monkeypatch.setattr(cli, "compose_command", lambda command, overrides: OmegaConf.create({}))


def raising(error):
    def run(node):
        raise error

    return run


@pytest.mark.parametrize("arguments", [[], ["--help"], ["-h"], ["help"]])
def test_without_a_command_all_commands_are_listed(arguments, capsys):
    assert cli.main(arguments) == 0
    shown = capsys.readouterr().out
    assert all(f"  {name}" in shown for name in cli.COMMANDS)


def test_the_version_is_shown(capsys):
    assert cli.main(["--version"]) == 0
    assert re.fullmatch(r"m2iv_robot \d+\.\d+\.\d+\n", capsys.readouterr().out)


@pytest.mark.parametrize("command", cli.COMMANDS)
def test_every_command_has_a_module_and_help_that_names_its_keys(command, capsys):
    assert callable(import_module(f"m2iv_robot.cli.{command}").run)
    assert cli.main([command, "--help"]) == 0
    assert capsys.readouterr().out.startswith(f"m2iv {command}: ")


@pytest.mark.parametrize("name", sorted(path.stem for path in (CONFIGS / "benchmark").glob("*.yaml")))
def test_every_benchmark_configuration_has_a_module_that_takes_it(name):
    node = cli.compose_command("benchmark", [f"benchmark={name}"])
    assert node.name == name
    benchmark.settings_of(node)


def test_an_unknown_command_is_named_beside_the_known_ones(capsys):
    assert cli.main(["anotate"]) == 2
    shown = capsys.readouterr().err
    assert "unknown command 'anotate'" in shown
    assert "annotate" in shown


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        (["benchmark"], "You must specify 'benchmark'"),
        (["benchmark", "benchmark=nothing_like_it"], "benchmark/nothing_like_it"),
        (["benchmark", "fast"], "'fast' is not understood; write key=value"),
        (["annotate", "no_such_key=1"], "no_such_key"),
        (["annotate", "output.root=[1"], "[1"),
        (["annotate", "segmentation=telepathy"], "motion"),
        (["annotate", "segmentation=5"], "must be a string"),
    ],
)
def test_what_is_not_understood_ends_with_2_and_one_clear_message(arguments, expected, capsys):
    assert cli.main(arguments) == 2
    shown = capsys.readouterr().err
    assert expected in shown
    assert "Traceback" not in shown


@pytest.mark.parametrize(
    "text", ["a red cup, not the blue one", "/data/my set (2)/x=1", 'so-called "cup"', "it's", "5%"]
)
def test_text_is_taken_as_it_is_written(text):
    assert cli.compose_command("annotate", [f"prompt.text={text}"]).prompt.text == text


def test_lists_and_numbers_are_still_read_as_such():
    node = cli.compose_command("annotate", ["prompt.click=[10,20.5]", "prompt.frame=3"])
    assert node.prompt.click == [10, 20.5]
    assert node.prompt.frame == 3


def test_an_unknown_benchmark_is_answered_with_those_that_exist(capsys):
    cli.main(["benchmark", "benchmark=nothing_like_it"])
    shown = capsys.readouterr().err
    assert all(path.stem in shown for path in (CONFIGS / "benchmark").glob("*.yaml"))


def test_an_error_of_the_library_ends_with_1_and_its_message(monkeypatch, capsys):
    stand_in(monkeypatch, "plan", raising(WriteError("/here: full; make room")))
    assert cli.main(["plan"]) == 1
    assert capsys.readouterr().err == "m2iv plan: WriteError: /here: full; make room\n"


def test_a_package_that_an_extra_brings_is_asked_for_by_that_extra(monkeypatch, capsys):
    stand_in(monkeypatch, "simulate", raising(ModuleNotFoundError("No module named 'mujoco'", name="mujoco")))
    assert cli.main(["simulate"]) == 1
    assert capsys.readouterr().err == "m2iv simulate: mujoco is not installed: pip install 'm2iv_robot[sim]'\n"


def test_a_mistake_in_the_library_is_not_hidden(monkeypatch):
    stand_in(monkeypatch, "plan", raising(ModuleNotFoundError("No module named 'nowhere'", name="nowhere")))
    with pytest.raises(ModuleNotFoundError):
        cli.main(["plan"])


def test_an_interruption_ends_with_130(monkeypatch, capsys):
    stand_in(monkeypatch, "train", raising(KeyboardInterrupt()))
    assert cli.main(["train"]) == 130
    assert "interrupted" in capsys.readouterr().err


def test_the_module_runs_as_a_program():
    done = subprocess.run([sys.executable, "-m", "m2iv_robot", "nonsense"], capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert "unknown command 'nonsense'" in done.stderr


def test_the_meaning_of_a_key_is_the_comment_on_its_line_of_the_dataclass():
    source = '''
@dataclass(frozen=True)
class GripConfig:
    """How the gripper closes. More."""

    width_m: float = 0.05  # between the fingers
    names: list[str] = field(
        default_factory=list
    )  # of the fingers
    tries: int = 3
'''
    (schema,) = help._schemas_in(source)
    assert schema.name == "GripConfig"
    assert schema.meanings == {"width_m": "between the fingers", "names": "of the fingers", "tries": ""}


def test_a_group_is_described_by_the_dataclass_of_its_name_if_that_has_its_keys():
    small = help.Schema("OtherConfig", "", {"a": ""})
    named = help.Schema("GripConfig", "", {"a": "", "b": "", "c": ""})
    assert help._matching([small, named], "grip", {"a"}) is named
    assert help._matching([small, named], "robot", {"a"}) is small
    assert help._matching([small, named], "grip", {"d"}) is None


@dataclass(frozen=True)
class SumConfig:
    terms: int = 3


def sum_of_squares(config: SumConfig) -> dict:
    squares = [number**2 for number in range(config.terms)]
    return {
        "sum": sum(squares),
        "mean": sum(squares) / 3,
        "terms": [{"n": n, "square": s} for n, s in enumerate(squares)],
    }


def test_a_benchmark_prints_its_figures_and_keeps_them_with_what_they_were_made_on(tmp_path, monkeypatch, capsys):
    module = types.ModuleType("m2iv_robot.benchmark.sums")
    module.run = sum_of_squares
    monkeypatch.setitem(sys.modules, "m2iv_robot.benchmark.sums", module)
    node = OmegaConf.create({"name": "sums", "benchmark": {"terms": 4}, "output": str(tmp_path / "out")})
    assert benchmark.run(node) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[:2] == ["sum   14", "mean  4.667"]
    assert [line.split() for line in lines[3:6]] == [["terms"], ["n", "square"], ["0", "0"]]
    record = json.loads((tmp_path / "out" / "sums.json").read_text())
    assert record["figures"]["mean"] == 14 / 3
    assert record["settings"] == {"terms": 4}
    assert {"date", "cpu", "cores", "python", "packages"} <= record["made_on"].keys()
    markdown = (tmp_path / "out" / "sums.md").read_text()
    assert "| mean | 4.667 |" in markdown
    assert "## terms\n\n| n | square |\n| --- | --- |\n| 0 | 0 |" in markdown


def test_nested_figures_get_dotted_names():
    assert benchmark.as_text({"real": {"iou": 0.5, "episodes": None}, "ok": True}) == "\n".join(
        ["real.iou       0.5", "real.episodes  -", "ok             yes"]
    )


@pytest.mark.parametrize("value", [float("nan"), {1, 2}])
def test_figures_that_json_cannot_hold_are_refused(tmp_path, value):
    record = {"benchmark": "sums", "figures": {"sum": value}, "made_on": benchmark.facts(), "seconds": 0.0}
    with pytest.raises(M2IVError, match="not plain JSON"):
        benchmark.save(record, tmp_path)


def test_figures_that_cannot_be_written_say_where(tmp_path):
    (tmp_path / "file").write_text("in the way")
    record = {"benchmark": "sums", "figures": {}, "made_on": benchmark.facts(), "seconds": 0.0}
    with pytest.raises(WriteError, match=r"file: cannot be written .*output=FOLDER"):
        benchmark.save(record, tmp_path / "file")
