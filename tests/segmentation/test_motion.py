"""The segmenter without weights on drawn scenes whose masks are known exactly."""

import numpy as np
import pytest
import torch
from drawn_scene import HEIGHT, HELD, WIDTH, draw, table

from m2iv_robot import masks
from m2iv_robot.errors import ConfigError, PromptError, SegmentationError
from m2iv_robot.segmentation import Prompt, load_segmenter, parse_segmentation
from m2iv_robot.segmentation.motion import MotionConfig, MotionSegmenter
from m2iv_robot.types import Episode, Plate


@pytest.fixture(scope="module")
def carried():
    episode, truth = draw()
    return episode, truth, MotionSegmenter().segment(episode, phases=(HELD,))


def test_actor_and_object_are_found_in_every_frame(carried):
    _, truth, found = carried
    assert masks.iou(found.actor, truth.actor).mean() > 0.75
    assert masks.iou(found.object, truth.object).mean() > 0.78
    assert not (found.actor & found.object).any()


def test_start_and_end_of_the_object_are_right_to_a_pixel(carried):
    _, truth, found = carried
    for frame in (0, -1):
        apart = masks.centroid(found.object[frame]) - masks.centroid(truth.object[frame])
        assert apart.norm() < 1.0


def test_confidence_is_a_share_and_high_where_all_is_clear(carried):
    _, _, found = carried
    assert found.confidence.min() >= 0
    assert found.confidence.max() <= 1
    assert found.confidence[0] > 0.8


def test_the_object_is_found_without_the_gripper_s_signal():
    episode, truth = draw()
    found = MotionSegmenter().segment(episode)
    assert masks.iou(found.object, truth.object).mean() > 0.75


def test_changing_exposure_does_not_matter():
    episode, truth = draw(gain=1.15)
    found = MotionSegmenter().segment(episode, phases=(HELD,))
    assert masks.iou(found.actor, truth.actor).mean() > 0.73
    assert masks.iou(found.object, truth.object).mean() > 0.75


def test_a_shadow_is_neither_actor_nor_object():
    episode, truth = draw(shadow=0.35)
    found = MotionSegmenter().segment(episode, phases=(HELD,))
    assert masks.iou(found.actor, truth.actor).mean() > 0.73
    assert masks.iou(found.object, truth.object).mean() > 0.75


def test_a_given_plate_is_used_where_it_is_known(carried):
    episode, truth, _ = carried
    image = torch.from_numpy(table().clip(0, 255).astype(np.uint8)).permute(2, 0, 1).contiguous()
    plate = Plate(image, torch.ones(HEIGHT, WIDTH, dtype=torch.bool))
    found = MotionSegmenter().segment(episode, plate, None, (HELD,))
    assert masks.iou(found.actor, truth.actor).mean() > 0.75


def test_masks_have_the_video_s_size_where_it_is_worked_on_smaller(carried):
    episode, truth, _ = carried
    found = MotionSegmenter(MotionConfig(width_limit_px=64)).segment(episode, phases=(HELD,))
    assert found.actor.shape == truth.actor.shape
    assert masks.iou(found.object, truth.object).mean() > 0.6


def test_an_episode_in_which_nothing_is_moved_is_refused():
    episode, _ = draw(moves=False)
    with pytest.raises(SegmentationError, match=r"drawn episode 0, front: nothing that is moved.*prompt"):
        MotionSegmenter().segment(episode)


def test_an_episode_of_few_frames_is_refused(carried):
    episode = carried[0]
    short = Episode(**{**vars(episode), "frames": episode.frames[:5]})
    with pytest.raises(SegmentationError, match="5 frames are too few"):
        MotionSegmenter().segment(short)


def test_a_click_on_the_moved_thing_chooses_it(carried):
    episode, truth, _ = carried
    found = MotionSegmenter().segment(episode, None, Prompt(click=(30.0, 70.0)), (HELD,))
    assert masks.iou(found.object, truth.object).mean() > 0.75


def test_a_click_on_what_never_moves_is_refused(carried):
    with pytest.raises((PromptError, SegmentationError)):
        MotionSegmenter().segment(carried[0], None, Prompt(click=(64.0, 83.0)), (HELD,))


def test_a_text_prompt_names_the_segmenter_that_reads_it(carried):
    with pytest.raises(PromptError, match="grounded_sam2"):
        MotionSegmenter().segment(carried[0], None, Prompt(text="blue block"))


def test_the_configuration_chooses_the_segmenter():
    config = parse_segmentation({"name": "motion", "width_limit_px": 200})
    assert load_segmenter(config).config == MotionConfig(width_limit_px=200)
    with pytest.raises(ConfigError, match="unknown segmenter 'magic'"):
        parse_segmentation({"name": "magic"})
    with pytest.raises(ConfigError, match="speed"):
        parse_segmentation({"name": "motion", "speed": 1})
