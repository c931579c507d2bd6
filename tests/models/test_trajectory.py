"""Stage 1: what it is told, what it may not see, and that given masks come back untouched."""

from dataclasses import replace

import pytest
import torch

from m2iv_robot.diffusion import DiffusionConfig
from m2iv_robot.models.patches import fold, unfold
from m2iv_robot.models.trajectory import (
    TrajectoryConfig,
    TrajectoryModel,
    along_plan,
    between_keyframes,
    path_marks,
    position_conditioned,
)
from m2iv_robot.models.unet import UNetConfig

SIZE = (16, 24)


def moving_square(count: int = 2, length: int = 4):
    """An actor and an object that both move right by two pixels a frame."""
    actor = torch.zeros(count, length, *SIZE, dtype=torch.bool)
    object_ = torch.zeros_like(actor)
    for t in range(length):
        actor[:, t, 2:8, 2 * t : 2 * t + 6] = True
        object_[:, t, 8:12, 2 * t : 2 * t + 6] = True
    return torch.rand(count, 3, *SIZE), actor, object_


@pytest.fixture
def tiny():
    torch.manual_seed(0)
    unet = UNetConfig(channels=[32, 32], attention_from_level=2, context_channels=8)
    network = TrajectoryModel(TrajectoryConfig(patch=4, unet=unet, sampler=DiffusionConfig(steps=2)))
    torch.nn.init.normal_(network.unet.unet.conv_out.weight, std=0.5)  # zero before training: nothing would be drawn
    return network


def test_fold_is_lossless():
    video = torch.rand(2, 3, 5, 8, 12)
    assert torch.equal(unfold(fold(video, 4), 4), video)


def test_masks_that_are_not_given_cannot_be_seen(tiny):
    frame, actor, object_ = moving_square()
    changed_actor, changed_object = actor.clone(), object_.clone()
    changed_actor[:, 1:] = ~changed_actor[:, 1:]
    changed_object[:, 1:-1] = ~changed_object[:, 1:-1]
    seen = tiny.conditions(position_conditioned(frame, actor, object_))
    assert torch.equal(seen, tiny.conditions(position_conditioned(frame, changed_actor, changed_object)))
    known = between_keyframes(position_conditioned(frame, changed_actor, object_))
    assert not torch.equal(seen, tiny.conditions(known))


def test_given_masks_come_back_and_the_two_never_overlap(tiny, generator):
    frame, actor, object_ = moving_square()
    known = position_conditioned(frame, actor, object_)
    found_actor, found_object = tiny.sample(known, generator)
    assert torch.equal(found_actor[:, 0], actor[:, 0])
    assert torch.equal(found_object[:, [0, -1]], object_[:, [0, -1]])
    assert not (found_actor & found_object).any()
    path = torch.zeros(2, 4, 2)
    _, guided = tiny.sample(along_plan(known, path), generator)
    assert torch.equal(guided, object_)


def test_samples_depend_on_the_seed_alone(tiny):
    frame, actor, object_ = moving_square()
    known = position_conditioned(frame, actor, object_)
    one, again, other = (tiny.sample(known, torch.Generator().manual_seed(seed))[0] for seed in (3, 3, 4))
    assert torch.equal(one, again)
    assert not torch.equal(one, other)


def test_gripper_mark_peaks_at_its_pixel_and_is_absent_where_unknown():
    marks = path_marks(torch.tensor([[[5.0, 3.0], [torch.nan, torch.nan]]]), *SIZE)
    assert marks[0, 0, 0].argmax() == 3 * SIZE[1] + 5
    assert marks[0, 0, 0].max() == 1
    assert marks[0, 1].abs().max() == 0


def test_a_guessed_actor_is_seen_where_it_is_given_and_nowhere_else(tiny):
    frame, actor, object_ = moving_square()
    plain = along_plan(position_conditioned(frame, actor, object_), torch.zeros(2, 4, 2))
    guessed = along_plan(position_conditioned(frame, actor, object_), torch.zeros(2, 4, 2), actor)
    assert not torch.equal(tiny.conditions(plain), tiny.conditions(guessed))
    hidden = replace(guessed, guess_given=torch.zeros_like(guessed.object_given))
    assert torch.equal(tiny.conditions(plain), tiny.conditions(hidden))


def test_training_on_one_clip_lowers_its_loss(tiny):
    frame, actor, object_ = moving_square()
    known = {
        "first_frame": (frame * 255).to(torch.uint8),
        "actor": actor,
        "object": object_,
        "gripper_path_px": torch.zeros(2, 4, 2),
        "actor_guess": actor,
        "guess_given": torch.ones(2, 4, dtype=torch.bool),
    }
    optimizer = torch.optim.AdamW(tiny.parameters(), lr=2e-3)
    losses = []
    for _ in range(30):
        loss = tiny.loss(known, torch.Generator().manual_seed(1))
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    assert losses[-1] < 0.6 * losses[0]
