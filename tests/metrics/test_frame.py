"""Frame metrics against closed forms and direct sums."""

import math

import cv2
import numpy as np
import pytest
import torch

from m2iv_robot.metrics import frame


def video(generator, clips=2, frames=3, height=40, width=56):
    return torch.rand(clips, frames, 3, height, width, generator=generator)


def box(clips, frames, height, width, left, top, right, bottom):
    region = torch.zeros(clips, frames, height, width, dtype=torch.bool)
    region[..., top:bottom, left:right] = True
    return region


def test_psnr_of_a_constant_error_is_minus_twenty_times_its_logarithm(generator):
    real = video(generator) * 0.5
    assert frame.psnr(real + 0.1, real).tolist() == pytest.approx([20.0, 20.0], abs=1e-3)
    assert torch.isinf(frame.psnr(real, real)).all()


def test_psnr_in_a_region_sees_nothing_outside_and_pools_all_frames(generator):
    real = video(generator) * 0.5
    region = box(2, 3, 40, 56, 10, 5, 20, 25)
    generated = torch.where(region.unsqueeze(2), real, real + 0.3)
    assert torch.isinf(frame.psnr(generated, real, region)).all()
    half_wrong = real.clone()
    half_wrong[:, 1:, :, 5:25, 10:20] += 0.1  # two of three frames
    expected = 20 - 10 * math.log10(2 / 3)
    assert frame.psnr(half_wrong, real, region).tolist() == pytest.approx([expected] * 2, abs=1e-3)


def test_an_empty_region_gives_no_number_and_others_in_the_batch_do(generator):
    real = video(generator)
    region = box(2, 3, 40, 56, 10, 5, 20, 25)
    region[1] = False
    for measure in (frame.psnr, frame.ssim, frame.sharpness):
        result = measure(real * 0.9, real, region)
        assert torch.isfinite(result[0]) and torch.isnan(result[1])


def gaussian_mean(image):
    """The 11 x 11 window of Wang et al. with OpenCV, borders mirrored as SciPy does."""
    return cv2.GaussianBlur(image, (11, 11), 1.5, borderType=cv2.BORDER_REFLECT)


def test_ssim_is_the_formula_of_wang_et_al_computed_with_another_library(generator):
    real, generated = video(generator, 1, 1), video(generator, 1, 1)
    generated = 0.6 * real + 0.4 * generated
    expected = []
    for x, y in zip(real[0, 0].double().numpy(), generated[0, 0].double().numpy(), strict=True):
        mean_x, mean_y = gaussian_mean(x), gaussian_mean(y)
        var_x, var_y = gaussian_mean(x * x) - mean_x**2, gaussian_mean(y * y) - mean_y**2
        covariance = gaussian_mean(x * y) - mean_x * mean_y
        top = (2 * mean_x * mean_y + 0.01**2) * (2 * covariance + 0.03**2)
        expected.append(top / ((mean_x**2 + mean_y**2 + 0.01**2) * (var_x + var_y + 0.03**2)))
    result = frame.ssim_map(generated, real)[0, 0].numpy()
    np.testing.assert_allclose(result, np.mean(expected, 0), atol=2e-4)


def test_ssim_of_two_flat_pictures_is_the_luminance_term_and_of_a_copy_one():
    dark, bright = torch.full((1, 1, 3, 20, 20), 0.2), torch.full((1, 1, 3, 20, 20), 0.8)
    assert frame.ssim(dark, dark).item() == pytest.approx(1)
    luminance = (2 * 0.2 * 0.8 + 1e-4) / (0.2**2 + 0.8**2 + 1e-4)
    assert frame.ssim(bright, dark).item() == pytest.approx(luminance, abs=1e-5)


def test_ssim_in_a_region_is_the_mean_of_the_map_there(generator):
    real, generated = video(generator, 1, 2), video(generator, 1, 2)
    region = torch.rand(1, 2, 40, 56, generator=generator) > 0.7
    expected = frame.ssim_map(generated, real)[region].mean().item()
    assert frame.ssim(generated, real, region).item() == pytest.approx(expected, abs=1e-6)


def waves(amplitude, wavelength_px=16, height=32, width=64):
    row = 0.5 + amplitude * torch.sin(2 * math.pi * torch.arange(width) / wavelength_px)
    return row.expand(1, 2, 3, height, width)


def test_sharpness_is_the_square_of_the_contrast_that_a_blur_leaves():
    sharp = waves(0.4)
    region = box(1, 2, 32, 64, 8, 4, 56, 28)  # away from the border, where a blur mirrors
    blurred = torch.from_numpy(
        np.stack([cv2.GaussianBlur(plane.numpy(), (0, 0), 2.0) for plane in sharp.flatten(0, 2)])
    ).reshape(sharp.shape)
    frequency = 2 * math.pi / 16
    assert frame.sharpness(blurred, sharp, region).item() == pytest.approx(math.exp(-(frequency**2) * 4), rel=0.02)
    assert frame.sharpness(sharp, sharp).item() == pytest.approx(1)


def test_sharpness_of_independent_noise_on_a_picture_exceeds_one_and_a_shift_keeps_it(generator):
    sharp = waves(0.3)
    noisy = sharp + 0.05 * torch.randn(sharp.shape, generator=generator)
    assert frame.sharpness(noisy, sharp).item() > 2
    region = box(1, 2, 32, 64, 8, 4, 56, 28)
    assert frame.sharpness(sharp.roll(16, -1), sharp, region).item() == pytest.approx(1, abs=1e-5)


def test_background_change_is_the_mean_difference_outside_alone(generator):
    real = video(generator) * 0.5
    region = box(2, 3, 40, 56, 10, 5, 20, 25)
    generated = torch.where(region.unsqueeze(2), real + 0.4, real)
    assert frame.background_change(generated, real, region).tolist() == [0, 0]
    generated = torch.where(region.unsqueeze(2), real + 0.4, real - 0.02)
    assert frame.background_change(generated, real, region).tolist() == pytest.approx([0.02] * 2, abs=1e-6)


def test_the_moving_region_holds_the_first_place_the_present_one_and_a_margin():
    actor = box(1, 2, 40, 56, 0, 0, 0, 0)
    object_ = actor.clone()
    object_[0, 0, 10:14, 10:14] = True
    object_[0, 1, 20:24, 30:34] = True
    region = frame.moving_region(actor, object_, margin_px=3)
    assert torch.equal(region[0, 0], box(1, 1, 40, 56, 9, 9, 15, 15)[0, 0])
    assert torch.equal(region[0, 1], region[0, 0] | box(1, 1, 40, 56, 29, 19, 35, 25)[0, 0])
