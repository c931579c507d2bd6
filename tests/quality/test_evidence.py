from dataclasses import dataclass, field, replace

import pytest
import torch
from drawn_candidate import ColourSegmenter, source
from drawn_scene import BLUE, GOAL, HELD, START, square

from m2iv_robot.quality import QualityConfig, QualityGate, recorded_candidate, spoiled
from m2iv_robot.quality.evidence import examine, in_front, segment_again
from m2iv_robot.segmentation import Prompt
from m2iv_robot.types import MaskTrajectory


@pytest.fixture(scope="module")
def context():
    return source()


@pytest.fixture(scope="module")
def recorded(context):
    return recorded_candidate(context)


@dataclass
class Believer:
    """Sees what is blue, and takes every place that it is told of for the object."""

    told: list[Prompt] = field(default_factory=list)

    def segment(self, episode, plate=None, prompt=None, phases=()):
        self.told.append(prompt)
        masks = ColourSegmenter().segment(episode, plate, prompt, phases)
        return replace(masks, object=(masks.object | prompt.rest) & ~masks.actor)


def failed(candidate, context, segmenter) -> set[str]:
    report = QualityGate(QualityConfig(stop_early=False), segmenter).assess(candidate, context)
    return {result.name for result in report.checks if not result.passed}


def without_plan(candidate):
    return replace(candidate, motion=None, episode=replace(candidate.episode, state=None, action=None))


def test_the_segmenter_is_told_where_the_object_should_rest(recorded, context):
    segmenter = Believer()
    segment_again(recorded, context, segmenter, [0, 39])
    assert torch.equal(segmenter.told[0].rest, recorded.placement.start | recorded.placement.goal)


def test_a_segmenter_that_believes_what_it_is_told_makes_nothing_pass(recorded, context):
    assert failed(recorded, context, Believer()) == set()
    erased = spoiled.object_erased(recorded, context.plate)
    assert {"start_error", "goal_error", "object_seen"} <= failed(erased, context, Believer())
    assert "start_error" in failed(spoiled.object_elsewhere(recorded), context, Believer())


def test_what_shows_the_plate_is_no_object_and_what_is_not_known_may_be(context):
    images, plate = context.episode.frames[:1], context.plate
    thing, bare = torch.from_numpy(square(START)), torch.from_numpy(square(GOAL))
    masks = MaskTrajectory(context.masks.actor[:1], (thing | bare)[None], torch.ones(1))
    assert torch.equal(in_front(masks, images, plate, 0.4).object[0], thing)
    unknown = replace(plate, known=~bare)
    assert torch.equal(in_front(masks, images, unknown, 0.4).object[0], thing | bare)


def test_a_dimmer_camera_does_not_bring_the_plate_in_front(context):
    images = (context.episode.frames[:1].float() * 0.8).to(torch.uint8)
    bare = torch.from_numpy(square(GOAL))
    masks = MaskTrajectory(context.masks.actor[:1], bare[None], torch.ones(1))
    assert not bool(in_front(masks, images, context.plate, 0.4).object.any())


def test_a_speck_far_from_the_object_does_not_move_it(recorded, context):
    frames = recorded.episode.frames.clone()
    frames[:, :, 40:45, 118:124] = torch.tensor(BLUE, dtype=torch.uint8)[:, None, None]
    assert failed(replace(recorded, episode=replace(recorded.episode, frames=frames)), context, ColourSegmenter()) == (
        set()
    )


def test_the_seen_carry_is_the_true_one_also_where_specks_are_seen_far_away(recorded, context):
    bare, video = without_plan(recorded), replace(context, robot=None, phases=())
    clean = examine(bare, video, ColourSegmenter(), QualityConfig()).carry
    assert abs(clean.grasp - HELD.grasp) <= 3
    assert abs(clean.release - HELD.release) <= 3
    frames = bare.episode.frames.clone()
    frames[:, :, 40:45, 118:124] = torch.tensor(BLUE, dtype=torch.uint8)[:, None, None]
    specked = replace(bare, episode=replace(bare.episode, frames=frames))
    assert examine(specked, video, ColourSegmenter(), QualityConfig()).carry == clean


def test_a_video_without_labels_passes_and_its_bad_variants_do_not(recorded, context):
    bare, video = without_plan(recorded), replace(context, robot=None, phases=())
    assert failed(bare, video, Believer()) == set()
    assert failed(spoiled.object_erased(bare, context.plate), video, Believer())
    assert "object_colour" in failed(spoiled.object_recoloured(bare), video, Believer())


def test_the_object_is_told_by_its_main_part(recorded, context):
    case = examine(recorded, context, ColourSegmenter(), QualityConfig())
    assert torch.equal(case.thing, case.seen.object)
