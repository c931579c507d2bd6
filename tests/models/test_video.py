"""Stage 2: conditions that are left out cannot be seen, given frames come back, the loss weighs the contact."""

from dataclasses import replace

import pytest
import torch

from m2iv_robot.diffusion import DiffusionConfig
from m2iv_robot.models.unet import UNetConfig
from m2iv_robot.models.video import KnownScene, VideoConfig, VideoModel, loss_weight, reshape_at_random

SIZE = (16, 24)


def model(config: VideoConfig | None = None) -> VideoModel:
    torch.manual_seed(0)
    unet = UNetConfig(channels=[32, 32], attention_from_level=2, context_channels=8)
    return VideoModel(replace(config or VideoConfig(), unet=unet, sampler=DiffusionConfig(steps=2)))


def as_batch(known: KnownScene) -> dict[str, torch.Tensor]:
    """A scene as the training data hands it over."""
    images = ("first_frame", "frames", "plate", "exemplar")
    batch = {name: (getattr(known, name) * 255).to(torch.uint8) for name in images}
    return batch | {name: getattr(known, name) for name in ("actor", "object", "plate_known", "exemplar_known")}


def scene(count: int = 2, length: int = 3) -> KnownScene:
    draw = torch.Generator().manual_seed(0)
    actor = torch.zeros(count, length, *SIZE, dtype=torch.bool)
    actor[..., 2:8, 2:8] = True
    object_ = torch.zeros_like(actor)
    object_[..., 8:12, 4:8] = True
    given = torch.zeros(count, length, dtype=torch.bool)
    given[:, 0] = True
    return KnownScene(
        first_frame=torch.rand(count, 3, *SIZE, generator=draw),
        actor=actor,
        object=object_,
        frames=torch.rand(count, length, 3, *SIZE, generator=draw),
        frames_given=given,
        plate=torch.rand(count, 3, *SIZE, generator=draw),
        plate_known=torch.rand(count, *SIZE, generator=draw) > 0.2,
        exemplar=torch.rand(count, length, 3, *SIZE, generator=draw),
        exemplar_known=actor.clone(),
    )


def test_unknown_pixels_and_frames_that_are_not_given_cannot_be_seen():
    known, network = scene(), model()
    hidden = replace(
        known,
        frames=torch.where(known.frames_given[..., None, None, None], known.frames, 0.0),
        plate=torch.where(known.plate_known[:, None], known.plate, 0.0),
        exemplar=torch.where(known.exemplar_known.unsqueeze(2), known.exemplar, 0.0),
    )
    assert torch.equal(network.conditions(known), network.conditions(hidden))


@pytest.mark.parametrize(
    ("switch", "field"),
    [("use_plate", "plate"), ("use_exemplar", "exemplar"), ("use_actor_mask", "actor"), ("use_object_mask", "object")],
)
def test_a_condition_that_is_switched_off_changes_nothing(switch, field):
    known = scene()
    value = getattr(known, field)
    other = replace(known, **{field: ~value if value.dtype == torch.bool else 1 - value})
    assert not torch.equal(model().conditions(known), model().conditions(other))
    without = model(VideoConfig(**{switch: False}))
    assert torch.equal(without.conditions(known), without.conditions(other))


def test_given_frames_come_back_exactly_and_all_values_are_colours(generator):
    known = scene()
    found = model().sample(known, generator)
    assert torch.equal(found[:, 0], known.frames[:, 0])
    assert found.min() >= 0
    assert found.max() <= 1


def test_weight_is_lambda_where_they_touch_one_in_the_region_and_little_outside():
    known = scene()
    weight = loss_weight(known.actor, known.object, VideoConfig())[0, 0, 0]
    assert weight[7, 5] == 5  # the actor's last row above the object
    assert weight[8, 5] == 5  # the object's first row
    assert weight[2, 2] == 1
    assert weight[15, 23] == pytest.approx(0.1)


def test_masks_are_reshaped_in_the_asked_share_of_clips_by_the_known_kernels(generator):
    mask = torch.zeros(400, 1, 24, 24, dtype=torch.bool)
    mask[..., 8:16, 8:16] = True
    area = reshape_at_random(mask, 0.2, generator).flatten(1).sum(1)
    assert set(area.tolist()) <= {64, 6**2, 4**2, 2**2, 10**2, 12**2, 14**2}
    assert (area != 64).float().mean().item() == pytest.approx(0.2, abs=0.06)


def test_before_training_pixels_are_mostly_copied_from_exemplar_and_plate(generator):
    known = scene()
    network = model()
    conditions = network.conditions(replace(known, plate_known=torch.ones_like(known.plate_known)))
    noisy = torch.randn(2, 3, 48, 4, 6, generator=generator)
    clean = network.estimate(noisy, torch.ones(2), conditions)
    reached = known.exemplar_known.unsqueeze(2).expand_as(clean)
    wanted = torch.where(reached, known.exemplar, known.plate.unsqueeze(1)) * 2 - 1
    first = (known.first_frame * 2 - 1).unsqueeze(1).expand_as(clean)
    plate = (known.plate * 2 - 1).unsqueeze(1).expand_as(clean)
    weights = torch.tensor([-2.0, 2.0, 0.0, 4.0]).exp()
    mixed = (weights[1] * plate + weights[2] * first + weights[3] * wanted) / weights.sum()
    assert torch.allclose(clean[reached], mixed[reached], atol=1e-5)


def enlarged(known: KnownScene) -> KnownScene:
    """The same scene in pictures of twice the size, the plate as a chessboard of single pixels."""
    board = (torch.arange(2 * SIZE[0])[:, None] + torch.arange(2 * SIZE[1])) % 2
    large = {
        name: getattr(known, name).repeat_interleave(2, -1).repeat_interleave(2, -2)
        for name in ("first_frame", "actor", "object", "frames", "exemplar", "exemplar_known")
    }
    plate = board.float().expand(len(known.plate), 3, -1, -1)
    return replace(known, **large, plate=plate, plate_known=torch.ones_like(plate[:, 0], dtype=torch.bool))


def test_frames_are_mixed_from_larger_pictures_with_their_detail(generator):
    known, network = scene(), model()
    fine = enlarged(known)
    found = network.sample(known, generator, fine=fine)
    assert found.shape[-2:] == (2 * SIZE[0], 2 * SIZE[1])
    assert torch.equal(found[:, 0], fine.frames[:, 0])
    aside = found[:, 1:, :, -4:, -4:]  # neither actor nor exemplar there: the plate and a little of the rest
    assert (aside[..., 0, 1] - aside[..., 0, 0]).abs().min() > 0.5
    same = [network.sample(known, torch.Generator().manual_seed(1), fine=pictures) for pictures in (known, None)]
    assert torch.allclose(*same, atol=1e-4)


def test_training_on_one_clip_lowers_its_loss():
    known, network = as_batch(scene()), model()
    optimizer = torch.optim.AdamW(network.parameters(), lr=2e-3)
    losses = []
    for _ in range(30):
        loss = network.loss(known, torch.Generator().manual_seed(1))
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    assert losses[-1] < 0.8 * losses[0]
