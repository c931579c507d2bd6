"""The sets of episodes that rows are made of: recorded, planned and rendered by the simulator, or generated."""

import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np

from m2iv_robot.benchmark.labels import true_camera
from m2iv_robot.camera import Camera
from m2iv_robot.data.simulation import load_truth, record_all
from m2iv_robot.errors import ConfigError
from policies_demo.commands import run_for
from policies_demo.config import FRONT, DemoConfig, lab
from policies_demo.planned import render_plans

RECORDED = {  # name -> half in which objects start, seed of the first episode
    "sources": ("seen", 0),
    "everywhere": ("", 10_000),
    "taught": ("unseen", 20_000),
}
GENERATED = {  # name -> what `m2iv augment` is told beside the defaults
    "generated": (),
    "ungated": ("gate=false",),
    "pasted": ("renderer=cut_and_paste",),
}
EDGE_M = 0.03  # the polygon lies so far outside the start region, for the object's own width


def make_set(config: DemoConfig, name: str) -> Path:
    """A LeRobot dataset of that name, made on the first call; what an earlier run left unfinished goes on.

    Raises:
        ConfigError: there is no such set.
        M2IVError: it cannot be made.
    """
    makers: dict[str, Callable[[DemoConfig, str], Path]] = {
        **dict.fromkeys(RECORDED, _record),
        **dict.fromkeys(GENERATED, _generate),
        "planned": _plan_and_render,
    }
    if name not in makers:
        raise ConfigError(f"there is no set of episodes {name!r}; sets are {', '.join(makers)}")
    return makers[name](config, name)


def start_polygon(config: DemoConfig, camera: Camera) -> list[float]:
    """The start region in a camera's picture, as a person would outline it: x1, y1, x2, y2, ... in pixels."""
    near, far, side = config.start_x_min - EDGE_M, config.start_x_max + EDGE_M, config.start_y_max + EDGE_M
    corners = np.array([[near, -side, 0], [near, side, 0], [far, side, 0], [far, -side, 0]])
    return camera.project(corners).round(1).flatten().tolist()


def planning_arguments(config: DemoConfig, sources: Path) -> list[str]:
    """What `m2iv plan` and `m2iv augment` are told alike, so that they plan the same motions."""
    camera = true_camera(load_truth(sources, 0))
    polygon = ",".join(f"{value:g}" for value in start_polygon(config, camera))
    return [
        f"dataset.root={sources}",
        f"camera={FRONT}",
        f"placement.polygon_px=[{polygon}]",
    ]


def _record(config: DemoConfig, name: str) -> Path:
    half, seed = RECORDED[name]
    root = config.root / "sets" / name
    record_all(lab(config, half), root, getattr(config, name), seed, config.recorders)
    return root


def _plan_and_render(config: DemoConfig, name: str) -> Path:
    sources = make_set(config, "sources")
    return render_plans(config, sources, planning_arguments(config, sources), config.root / "sets" / name)


def _generate(config: DemoConfig, name: str) -> Path:
    sources = make_set(config, "sources")
    root = config.root / "sets" / name
    command = [sys.executable, "-m", "m2iv_robot", "augment", *planning_arguments(config, sources)]
    command += [f"output.root={root}", f"output.masks={config.root / 'masks'}"]
    command += [f"count={config.generated}", f"device={config.device}", *GENERATED[name]]
    run_for(root / "meta" / "info.json", command, config.root / "sets" / f"{name}.log", config.threads)
    return root
