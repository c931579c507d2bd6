"""The repository as a package: what colcon and a wheel install is complete, and consistent with itself."""

import os
import re
import shutil
import subprocess
import sys
import zipfile
from configparser import ConfigParser
from importlib.util import find_spec
from pathlib import Path
from xml.etree import ElementTree

import pytest

import m2iv_robot

ROOT = Path(__file__).parent.parent
LEFT_OUT = (".*", "build", "install", "log", "outputs", "*.egg-info", "__pycache__", "tests")
PYTHON = f"python{sys.version_info.major}.{sys.version_info.minor}"
SHARED = {  # folder in the package's share -> its files here
    "launch": list((ROOT / "ros_nodes/launch").glob("*.launch.py")),
    "config": list((ROOT / "configs/ros").glob("*.yaml")),
    "contracts": list((ROOT / "configs/ros/contracts").glob("*.yaml")),
    "rviz": list((ROOT / "configs/ros").glob("*.rviz")),
}
SEARCH_PATH = f"{Path(sys.executable).parent}:{os.environ['PATH']}"
NO_DATA = {".py", ".pyc"}


@pytest.fixture(scope="module")
def sources(tmp_path_factory):
    """A copy of what a checkout holds, so that building leaves no trace in it."""
    return shutil.copytree(
        ROOT, tmp_path_factory.mktemp("workspace") / "src" / "m2iv_robot", ignore=shutil.ignore_patterns(*LEFT_OUT)
    )


def data_files(folder):
    """Paths of the data files below the installed packages, relative to the folder that holds the packages."""
    packages = [folder / name for name in ("m2iv_robot", "configs", "ros_nodes", "policies_demo")]
    files = (path for package in packages for path in package.rglob("*"))
    return {str(path.relative_to(folder)) for path in files if path.is_file() and path.suffix not in NO_DATA}


def run(command, cwd, **environment):
    """Run a command in an environment free of this process's Python paths; returns what it printed."""
    inherited = {
        key: value for key, value in os.environ.items() if key not in ("PYTHONPATH", "PYTHONDONTWRITEBYTECODE")
    }
    done = subprocess.run(command, cwd=cwd, env=inherited | environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, f"{command}\n{done.stdout}\n{done.stderr}"
    return done.stdout


def colcon_build(sources, base, *options):
    """Build the copy with colcon into `base`; returns the package's install folder."""
    if find_spec("colcon") is None:
        pytest.skip("colcon is not installed; `make test` brings it (extra dev)")
    folders = ["--build-base", str(base / "build"), "--install-base", str(base / "install")]
    run(
        [
            sys.executable,
            "-m",
            "colcon",
            "--log-base",
            str(base / "log"),
            "build",
            "--base-paths",
            str(sources),
            *folders,
            *options,
        ],
        base,
        COLCON_HOME=str(base / "home"),
    )
    return base / "install" / "m2iv_robot"


@pytest.mark.parametrize("options", [(), ("--symlink-install",)], ids=["plain", "symlink"])
def test_colcon_builds_the_repository_and_registers_the_package(sources, tmp_path, options):
    installed = colcon_build(sources, tmp_path, *options)
    assert (installed / "share/ament_index/resource_index/packages/m2iv_robot").exists()
    assert (installed / "share/m2iv_robot/package.xml").exists()
    for node in ("recorder_node", "augmenter_node"):
        assert os.access(installed / "lib/m2iv_robot" / node, os.X_OK)
    for folder, suffix in (("launch", ".launch.py"), ("config", ".yaml"), ("contracts", ".yaml"), ("rviz", ".rviz")):
        shared = {path.name for path in (installed / "share/m2iv_robot" / folder).iterdir()}
        assert shared and shared == {path.name for path in SHARED[folder] if path.name.endswith(suffix)}
    program = installed / "lib/m2iv_robot/m2iv"
    assert os.access(program, os.X_OK)
    said = run(
        ["bash", "-c", f"source {tmp_path}/install/setup.bash && {program} --version"], tmp_path, PATH=SEARCH_PATH
    )
    assert said == f"m2iv_robot {m2iv_robot.__version__}\n"


def test_a_copy_installed_by_colcon_holds_and_finds_every_data_file(sources, tmp_path):
    packages = colcon_build(sources, tmp_path) / "lib" / PYTHON / "site-packages"
    assert data_files(packages) == data_files(sources)
    code = "import configs, m2iv_robot.cli as cli; print(configs.__file__); cli.main(['benchmark', '--help'])"
    shown = run([sys.executable, "-c", code], tmp_path, PYTHONPATH=str(packages))
    assert shown.startswith(str(packages))
    assert "m2iv benchmark" in shown


def test_a_wheel_holds_every_data_file(sources, tmp_path):
    run(
        [sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps", "--no-build-isolation", "-w", tmp_path, sources],
        tmp_path,
    )
    (wheel,) = tmp_path.glob("*.whl")
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(tmp_path / "unpacked")
    assert data_files(tmp_path / "unpacked") == data_files(sources)
    entry_points = next((tmp_path / "unpacked").glob("*.dist-info/entry_points.txt")).read_text()
    assert "m2iv = m2iv_robot.cli:main" in entry_points


def test_the_manifest_and_the_library_tell_the_same_name_version_and_licence():
    manifest = ElementTree.parse(ROOT / "package.xml").getroot()
    project = (ROOT / "pyproject.toml").read_text()
    assert manifest.get("format") == "3"
    assert manifest.findtext("export/build_type") == "ament_python"
    assert re.fullmatch(r"[^@\s]+@[^@\s]+\.\w+", manifest.find("maintainer").get("email"))
    for key, value in (("name", "m2iv_robot"), ("version", m2iv_robot.__version__)):
        assert manifest.findtext(key) == value
        assert f'\n{key} = "{value}"\n' in project
    assert manifest.findtext("license") == "Apache-2.0"
    assert '\nlicense = { text = "Apache-2.0" }' in project
    settings = ConfigParser()
    settings.read(ROOT / "setup.cfg")
    assert settings["metadata"]["name"] == "m2iv_robot"


def test_the_shipped_sample_and_weights_stay_small():
    heavy = {
        str(path.relative_to(ROOT)): path.stat().st_size
        for package in ("m2iv_robot", "configs")
        for path in (ROOT / package).rglob("*")
        if path.is_file() and path.stat().st_size > 32_000_000
    }
    assert heavy == {}
