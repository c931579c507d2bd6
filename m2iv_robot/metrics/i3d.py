"""The I3D network that FVD is defined on: 224 x 224 video to the 400 Kinetics logits, averaged over time.

Source: Carreira & Zisserman 2017, "Quo Vadis, Action Recognition?", figure 3; padding and normalisation as TensorFlow
and Sonnet compute them, because the checkpoint was trained with those.
"""

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional

IMAGE_SIZE_PX = 224
MIN_FRAMES = 9  # nine frames leave the two time steps that the last pooling needs
CLASSES = 400
BATCH_NORM_EPSILON = 1e-3  # Sonnet's
CLIPS_AT_ONCE = 4

# name -> channels of: branch 0 | branch 1 reduce, filter | branch 2 reduce, filter | branch 3
INCEPTION_CHANNELS = {
    "Mixed_3b": (64, 96, 128, 16, 32, 32),
    "Mixed_3c": (128, 128, 192, 32, 96, 64),
    "Mixed_4b": (192, 96, 208, 16, 48, 64),
    "Mixed_4c": (160, 112, 224, 24, 64, 64),
    "Mixed_4d": (128, 128, 256, 24, 64, 64),
    "Mixed_4e": (112, 144, 288, 32, 64, 64),
    "Mixed_4f": (256, 160, 320, 32, 128, 128),
    "Mixed_5b": (256, 160, 320, 32, 128, 128),
    "Mixed_5c": (384, 192, 384, 48, 128, 128),
}


