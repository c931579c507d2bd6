"""Shapes of the things on the table: the object to be moved and the distractors."""

from dataclasses import dataclass

import mujoco
import numpy as np

COLOURS = {
    "red": (0.78, 0.10, 0.10),
    "green": (0.13, 0.55, 0.20),
    "blue": (0.12, 0.25, 0.75),
    "yellow": (0.93, 0.78, 0.10),
    "orange": (0.92, 0.45, 0.08),
    "purple": (0.45, 0.18, 0.60),
    "white": (0.90, 0.90, 0.88),
    "black": (0.08, 0.08, 0.09),
    "pink": (0.90, 0.45, 0.60),
}


@dataclass(frozen=True)
class Thing:
    """A graspable thing: sizes in metres; its origin is its centre, it stands on its base."""

    shape: str
    colour: str
    rgb: tuple[float, float, float]
    width_m: float  # across the jaws, along y
    length_m: float  # along x
    height_m: float
    symmetry_rad: float  # turning it by this leaves it as it is; 0 for a round one


def choose_thing(generator: np.random.Generator, shape: str, shapes: tuple[str, ...], scale: float = 1.0) -> Thing:
    """A thing of the given shape, or of one of `shapes` when it is ""."""
    shape = shape or shapes[generator.integers(len(shapes))]
    colour = list(COLOURS)[generator.integers(len(COLOURS))]
    rgb = tuple(float(np.clip(value + generator.normal(0, 0.03), 0, 1)) for value in COLOURS[colour])
    width = scale * generator.uniform(0.024, 0.032)
    length, height, symmetry = width, width, 0.0
    if shape == "cube":
        symmetry = np.pi / 2
    elif shape == "cuboid":
        length, height, symmetry = width * generator.uniform(1.4, 2.0), width * generator.uniform(0.85, 1.2), np.pi
    elif shape == "cylinder":
        height = width * generator.uniform(0.9, 1.6)
    elif shape == "bottle":
        height = width * generator.uniform(1.8, 2.3)
    elif shape == "hexagon":
        height, symmetry = width * generator.uniform(0.85, 1.15), np.pi / 3
    elif shape == "cone":
        height = width * generator.uniform(1.0, 1.3)
    return Thing(shape, colour, rgb, width, length, height, float(symmetry))


def add_thing(body: mujoco.MjsBody, thing: Thing, prefix: str, group: int, collision: tuple[int, int]) -> None:
    """Give `body` the geoms of `thing`, about 30 g of it, named `prefix`0, `prefix`1, ..."""
    half = thing.height_m / 2
    radius = thing.width_m / 2
    parts = []
    if thing.shape in ("cube", "cuboid"):
        parts.append((mujoco.mjtGeom.mjGEOM_BOX, [thing.length_m / 2, radius, half], 0.0, 1.0))
    elif thing.shape == "cylinder":
        parts.append((mujoco.mjtGeom.mjGEOM_CYLINDER, [radius, half, 0], 0.0, 1.0))
    elif thing.shape == "bottle":
        parts.append((mujoco.mjtGeom.mjGEOM_CYLINDER, [radius, 0.72 * half, 0], -0.28 * half, 1.0))
        parts.append((mujoco.mjtGeom.mjGEOM_CYLINDER, [0.45 * radius, 0.28 * half, 0], 0.72 * half, 0.4))
    else:
        parts.append((mujoco.mjtGeom.mjGEOM_MESH, None, 0.0, 1.0))
    for number, (kind, size, height, shade) in enumerate(parts):
        geom = body.add_geom(
            name=f"{prefix}{number}", type=kind, pos=[0, 0, height], group=group, mass=0.03 / len(parts),
            rgba=[*(shade * value for value in thing.rgb), 1], contype=collision[0], conaffinity=collision[1],
            condim=6, friction=[1.0, 0.02, 0.002], solref=[0.01, 1], solimp=[0.9, 0.95, 0.001, 0.5, 2],
        )  # fmt: skip
        if size is None:
            geom.meshname = f"{prefix}mesh"
        else:
            geom.size = size


def prism_vertices(thing: Thing) -> np.ndarray:
    """Corners of a hexagonal prism ("hexagon") or of a cone cut off at 70 % of its width ("cone")."""
    sides, top = (6, 1.0) if thing.shape == "hexagon" else (16, 0.7)
    circumscribed = thing.width_m / 2 / np.cos(np.pi / sides)
    angles = np.arange(sides) * 2 * np.pi / sides
    ring = circumscribed * np.stack([np.cos(angles), np.sin(angles)], axis=1)
    low = np.concatenate([ring, np.full((sides, 1), -thing.height_m / 2)], axis=1)
    high = np.concatenate([top * ring, np.full((sides, 1), thing.height_m / 2)], axis=1)
    return np.concatenate([low, high])
