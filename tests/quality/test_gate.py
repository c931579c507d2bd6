from dataclasses import replace

import pytest
import torch
from drawn_candidate import GRIPPER, ColourSegmenter, source
from drawn_scene import GOAL, GREY, HELD

from m2iv_robot.errors import ConfigError, SegmentationError
from m2iv_robot.labelling import LabelEstimate
from m2iv_robot.quality import CHECKS, QualityConfig, QualityGate, SourceContext, recorded_candidate, spoiled
from m2iv_robot.types import MaskTrajectory


@pytest.fixture(scope="module")
def context() -> SourceContext:
    return source()


@pytest.fixture(scope="module")
def recorded(context):
    return recorded_candidate(context)


def verdict(candidate, context, **changes) -> dict[str, bool]:
    gate = QualityGate(QualityConfig(**changes), ColourSegmenter())
    return {result.name: result.passed for result in gate.assess(candidate, context).checks}


def failed(candidate, context, **changes) -> set[str]:
    return {name for name, passed in verdict(candidate, context, stop_early=False, **changes).items() if not passed}


def test_a_recorded_episode_passes_every_check_and_every_check_is_made(recorded, context):
    results = verdict(recorded, context)
    assert set(results) == set(CHECKS) - {"labeller_error"}
    assert all(results.values())


@pytest.mark.parametrize(
    ("spoil", "check"),
    [
        (lambda good, context: spoiled.frames_shuffled(good, torch.Generator().manual_seed(0)), "order"),
        (lambda good, context: spoiled.object_erased(good, context.plate), "object_seen"),
        (lambda good, context: spoiled.object_recoloured(good), "object_seen"),
        (lambda good, context: spoiled.object_elsewhere(good), "start_error"),
        (lambda good, context: spoiled.frozen_midway(good), "goal_error"),
        (lambda good, context: spoiled.labels_shifted(good, 1.0), "label_lag"),
        (lambda good, context: spoiled.labels_shifted(good, -1.0), "label_lag"),
        (lambda good, context: spoiled.gripper_inverted(good, GRIPPER, GRIPPER), "held_agreement"),
    ],
)
def test_a_known_bad_variant_fails_the_check_that_is_about_it(recorded, context, spoil, check):
    assert check in failed(spoil(recorded, context), context)


def test_an_arm_that_is_seen_before_the_object_does_not_hold_it_unless_the_gripper_is_there(recorded, context):
    """The last frames show the arm over the object; the labels have the gripper at home, or at the object."""
    frames = recorded.episode.frames.clone()
    x, y = GOAL
    frames[-6:, :, :y, x - 5 : x + 5] = torch.tensor(GREY, dtype=torch.uint8)[:, None, None]
    seen = replace(recorded, episode=replace(recorded.episode, frames=frames))
    assert "contact_after" not in failed(seen, context)
    state = recorded.episode.state.clone()
    state[-8:, :3] = state[HELD.release - 1, :3]
    held = replace(seen, episode=replace(seen.episode, state=state))
    assert "contact_after" in failed(held, context)


def test_actions_that_the_states_do_not_follow_are_rejected(recorded, context):
    backwards = replace(recorded, episode=replace(recorded.episode, action=recorded.episode.action.flip(0)))
    other = spoiled.other_actions(recorded, backwards)
    assert failed(other, context) >= {"action_error"}
    assert torch.equal(other.episode.state, recorded.episode.state)


def test_labels_that_the_labeller_does_not_read_are_rejected(recorded, context):
    state, action = recorded.episode.state, recorded.episode.action
    sigma = torch.full_like(state, 0.01)

    def reader(frames):
        return LabelEstimate(state + 0.02, action, sigma, sigma)

    assert "labeller_error" not in failed(recorded, replace(context, labeller=reader))
    assert "labeller_error" in failed(recorded, replace(context, labeller=reader), max_labeller_error=1.9)


