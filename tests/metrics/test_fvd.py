"""The Frechet distance against closed forms and SciPy's matrix square root."""

import numpy as np
import pytest
import scipy.linalg
import torch

from m2iv_robot.metrics import fvd


def samples_of(mean, covariance, count, generator):
    """Samples whose own mean and unbiased covariance are exactly those given."""
    noise = torch.randn(count, len(mean), generator=generator, dtype=torch.float64)
    noise = noise - noise.mean(0)
    white = torch.linalg.qr(noise).Q * (count - 1) ** 0.5
    return white @ torch.linalg.cholesky(covariance).T + mean


def random_covariance(size, generator):
    factor = torch.randn(size, size, generator=generator, dtype=torch.float64)
    return factor @ factor.T / size + 0.1 * torch.eye(size, dtype=torch.float64)


def test_frechet_distance_of_a_shifted_copy_is_the_squared_shift(generator):
    features = torch.randn(256, 8, generator=generator)
    assert fvd.frechet_distance(features, features + 3.0) == pytest.approx(8 * 3.0**2, rel=1e-5)
    assert fvd.frechet_distance(features, features) == pytest.approx(0, abs=1e-9)


def test_frechet_distance_of_a_scaled_copy_is_the_variance_times_the_squared_difference(generator):
    features = torch.randn(256, 8, generator=generator, dtype=torch.float64)
    features = features - features.mean(0)
    assert fvd.frechet_distance(features, 3 * features) == pytest.approx(4 * features.var(0).sum().item())


def test_frechet_distance_of_gaussians_is_the_formula_with_scipys_square_root(generator):
    first, second = random_covariance(12, generator), random_covariance(12, generator)
    mean, other = torch.randn(2, 12, generator=generator, dtype=torch.float64)
    root = scipy.linalg.sqrtm((first @ second).numpy()).real
    expected = (mean - other).square().sum().item() + np.trace(first.numpy() + second.numpy() - 2 * root)
    result = fvd.frechet_distance(samples_of(mean, first, 40, generator), samples_of(other, second, 55, generator))
    assert result == pytest.approx(expected, rel=1e-9)


def test_frechet_distance_holds_with_fewer_clips_than_features(generator):
    features = torch.randn(20, 64, generator=generator, dtype=torch.float64)
    rotation = torch.linalg.qr(torch.randn(64, 64, generator=generator, dtype=torch.float64)).Q
    other = torch.randn(30, 64, generator=generator, dtype=torch.float64)
    assert fvd.frechet_distance(features, features + 1) == pytest.approx(64)
    turned = fvd.frechet_distance(features @ rotation, other @ rotation)
    assert turned == pytest.approx(fvd.frechet_distance(features, other))
    assert fvd.frechet_distance(other, features) == pytest.approx(fvd.frechet_distance(features, other))


def test_too_few_clips_are_refused(generator):
    few, enough = torch.randn(15, 4, generator=generator), torch.randn(16, 4, generator=generator)
    with pytest.raises(ValueError, match=r"at least 16 clips.*generated set has 15"):
        fvd.fvd(enough, few)


def test_the_interval_is_as_wide_as_repeated_measurements_scatter(generator):
    """Sixty fresh pairs of sets tell the true scatter; the bootstrap has to guess it from each pair alone."""
    values, margins = [], []
    for _ in range(60):
        real = torch.randn(80, 6, generator=generator)
        generated = real + 0.5 * torch.randn(80, 6, generator=generator) + 0.5
        value = fvd.fvd(real, generated)
        low, high = fvd.interval(value, fvd.resampled_distances(real, generated, generator, 40))
        values.append(value)
        margins.append((high - low) / 2)
    scatter = 1.96 * np.std(values)
    assert np.mean(margins) == pytest.approx(scatter, rel=0.3)


def test_the_same_draws_make_the_interval_of_a_difference_narrower(generator):
    real = torch.randn(80, 6, generator=generator)
    error = torch.randn(80, 6, generator=generator)
    better, worse = real + 0.5 * error + 0.5, real + 0.6 * error + 0.6
    values = fvd.fvd(real, worse), fvd.fvd(real, better)
    draws = [
        fvd.resampled_distances(real, generated, torch.Generator().manual_seed(3)) for generated in (worse, better)
    ]
    low, high = fvd.interval_of_difference(values, (draws[0], draws[1]))
    assert 0 < low < values[0] - values[1] < high
    alone = fvd.interval(values[0], draws[0])
    assert high - low < (alone[1] - alone[0])
    assert torch.equal(draws[0], fvd.resampled_distances(real, worse, torch.Generator().manual_seed(3)))
