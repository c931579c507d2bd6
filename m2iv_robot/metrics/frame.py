"""How close generated frames are to real ones, in the whole frame or a region: PSNR, SSIM, sharpness, background.

A region is a mask per frame, made from the real clip's masks (`moving_region`), never from the generated ones.
Every function gives one number per clip; it is NaN where the clip's region is empty.

SSIM comes from scikit-image rather than torchmetrics: its map, which a region needs, is a documented result with the
window of the original paper, and it stands on NumPy and SciPy, which are here anyway. On the CPU, 0.01 s a frame.
"""

import torch
from jaxtyping import Bool, Float
from torch import Tensor
from torch.nn import functional

from m2iv_robot import masks

LUMA = (0.299, 0.587, 0.114)
REGION_MARGIN_PX = 7  # dilation of the moving region: soft edges and contact shadows belong to it
SSIM_SIGMA_PX = 1.5  # Wang et al. 2004: a Gaussian window, 11 pixels wide
SSIM_WINDOW_PX = 11


def moving_region(
    actor: Bool[Tensor, "b t h w"], object_: Bool[Tensor, "b t h w"], margin_px: int = REGION_MARGIN_PX
) -> Bool[Tensor, "b t h w"]:
    """Where actor or object are in a frame, or were in the first one (what they uncover is generated too), grown."""
    here = actor | object_
    return masks.dilate(here | here[:, :1], margin_px)


def average(values: Float[Tensor, "b t h w"], region: Bool[Tensor, "b t h w"] | None = None) -> Float[Tensor, " b"]:
    """Mean of a per-pixel map over a clip, or over the pixels of its region."""
    if region is None:
        return values.mean((1, 2, 3))
    inside = torch.where(region, values, torch.zeros_like(values)).sum((1, 2, 3), dtype=torch.float64)
    return (inside / region.sum((1, 2, 3))).to(values.dtype)


def psnr(
    generated: Float[Tensor, "b t 3 h w"],
    real: Float[Tensor, "b t 3 h w"],
    region: Bool[Tensor, "b t h w"] | None = None,
) -> Float[Tensor, " b"]:
    """Peak signal to noise ratio in dB, from the squared error of all the clip's pixels together.

    Not the mean of the frames' values: a frame that is given, such as the first, would make that infinite.
    """
    return -10 * torch.log10(average((generated - real).square().mean(2), region))


def ssim_map(generated: Float[Tensor, "b t 3 h w"], real: Float[Tensor, "b t 3 h w"]) -> Float[Tensor, "b t h w"]:
    """Structural similarity around each pixel, mean of the three channels, at most 1; on the CPU.

    Source: Wang et al. 2004, "Image Quality Assessment"; population covariances, constants 0.01 and 0.03.
    """
    from skimage.metrics import structural_similarity

    maps = []
    pairs = zip(generated.flatten(0, 1).cpu().numpy(), real.flatten(0, 1).cpu().numpy(), strict=True)
    for one, other in pairs:
        _mean, similarity = structural_similarity(
            one,
            other,
            win_size=SSIM_WINDOW_PX,
            data_range=1.0,
            channel_axis=0,
            gaussian_weights=True,
            sigma=SSIM_SIGMA_PX,
            use_sample_covariance=False,
            full=True,
        )
        maps.append(torch.from_numpy(similarity).mean(0))
    return torch.stack(maps).reshape(*generated.shape[:2], *generated.shape[3:]).to(generated)


def ssim(
    generated: Float[Tensor, "b t 3 h w"],
    real: Float[Tensor, "b t 3 h w"],
    region: Bool[Tensor, "b t h w"] | None = None,
) -> Float[Tensor, " b"]:
    """Structural similarity, mean over the clip's pixels or its region's; 1 where the clips are the same."""
    return average(ssim_map(generated, real), region)


def detail(video: Float[Tensor, "b t 3 h w"]) -> Float[Tensor, "b t h w"]:
    """Squared Laplacian of the brightness: how much fine detail there is around each pixel."""
    brightness = (video * video.new_tensor(LUMA)[:, None, None]).sum(2)  # b t h w
    kernel = video.new_tensor([[0.0, 1.0, 0.0], [1.0, -4.0, 1.0], [0.0, 1.0, 0.0]])[None, None]
    padded = functional.pad(brightness.flatten(0, 1)[:, None], (1, 1, 1, 1), mode="replicate")
    return functional.conv2d(padded, kernel)[:, 0].square().reshape(brightness.shape)


def sharpness(
    generated: Float[Tensor, "b t 3 h w"],
    real: Float[Tensor, "b t 3 h w"],
    region: Bool[Tensor, "b t h w"] | None = None,
) -> Float[Tensor, " b"]:
    """Detail of the generated clip as a share of the real one's: 1 equally sharp, below blurred, above noisy."""
    return average(detail(generated), region) / average(detail(real), region)


def background_change(
    generated: Float[Tensor, "b t 3 h w"], real: Float[Tensor, "b t 3 h w"], region: Bool[Tensor, "b t h w"]
) -> Float[Tensor, " b"]:
    """Mean absolute difference outside the region, in [0, 1]; `real` may also be the first frame, repeated."""
    return average((generated - real).abs().mean(2), ~region)