def test_no_frame_is_segmented_once_labels_or_whole_pictures_failed(recorded, context):
    segmenter = ColourSegmenter()
    bad = spoiled.frames_shuffled(recorded, torch.Generator().manual_seed(0))
    report = QualityGate(QualityConfig(), segmenter).assess(bad, context)
    assert segmenter.frames_seen == 0
    assert not report.accepted


def test_the_number_of_segmented_frames_is_bounded(recorded, context):
    segmenter = ColourSegmenter()
    QualityGate(QualityConfig(frames=12), segmenter).assess(recorded, context)
    assert segmenter.frames_seen <= 13  # and one of the source


def test_without_labels_only_the_picture_is_judged(recorded, context):
    bare = replace(recorded, episode=replace(recorded.episode, state=None, action=None), motion=None)
    names = set(verdict(bare, replace(context, robot=None)))
    assert names.isdisjoint({"label_speed", "action_error", "path_error", "label_lag", "held_agreement"})
    assert {"start_error", "contact", "order"} <= names


def test_a_segmenter_that_gives_up_means_no_object(recorded, context):
    class Blind:
        def segment(self, episode, plate=None, prompt=None, phases=()):
            raise SegmentationError("nothing is moved")

    report = QualityGate(QualityConfig(), Blind()).assess(recorded, context)
    assert "object_seen" in {result.name for result in report.checks if not result.passed}


def test_a_second_object_is_rejected(recorded, context):
    twin = recorded.episode.frames.clone()
    patch = recorded.episode.frames[0, :, 64:76, 24:36].clone()
    twin[:, :, 40:52, 110:122] = patch
    doubled = replace(recorded, episode=replace(recorded.episode, frames=twin))
    assert "object_doubled" in failed(doubled, context)


def test_what_stays_at_the_start_is_rejected_even_if_faint(recorded, context):
    frames = recorded.episode.frames.clone()
    first = frames[:1].float()
    late = frames[HELD.release :]
    ghost = (0.5 * late.float() + 0.5 * first).to(torch.uint8)
    late[:, :, 64:76, 24:36] = ghost[:, :, 64:76, 24:36]
    assert "left_behind" in failed(replace(recorded, episode=replace(recorded.episode, frames=frames)), context)


def test_a_shadow_on_the_place_that_it_left_is_no_object_left_behind(recorded, context):
    frames = recorded.episode.frames.clone()
    place = (slice(HELD.release, None), slice(None), slice(60, 80), slice(20, 40))
    frames[place] = (0.55 * frames[place].float()).to(torch.uint8)
    assert "left_behind" not in failed(replace(recorded, episode=replace(recorded.episode, frames=frames)), context)


def test_a_changed_background_is_rejected(recorded, context):
    frames = recorded.episode.frames.clone()
    frames[20:, 1, :30, :60] = 255
    assert "background_change" in failed(replace(recorded, episode=replace(recorded.episode, frames=frames)), context)


def test_labels_faster_than_the_robot_ever_was_are_rejected(recorded, context):
    state = recorded.episode.state.clone()
    state[20:, 0] += 1.0
    assert "label_speed" in failed(replace(recorded, episode=replace(recorded.episode, state=state)), context)


def test_skipped_checks_are_not_made_and_must_exist(recorded, context):
    assert "order" not in verdict(recorded, context, skip=["order"])
    with pytest.raises(ConfigError, match="no check 'colour'"):
        QualityGate(QualityConfig(skip=["colour"]), ColourSegmenter())


def test_a_source_without_any_object_mask_is_an_error(recorded, context):
    nothing = torch.zeros_like(context.masks.object)
    empty = replace(context, masks=MaskTrajectory(context.masks.actor, nothing, context.masks.confidence))
    with pytest.raises(SegmentationError, match="annotate it again"):
        QualityGate(QualityConfig(), ColourSegmenter()).assess(recorded, empty)
