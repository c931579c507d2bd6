"""Launch and parameter files: against what they name, their parameters in real nodes, and started by `ros2 launch`."""

import ast
import os
import re
import shutil
import subprocess
from configparser import ConfigParser
from pathlib import Path

import pytest
import yaml
from ros_processes import interrupt, node_parameters, wait_until

ROOT = Path(__file__).parents[2]
LAUNCHING = ROOT / "ros_nodes" / "launching.py"
LAUNCH_FILES = sorted((ROOT / "ros_nodes" / "launch").glob("*.launch.py"))
READY = {"recorder_node": "recording to", "augmenter_node": "no models are loaded yet"}


def constants(path: Path) -> dict[str, object]:
    """The plain values that a module gives names to."""
    found = {}
    for node in ast.parse(path.read_text()).body:
        try:
            found[node.targets[0].id] = ast.literal_eval(node.value)
        except (AttributeError, ValueError):
            continue
    return found


def first_texts(path: Path, name: str) -> set[str]:
    """The texts that a file calls a function or class with, in the first place."""
    calls = (node for node in ast.walk(ast.parse(path.read_text())) if isinstance(node, ast.Call))
    named = [call for call in calls if getattr(call.func, "id", "") == name and call.args]
    return {call.args[0].value for call in named if isinstance(call.args[0], ast.Constant)}


def declared_by(path: Path) -> set[str]:
    """The arguments that a launch file declares."""
    given = constants(path)
    calls = (node for node in ast.walk(ast.parse(path.read_text())) if isinstance(node, ast.Call))
    named = [call for call in calls if getattr(call.func, "id", "") == "arguments"]
    texts = {part.value for call in named for part in call.args if isinstance(part, ast.Constant)}
    listed = {*given.get("TEXTS", ()), *given.get("ARGUMENTS", ()), *given.get("FILES", ())}
    return texts | listed | first_texts(path, "file_argument") | first_texts(path, "DeclareLaunchArgument")


@pytest.mark.parametrize("path", LAUNCH_FILES, ids=lambda path: path.name)
def test_every_argument_is_described_and_every_one_used_is_declared(path):
    described = constants(LAUNCHING)["DESCRIBED"]
    assert all(text for _, text in described.values())
    files = first_texts(path, "file_argument") | set(constants(path).get("FILES", ()))
    declared = declared_by(path)
    assert declared - files - {"dataset"} <= set(described)
    used = first_texts(path, "LaunchConfiguration")
    if "node_settings" in path.read_text():
        used |= first_texts(LAUNCHING, "LaunchConfiguration")
    assert used <= declared


@pytest.mark.parametrize("path", LAUNCH_FILES, ids=lambda path: path.name)
def test_the_executables_and_files_that_are_named_ship(path):
    settings = ConfigParser()
    settings.read(ROOT / "setup.cfg")
    scripts = {line.split("=")[0].strip() for line in settings["options.entry_points"]["console_scripts"].split("\n")}
    assert first_texts(path, "node_settings") <= scripts
    for name in re.findall(r'"(\w+\.yaml)"', path.read_text()):
        assert (ROOT / "configs" / "ros" / name).is_file()
    for name in first_texts(path, "_included"):
        assert (ROOT / "ros_nodes" / "launch" / f"{name}.launch.py").is_file()


@pytest.mark.parametrize("node", READY)
def test_a_node_takes_the_parameter_file_that_ships(node, processes, tmp_path):
    file = ROOT / "configs" / "ros" / f"{node.removesuffix('_node')}.yaml"
    places = {"root": str(tmp_path / "data")}
    if node == "augmenter_node":
        places = {"data_root": str(tmp_path), "output_root": str(tmp_path)}
    started = processes.start(f"ros_nodes.{node}", *node_parameters(**places), "--params-file", str(file))
    wait_until(lambda: READY[node] in processes.said(f"ros_nodes.{node}"), what=READY[node])
    assert interrupt(started) == 0
    given = yaml.safe_load(file.read_text())["/**"][node]["ros__parameters"]
    source = "".join(path.read_text() for path in (ROOT / "ros_nodes").glob(f"{node.removesuffix('_node')}_*.py"))
    assert all(f'"{name}"' in source for name in given)


def is_installed() -> bool:
    """Whether `ros2 launch m2iv_robot` can be said here."""
    if shutil.which("ros2") is None:
        return False
    prefix = subprocess.run(["ros2", "pkg", "prefix", "m2iv_robot"], capture_output=True, check=False)
    return prefix.returncode == 0


@pytest.mark.skipif(not is_installed(), reason="needs a ROS install with this package built and sourced")
@pytest.mark.parametrize(
    ("file", "arguments", "nodes"),
    [
        ("record", ["root:={0}/data/cups"], ["recorder_node"]),
        ("augment", ["data_root:={0}", "output_root:={0}", "autostart:=false"], ["augmenter_node"]),
        (
            "record_and_augment",
            ["data_root:={0}", "output_root:={0}", "dataset:=cups", "camera_driver:=false", "autostart:=false"],
            ["recorder_node", "augmenter_node"],
        ),
    ],
)
def test_launch_brings_the_nodes_up_and_ends_them(file, arguments, nodes, processes, tmp_path):
    log = tmp_path / "launch.log"
    command = ["ros2", "launch", "m2iv_robot", f"{file}.launch.py", *(part.format(tmp_path) for part in arguments)]
    with log.open("wb") as out:
        launched = subprocess.Popen(command, env=os.environ | processes.environment, stdout=out, stderr=out)
    try:
        wait_until(lambda: all(READY[node] in log.read_text() for node in nodes), what=str(nodes))
        assert interrupt(launched) == 0
    finally:
        launched.kill()
