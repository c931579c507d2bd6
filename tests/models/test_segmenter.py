import math

import pytest
import torch

from m2iv_robot.errors import ConfigError
from m2iv_robot.models.segmenter import (
    ACTOR_OR_OBJECT,
    UNKNOWN,
    Segmenter,
    SegmenterConfig,
    SegmenterInput,
    nearest,
    segmentation_loss,
)

TINY = SegmenterConfig(8, [8, 8, 8, 8, 8, 8, 16], [1, 1, 1, 1, 1, 1, 1], decoder_channels=8, embedding_channels=4)


@pytest.fixture
def network():
    torch.manual_seed(0)
    return Segmenter(TINY).eval()


def given(count=2, height=64, width=96, seed=0):
    generator = torch.Generator().manual_seed(seed)
    picture = torch.rand(count, 3, height, width, generator=generator)
    blank = torch.zeros(count, 1, height, width)
    return SegmenterInput(picture, picture.flip(0), blank + 1, blank, blank)


def test_logits_have_the_input_size(network):
    assert network(given(), None, None).shape == (2, 3, 64, 96)


def test_default_network_has_fewer_than_eight_million_parameters():
    count = sum(parameter.numel() for parameter in Segmenter(SegmenterConfig()).parameters())
    assert count < 8_000_000


def test_a_frame_is_segmented_alike_alone_and_in_company(network):
    both = network(given(), None, None)
    one = given()
    alone = SegmenterInput(*(getattr(one, name)[:1] for name in ("frame", "plate", "known", "hint", "rest")))
    torch.testing.assert_close(network(alone, None, None), both[:1], atol=1e-5, rtol=1e-4)


def test_unknown_plate_pixels_are_not_read_as_change(network):
    first = given()
    hidden = torch.zeros_like(first.known)
    one = SegmenterInput(first.frame, first.plate * 0, hidden, first.hint, first.rest)
    torch.testing.assert_close(network(one, None, None), network(one, None, None))
    assert not torch.allclose(network(one, None, None), network(first, None, None))


def test_an_empty_reference_is_no_reference(network):
    first = given()
    empty = torch.zeros_like(first.known)
    torch.testing.assert_close(network(first, first, empty), network(first, None, None))


def test_a_reference_changes_what_is_the_object(network):
    first = given()
    mask = torch.zeros_like(first.known)
    mask[:, :, 16:32, 16:32] = 1
    assert not torch.allclose(network(first, first, mask), network(first, None, None))


def test_frozen_stages_get_no_gradient_and_the_others_do():
    network = Segmenter(TINY)
    torch.nn.init.ones_(network.cue_out[0].weight)
    network(given(), None, None).square().mean().backward()
    assert network.encoder.stem.weight.grad is None
    assert network.encoder.stages[2][0].project.weight.grad.abs().sum() > 0
    assert network.cue_stem.weight.grad.abs().sum() > 0


def test_nearest_is_the_best_cosine_among_valid_points():
    points = torch.nn.functional.normalize(torch.randn(1, 5, 3, 4), dim=1)
    memory = torch.nn.functional.normalize(torch.randn(1, 6, 5), dim=2)
    valid = torch.tensor([[True, False, True, False, False, True]])
    expected = torch.einsum("nc,cij->nij", memory[0][valid[0]], points[0]).amax(0)
    torch.testing.assert_close(nearest(points, memory, valid)[0, 0], expected)
    assert (nearest(points, memory, valid & False) == -1).all()


def test_loss_of_even_odds_is_the_logarithm_of_three_and_two_thirds_overlap_missing():
    # every pixel actor, p = 1/3 everywhere: soft Jaccard = (n/3) / (n + n/3 - n/3)
    labels = torch.ones(1, 8, 8, dtype=torch.long)
    loss = segmentation_loss(torch.zeros(1, 3, 8, 8), labels, object_weight=3.0)
    assert float(loss) == pytest.approx(math.log(3) + 0.5 * (1 - 1 / 3), abs=1e-5)


def test_either_label_asks_for_the_sum_of_both():
    labels = torch.full((1, 8, 8), ACTOR_OR_OBJECT)
    loss = segmentation_loss(torch.zeros(1, 3, 8, 8), labels, object_weight=3.0)
    assert float(loss) == pytest.approx(-math.log(2 / 3), abs=1e-5)


def test_unknown_pixels_do_not_matter():
    logits = torch.randn(1, 3, 8, 8)
    labels = torch.randint(0, 3, (1, 8, 8))
    labels[:, :4] = UNKNOWN
    other = logits.clone()
    other[:, :, :4] += torch.randn(1, 3, 4, 8)
    torch.testing.assert_close(segmentation_loss(logits, labels, 2.0), segmentation_loss(other, labels, 2.0))


def test_a_frame_with_everything_unknown_has_no_loss():
    labels = torch.full((1, 8, 8), UNKNOWN)
    assert float(segmentation_loss(torch.randn(1, 3, 8, 8), labels, 2.0)) == 0.0


def test_a_few_steps_overfit_one_batch():
    torch.manual_seed(0)
    network = Segmenter(TINY)
    first = given(count=4, seed=1)
    labels = torch.zeros(4, 64, 96, dtype=torch.long)
    labels[:, 8:40, 16:48] = 1
    labels[:, 40:60, 50:80] = 2
    batch = {name: getattr(first, name) for name in ("frame", "plate", "known", "hint", "rest")}
    batch |= {"labels": labels, "reference": (labels[:2, None] == 2).float()}
    optimizer = torch.optim.Adam([p for p in network.parameters() if p.requires_grad], 3e-3)
    losses = []
    for _ in range(25):
        loss = network.loss(batch, torch.Generator())
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(float(loss.detach()))
    assert losses[-1] < 0.5 * losses[0]


def test_sizes_are_checked():
    with pytest.raises(ConfigError, match="decoder_channels"):
        SegmenterConfig(decoder_channels=1)
    with pytest.raises(ConfigError, match="channels and depths"):
        SegmenterConfig(channels=[8, 8])
