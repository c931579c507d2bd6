"""Robot meshes light enough for a software renderer."""

from pathlib import Path

import numpy as np
from jaxtyping import Float, Int

from m2iv_robot.errors import ConfigError

_STL_RECORD = np.dtype([("normal", "<f4", 3), ("corners", "<f4", (3, 3)), ("attribute", "<u2")])


def read_stl(path: Path) -> Float[np.ndarray, "n 3 3"]:
    """Triangles of a binary STL file, in its own units.

    Raises:
        ConfigError: the file is not a binary STL.
    """
    content = path.read_bytes()
    count = int.from_bytes(content[80:84], "little")
    if len(content) < 84 + count * _STL_RECORD.itemsize or count == 0:
        raise ConfigError(f"{path}: not a binary STL file; reinstall the package that it belongs to")
    return np.frombuffer(content, _STL_RECORD, count, offset=84)["corners"].astype(np.float64)


def cluster_vertices(
    triangles: Float[np.ndarray, "n 3 3"], cell_m: float
) -> tuple[Float[np.ndarray, "v 3"], Int[np.ndarray, "f 3"]]:
    """Merge all vertices within one cell of a grid into their mean; triangles that collapse are dropped.

    Source: Rossignac & Borrel 1993, "Multi-resolution 3D approximations for rendering complex scenes", section 3.
    """
    corners = triangles.reshape(-1, 3)
    cells = np.floor((corners - corners.min(axis=0)) / cell_m).astype(np.int64)
    extent = cells.max(axis=0) + 1
    _, cluster = np.unique((cells[:, 0] * extent[1] + cells[:, 1]) * extent[2] + cells[:, 2], return_inverse=True)
    count = np.bincount(cluster)
    vertices = np.stack([np.bincount(cluster, corners[:, axis]) / count for axis in range(3)], axis=1)
    faces = cluster.reshape(-1, 3)
    distinct = (faces[:, 0] != faces[:, 1]) & (faces[:, 1] != faces[:, 2]) & (faces[:, 2] != faces[:, 0])
    faces = faces[distinct]
    corners_sorted, size = np.sort(faces, axis=1), len(vertices)
    key = (corners_sorted[:, 0] * size + corners_sorted[:, 1]) * size + corners_sorted[:, 2]
    _, first = np.unique(key, return_index=True)
    return vertices, faces[np.sort(first)]
