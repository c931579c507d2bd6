"""Noise, targets and sampling against closed forms."""

import pytest
import torch

from m2iv_robot.diffusion import (
    DiffusionConfig,
    add_noise,
    draw_time,
    sample,
    sampling_times,
    shift_time,
    velocity_target,
    weighted_loss,
)
from m2iv_robot.errors import ConfigError


def seeded() -> torch.Generator:
    return torch.Generator().manual_seed(0)


def test_path_starts_at_the_data_and_ends_at_the_noise():
    clean, noise = torch.randn(2, 3, 4), torch.randn(2, 3, 4)
    assert torch.equal(add_noise(clean, noise, torch.zeros(2)), clean)
    assert torch.equal(add_noise(clean, noise, torch.ones(2)), noise)


def test_velocity_is_the_derivative_of_the_path():
    clean, noise = torch.randn(2, 5, dtype=torch.float64), torch.randn(2, 5, dtype=torch.float64)
    time, step = torch.full((2,), 0.3, dtype=torch.float64), 1e-6
    derivative = (add_noise(clean, noise, time + step) - add_noise(clean, noise, time)) / step
    assert torch.allclose(derivative, velocity_target(clean, noise), atol=1e-6)


@pytest.mark.parametrize("steps", [1, 4])
@pytest.mark.parametrize("shift", [1.0, 3.0])
def test_sampling_with_the_exact_velocity_of_one_datum_returns_it(steps, shift):
    datum = torch.rand(1, 6) * 2 - 1
    noise = torch.randn(3, 6, generator=seeded())
    found = sample(lambda noisy, t: (noisy - datum) / t[:, None], noise, DiffusionConfig(steps=steps, shift=shift))
    assert torch.allclose(found, datum.expand(3, 6), atol=1e-5)


def test_sampling_a_gaussian_with_its_optimal_velocity_gives_its_spread():
    spread = 0.2
    noise = torch.randn(20_000, 1, generator=seeded())

    def optimal(noisy, t):  # E[noise - clean | noisy] for clean ~ N(0, spread^2)
        t = t[:, None]
        variance = (1 - t) ** 2 * spread**2 + t**2
        return noisy * (t - (1 - t) * spread**2) / variance

    found = sample(optimal, noise, DiffusionConfig(steps=200))
    assert found.std().item() == pytest.approx(spread, rel=0.03)


def test_times_run_from_exactly_one_to_exactly_zero():
    times = sampling_times(DiffusionConfig(steps=5, shift=2.5))
    assert times[0] == 1 and times[-1] == 0 and (times.diff() < 0).all()


def test_shift_of_one_is_the_identity():
    time = torch.rand(7)
    assert torch.allclose(shift_time(time, 1.0), time)


def test_logit_normal_times_have_their_median_at_the_shifted_half():
    time = draw_time(40_001, DiffusionConfig(shift=3.0), seeded())
    assert time.median().item() == pytest.approx(0.75, abs=0.01)
    assert 0 <= time.min() and time.max() <= 1


def test_a_constant_weight_changes_nothing_and_a_spatial_one_reweights():
    predicted, target = torch.randn(2, 1, 2, 2), torch.randn(2, 1, 2, 2)
    plain = (predicted - target).square().mean()
    assert weighted_loss(predicted, target, torch.full((1,), 7.0)) == pytest.approx(plain.item())
    only = torch.zeros(1, 1, 2, 2)
    only[..., 0, 1] = 5.0
    expected = (predicted - target).square()[..., 0, 1].mean()
    assert weighted_loss(predicted, target, only) == pytest.approx(expected.item())


@pytest.mark.parametrize("wrong", [{"steps": 0}, {"shift": 0.0}, {"logit_scale": -1.0}])
def test_impossible_settings_are_refused_by_name(wrong):
    with pytest.raises(ConfigError, match=f"diffusion.{next(iter(wrong))}"):
        DiffusionConfig(**wrong)
