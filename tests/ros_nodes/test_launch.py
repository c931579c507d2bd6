"""Launch files and parameter files against what they name; running them needs a ROS install, reading them does not."""

import ast
import re
from configparser import ConfigParser
from pathlib import Path

import pytest
import yaml

ROOT = Path(__file__).parents[2]
LAUNCH_FILES = sorted((ROOT / "ros_nodes" / "launch").glob("*.launch.py"))
DECLARED = {  # node -> the sources in which its parameters are declared
    "recorder_node": ["recorder_node.py"],
    "augmenter_node": ["augmenter_parameters.py"],
}


def calls(path, name):
    """The calls of a class or function in a file, as keyword -> constant, positional ones under their number."""
    found = []
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Call) and getattr(node.func, "id", "") == name:
            values = dict(enumerate(node.args)) | {keyword.arg: keyword.value for keyword in node.keywords}
            found.append({key: getattr(value, "value", value) for key, value in values.items()})
    return found


@pytest.mark.parametrize("path", LAUNCH_FILES, ids=lambda path: path.name)
def test_every_argument_is_described_and_every_one_used_is_declared(path):
    declared = calls(path, "DeclareLaunchArgument")
    assert declared
    assert all(isinstance(argument["description"], str) and argument["description"] for argument in declared)
    names = {argument[0] for argument in declared}
    used = {call[0] for call in calls(path, "LaunchConfiguration") if isinstance(call[0], str)}
    assert used <= names


@pytest.mark.parametrize("path", LAUNCH_FILES, ids=lambda path: path.name)
def test_the_executables_and_files_that_are_named_ship(path):
    settings = ConfigParser()
    settings.read(ROOT / "setup.cfg")
    scripts = {line.split("=")[0].strip() for line in settings["options.entry_points"]["console_scripts"].split("\n")}
    for node in [*calls(path, "Node"), *calls(path, "LifecycleNode")]:
        assert node["package"] == "usb_cam" or node["executable"] in scripts
    text = path.read_text()
    for name in re.findall(r'"(\w+\.yaml)"', text):
        assert (ROOT / "configs" / "ros" / name).is_file()


@pytest.mark.parametrize("node", DECLARED)
def test_parameter_files_set_what_their_node_declares(node):
    given = yaml.safe_load((ROOT / "configs" / "ros" / f"{node.removesuffix('_node')}.yaml").read_text())
    source = "".join((ROOT / "ros_nodes" / name).read_text() for name in DECLARED[node])
    for name in given["/**"][node]["ros__parameters"]:
        assert f'"{name}"' in source
