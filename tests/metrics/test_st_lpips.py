"""ST-LPIPS against figures that its authors' own network gave, and against what it must be by construction."""

import zipfile

import pytest
import torch

from m2iv_robot.errors import CheckpointError
from m2iv_robot.metrics import st_lpips


def pictures():
    """Two smooth pictures given by formulas."""
    y, x = torch.meshgrid(torch.arange(48.0), torch.arange(72.0), indexing="ij")
    one = torch.stack([torch.sin(x / 5), torch.cos(y / 7), torch.sin((x + y) / 9)])
    other = torch.stack([torch.sin(x / 5 + 1), torch.cos(y / 4), torch.sin((x - y) / 9)])
    return (one[None] + 1) / 2, (other[None] + 1) / 2


def random_state():
    generator = torch.Generator().manual_seed(0)
    sizes = ((64, 3, 11), (192, 64, 5), (384, 192, 3), (256, 384, 3), (256, 256, 3))
    state = {st_lpips.SHIFT: torch.zeros(1, 3, 1, 1), st_lpips.SCALE: torch.ones(1, 3, 1, 1)}
    for name, head, (out, given, side) in zip(st_lpips.CONVOLUTIONS, st_lpips.HEADS, sizes, strict=True):
        state[f"{name}.weight"] = torch.randn(out, given, side, side, generator=generator) * 0.05
        state[f"{name}.bias"] = torch.zeros(out)
        state[head] = torch.ones(1, out, 1, 1)
    return state


def test_published_weights_give_the_published_networks_figures():
    """The figures are those of stlpips-pytorch 0.0.2: LPIPS(net="alex", variant="shift_tolerant", spatial=True)."""
    if not st_lpips.st_lpips_path().is_file():
        pytest.skip(f"no ST-LPIPS weights in {st_lpips.st_lpips_path()}; {st_lpips.COMMAND}")
    distance = st_lpips.load_st_lpips().distance_map(*pictures())[0]
    assert float(distance.mean()) == pytest.approx(0.4577072, abs=1e-5)
    places = [float(distance[place]) for place in ((10, 10), (24, 36), (47, 71))]
    assert places == pytest.approx([0.2292827, 0.1504256, 0.7204510], abs=1e-5)


def test_blurring_halves_a_picture_and_keeps_what_is_constant():
    assert st_lpips.halve(torch.full((1, 2, 9, 12), 3.0)).unique().tolist() == [3.0]
    assert st_lpips.halve(torch.zeros(1, 2, 9, 12)).shape == (1, 2, 6, 7)


def test_distance_is_zero_for_the_same_and_grows_where_pictures_differ():
    state, (one, _) = random_state(), pictures()
    assert float(st_lpips.st_lpips_map(state, one, one).abs().max()) == 0
    damaged = one.clone()
    damaged[..., 60:] = 1 - damaged[..., 60:]
    distance = st_lpips.st_lpips_map(state, one, damaged)[0]
    assert distance.shape == (48, 72)
    assert float(distance[:, 64:].mean()) > 10 * float(distance[:, :8].mean())


def test_orthogonal_features_are_two_apart():
    one, other = torch.zeros(1, 2, 1, 1), torch.zeros(1, 2, 1, 1)
    one[:, 0], other[:, 1] = 5.0, 0.1
    assert float((st_lpips.unit(one) - st_lpips.unit(other)).square().sum()) == pytest.approx(2)


def test_changed_or_missing_weights_are_refused(tmp_path, monkeypatch):
    monkeypatch.setenv("M2IV_ST_LPIPS", str(tmp_path / "none.safetensors"))
    with pytest.raises(CheckpointError, match="no ST-LPIPS weights; run"):
        st_lpips.load_st_lpips()
    wheel = tmp_path / st_lpips.WHEEL
    with zipfile.ZipFile(wheel, "w") as archive:
        archive.writestr(st_lpips.MEMBER, b"something else")
    with pytest.raises(CheckpointError, match="differ from the published ones"):
        st_lpips.fetch(wheel)
