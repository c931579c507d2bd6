"""What a robot looks like from outside: points of its surface, each fixed to the link that it moves with.

They come from the meshes that a URDF names, or from a file made of them once (`robot.surface`), which is small enough
to ship.
"""

import importlib.resources
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pinocchio
from jaxtyping import Bool, Float, Int
from scipy.ndimage import maximum_filter

from m2iv_robot.errors import KinematicsError

SPACING_M = 0.003
VIEWS = 96  # directions from which a point may be seen
SHELL_SPACINGS = 1.5  # a point so far behind the foremost one of its direction is hidden


@dataclass(frozen=True)
class Surface:
    """Points of a robot's surface in the frames of its links."""

    points_m: Float[np.ndarray, "n 3"]
    normals: Float[np.ndarray, "n 3"]  # outward, of unit length
    link: Int[np.ndarray, " n"]  # row of `JointKinematics.link_poses`
    spacing_m: float = SPACING_M

    def save(self, path: str | Path) -> None:
        """As a small npz."""
        normals = np.round(127 * self.normals).astype(np.int8)
        arrays = {"points_m": self.points_m.astype(np.float16), "normals": normals, "link": self.link.astype(np.uint8)}
        np.savez_compressed(path, spacing_m=np.float32(self.spacing_m), **arrays)


def load_surface(path: str) -> Surface:
    """A surface from a path, or from the files that ship in configs/robot.

    Raises:
        KinematicsError: the file is not there, or holds something else.
    """
    shipped = importlib.resources.files("configs") / "robot" / path
    found = Path(path) if Path(path).is_file() else shipped
    if not found.is_file():
        raise KinematicsError(f"robot.surface {path!r} is neither a file nor shipped; leave it empty or give a path")
    try:
        with found.open("rb") as file, np.load(file) as arrays:
            normals = arrays["normals"].astype(np.float64)
            normals /= np.maximum(np.linalg.norm(normals, axis=1, keepdims=True), 1e-9)
            points, link = arrays["points_m"].astype(np.float64), arrays["link"].astype(np.int64)
            return Surface(points, normals, link, float(arrays["spacing_m"]))
    except (ValueError, KeyError, OSError) as error:
        raise KinematicsError(f"robot.surface {path}: not a surface ({error}); make it with m2iv surface") from error


def sample_surface(urdf: str | Path, chain: pinocchio.Model, spacing_m: float = SPACING_M) -> Surface | None:
    """Points of all visual meshes of a URDF, on the links of a chain; None where it names no mesh.

    What does not turn with a joint of the chain is held as it is at zero.

    Raises:
        KinematicsError: a mesh file cannot be read.
    """
    whole = pinocchio.buildModelFromUrdf(str(urdf))
    folders = [str(folder) for folder in Path(urdf).resolve().parents]
    try:
        shapes = pinocchio.buildGeomFromUrdf(whole, str(urdf), pinocchio.GeometryType.VISUAL, package_dirs=folders)
    except (ValueError, RuntimeError) as error:
        raise KinematicsError(f"URDF {urdf}: its meshes cannot be read: {error}") from error
    data = whole.createData()
    pinocchio.forwardKinematics(whole, data, pinocchio.neutral(whole))
    parts: dict[int, list[np.ndarray]] = {}
    for shape in shapes.geometryObjects:
        if not hasattr(shape.geometry, "tri_indices"):
            continue
        link, parent = 0, shape.parentJoint
        while parent and not link:
            link = chain.getJointId(whole.names[parent]) if chain.existJointName(whole.names[parent]) else 0
            parent = parent if link else whole.parents[parent]
        placement = (data.oMi[parent].inverse() * data.oMi[shape.parentJoint] * shape.placement).homogeneous
        parts.setdefault(link, []).append(_triangles(shape.geometry) @ placement[:3, :3].T + placement[:3, 3])
    if not parts:
        return None
    sampled = {link: _outer(*_spread(np.concatenate(triangles), spacing_m), spacing_m) for link, triangles in
               sorted(parts.items())}  # fmt: skip
    points, normals = (np.concatenate([pair[place] for pair in sampled.values()]) for place in (0, 1))
    link = np.concatenate([np.full(len(pair[0]), name) for name, pair in sampled.items()])
    return Surface(points, normals, link, spacing_m)


def _triangles(mesh: object) -> Float[np.ndarray, "n 3 3"]:
    corners = mesh.vertices()
    faces = np.array([[face[0], face[1], face[2]] for face in map(mesh.tri_indices, range(mesh.num_tris))])
    return corners[faces]


def _spread(
    triangles: Float[np.ndarray, "f 3 3"], spacing_m: float
) -> tuple[Float[np.ndarray, "n 3"], Float[np.ndarray, "n 3"]]:
    """Points all over the triangles, one per cell of `spacing_m`, with their normals."""
    normals = np.cross(triangles[:, 1] - triangles[:, 0], triangles[:, 2] - triangles[:, 0])
    twice_area = np.linalg.norm(normals, axis=1)
    generator = np.random.default_rng(0)
    count = int(8 * twice_area.sum() / 2 / spacing_m**2)
    chosen = generator.choice(len(triangles), count, p=twice_area / twice_area.sum())
    weight = generator.dirichlet((1.0, 1.0, 1.0), count)
    points = np.einsum("nk,nki->ni", weight, triangles[chosen])
    _, first = np.unique(np.floor(points / spacing_m).astype(np.int64), axis=0, return_index=True)
    return points[first], normals[chosen[first]] / twice_area[chosen[first], None]


def _outer(
    points: Float[np.ndarray, "n 3"], normals: Float[np.ndarray, "n 3"], spacing_m: float
) -> tuple[Float[np.ndarray, "m 3"], Float[np.ndarray, "m 3"]]:
    """Those that can be seen from outside, normals turned to where they are seen from."""
    seen, towards = np.zeros(len(points), bool), np.zeros_like(points)
    for direction in _directions(VIEWS):
        visible = _foremost(points, direction, spacing_m)
        seen |= visible
        towards[visible] += direction
    flip = np.where((normals * towards).sum(1) < 0, -1.0, 1.0)
    return points[seen], (normals * flip[:, None])[seen]


def _foremost(
    points: Float[np.ndarray, "n 3"], direction: Float[np.ndarray, " 3"], spacing_m: float
) -> Bool[np.ndarray, " n"]:
    """Which points are the first that a ray against `direction` meets; cells close the gaps between samples."""
    across = np.linalg.svd(direction[None])[2][1:]
    cell = np.floor(points @ across.T / (SHELL_SPACINGS * spacing_m)).astype(np.int64)
    cell -= cell.min(0) - 1
    height = points @ direction
    front = np.full(cell.max(0) + 2, -np.inf)
    np.maximum.at(front, tuple(cell.T), height)
    around = maximum_filter(front, 3, mode="nearest")
    return height > around[tuple(cell.T)] - 2 * SHELL_SPACINGS * spacing_m


def _directions(count: int) -> Float[np.ndarray, "{count} 3"]:
    """Unit vectors spread evenly over the sphere, on a spiral."""
    height = 1 - (2 * np.arange(count) + 1) / count
    turn = np.pi * (3 - np.sqrt(5)) * np.arange(count)
    radius = np.sqrt(1 - height**2)
    return np.stack([radius * np.cos(turn), radius * np.sin(turn), height], axis=1)