def pad_same(
    features: Float[Tensor, "b c t h w"], kernel: tuple[int, int, int], stride: tuple[int, int, int], value: float = 0.0
) -> Float[Tensor, "b c t2 h2 w2"]:
    """Pad as TensorFlow's "SAME" does: the output has ceil(size / stride) entries, an odd pixel goes to the far end."""
    padding: list[int] = []
    for size, width, step in reversed(list(zip(features.shape[2:], kernel, stride, strict=True))):
        total = max((-(-size // step) - 1) * step + width - size, 0)
        padding += [total // 2, total - total // 2]
    return functional.pad(features, padding, value=value)


def max_pool_same(
    features: Float[Tensor, "b c t h w"], kernel: tuple[int, int, int], stride: tuple[int, int, int]
) -> Float[Tensor, "b c t2 h2 w2"]:
    """Largest value in each window; what lies outside the video never wins."""
    return functional.max_pool3d(pad_same(features, kernel, stride, -torch.inf), kernel, stride)


class Unit(nn.Module):
    """Convolution, batch normalisation with a shift but no scale, ReLU."""

    def __init__(self, channels_in: int, channels_out: int, kernel: int, stride: int = 1) -> None:
        super().__init__()
        self.kernel, self.stride = (kernel,) * 3, (stride,) * 3
        self.convolution = nn.Conv3d(channels_in, channels_out, kernel, stride, bias=False)
        self.register_buffer("mean", torch.zeros(channels_out))
        self.register_buffer("variance", torch.ones(channels_out))
        self.shift = nn.Parameter(torch.zeros(channels_out))

    def forward(self, features: Float[Tensor, "b c t h w"]) -> Float[Tensor, "b d t2 h2 w2"]:
        """One unit."""
        hidden = self.convolution(pad_same(features, self.kernel, self.stride))  # b d t2 h2 w2
        hidden = functional.batch_norm(hidden, self.mean, self.variance, None, self.shift, eps=BATCH_NORM_EPSILON)
        return functional.relu(hidden)


class Inception(nn.Module):
    """Four branches side by side: 1x1, two of 1x1 then 3x3x3, and pooling then 1x1."""

    def __init__(self, channels_in: int, channels: tuple[int, int, int, int, int, int]) -> None:
        super().__init__()
        self.direct = Unit(channels_in, channels[0], 1)
        self.reduce_1 = Unit(channels_in, channels[1], 1)
        self.filter_1 = Unit(channels[1], channels[2], 3)
        self.reduce_2 = Unit(channels_in, channels[3], 1)
        self.filter_2 = Unit(channels[3], channels[4], 3)
        self.pooled = Unit(channels_in, channels[5], 1)
        self.channels_out = channels[0] + channels[2] + channels[4] + channels[5]

    def forward(self, features: Float[Tensor, "b c t h w"]) -> Float[Tensor, "b d t h w"]:
        """The branches' channels, one after the other."""
        branches = [
            self.direct(features),
            self.filter_1(self.reduce_1(features)),
            self.filter_2(self.reduce_2(features)),
            self.pooled(max_pool_same(features, (3, 3, 3), (1, 1, 1))),
        ]
        return torch.cat(branches, 1)


class InceptionI3d(nn.Module):
    """The RGB stream of I3D; built with random weights, `i3d_checkpoint.load` gives it the published ones."""

    def __init__(self) -> None:
        super().__init__()
        self.stem_1a = Unit(3, 64, 7, 2)
        self.stem_2b = Unit(64, 64, 1)
        self.stem_2c = Unit(64, 192, 3)
        self.mixed = nn.ModuleDict()
        channels = 192
        for name, widths in INCEPTION_CHANNELS.items():
            self.mixed[name] = Inception(channels, widths)
            channels = self.mixed[name].channels_out
        self.classes = nn.Conv3d(channels, CLASSES, 1)

    def features(self, video: Float[Tensor, "b 3 t h w"]) -> Float[Tensor, "b 1024 t2 h2 w2"]:
        """Activations of the last Inception block, at an eighth of the frames and 1/32 of the size."""
        hidden = self.stem_1a(video)  # b 64 t/2 h/2 w/2
        hidden = max_pool_same(hidden, (1, 3, 3), (1, 2, 2))
        hidden = self.stem_2c(self.stem_2b(hidden))  # b 192 t/2 h/4 w/4
        hidden = max_pool_same(hidden, (1, 3, 3), (1, 2, 2))  # b 192 t/2 h/8 w/8
        for name, block in self.mixed.items():
            if name == "Mixed_4b":
                hidden = max_pool_same(hidden, (3, 3, 3), (2, 2, 2))  # b 480 t/4 h/16 w/16
            if name == "Mixed_5b":
                hidden = max_pool_same(hidden, (2, 2, 2), (2, 2, 2))  # b 832 t/8 h/32 w/32
            hidden = block(hidden)
        return hidden

    def head(self, features: Float[Tensor, "b 1024 t 7 7"]) -> Float[Tensor, "b 400"]:
        """Logits of every pair of neighbouring time steps, averaged."""
        pooled = functional.avg_pool3d(features, (2, 7, 7), 1)  # b 1024 t-1 1 1
        return self.classes(pooled).mean((2, 3, 4))

    def forward(self, video: Float[Tensor, "b 3 t 224 224"]) -> Float[Tensor, "b 400"]:
        """Logits of video in [-1, 1]; the tensor "RGB/inception_i3d/Mean:0" that the reference FVD reads."""
        return self.head(self.features(video))


def resize_matrix(size_in: int, size_out: int) -> Float[Tensor, "{size_out} {size_in}"]:
    """Bilinear weights of TensorFlow 1's `resize_bilinear`: output i looks at input i * in / out, corners not centres.

    The FVD reference resizes so; sampling pixel centres, as PyTorch does, moves the picture by up to half a pixel.
    """
    position = torch.arange(size_out, dtype=torch.float64) * size_in / size_out
    lower = position.floor().long().clamp(max=size_in - 1)
    upper = (lower + 1).clamp(max=size_in - 1)
    weight = position - lower
    matrix = torch.zeros(size_out, size_in, dtype=torch.float64)
    rows = torch.arange(size_out)
    matrix.index_put_((rows, lower), 1 - weight, accumulate=True)
    matrix.index_put_((rows, upper), weight, accumulate=True)
    return matrix.to(torch.float32)


def preprocess(video: Float[Tensor, "b t 3 h w"]) -> Float[Tensor, "b 3 t 224 224"]:
    """Video in [0, 1] as the reference FVD feeds it: squeezed to 224 x 224 whatever the shape, in [-1, 1].

    Source: google-research, frechet_video_distance, `preprocess`.
    """
    rows = resize_matrix(video.shape[-2], IMAGE_SIZE_PX).to(video.device)
    columns = resize_matrix(video.shape[-1], IMAGE_SIZE_PX).to(video.device)
    resized = torch.einsum("yh,btchw,xw->bctyx", rows, video, columns)
    return 2 * resized - 1


@torch.no_grad()
def embed(network: InceptionI3d, video: Float[Tensor, "b t 3 h w"]) -> Float[Tensor, "b 400"]:
    """What FVD compares: the logits of each clip, given in [0, 1] with at least nine frames.

    Raises:
        ValueError: the clips are too short.
    """
    if video.shape[1] < MIN_FRAMES:
        raise ValueError(f"I3D needs clips of at least {MIN_FRAMES} frames, got {video.shape[1]}")
    return torch.cat([network(preprocess(clips)) for clips in video.split(CLIPS_AT_ONCE)])
