"""The segmenter without weights on drawn scenes whose masks are known exactly."""

import numpy as np
import pytest
import torch

from m2iv_robot import masks
from m2iv_robot.errors import ConfigError, PromptError, SegmentationError
from m2iv_robot.segmentation import Prompt, load_segmenter, parse_segmentation
from m2iv_robot.segmentation.motion import MotionConfig, MotionSegmenter
from m2iv_robot.types import Episode, EpisodePhases, MaskTrajectory, Plate

HEIGHT, WIDTH, LENGTH = 96, 128, 40
HELD = EpisodePhases(14, 26)
START, GOAL = (30, 70), (95, 60)  # x, y of the block's centre
BLUE, GREY = (40, 60, 190), (55, 55, 60)


def table():
    """A wooden table with some texture, a red block that stays, and a dark wall."""
    generator = np.random.default_rng(0)
    image = np.full((HEIGHT, WIDTH, 3), (176, 140, 98), np.float32) + generator.normal(0, 3, (HEIGHT, WIDTH, 1))
    image[:25] = (92, 96, 105)
    image[78:88, 60:70] = (190, 50, 45)
    return image


def square(centre, half=6):
    mask = np.zeros((HEIGHT, WIDTH), bool)
    x, y = (round(value) for value in centre)
    mask[max(y - half, 0) : y + half, max(x - half, 0) : x + half] = True
    return mask


def arm(tip):
    """An arm from the top edge down to its fingers, above the thing that it holds."""
    mask = np.zeros((HEIGHT, WIDTH), bool)
    x, y = (round(value) for value in tip)
    mask[: max(y - 12, 1), max(x - 5, 0) : x + 5] = True
    mask[max(y - 14, 0) : max(y - 8, 1), x - 11 : x + 11] = True
    mask[max(y - 8, 0) : max(y + 2, 1), x - 11 : x - 6] = True
    mask[max(y - 8, 0) : max(y + 2, 1), x + 6 : x + 11] = True
    return mask


def tip_at(t):
    home, start, goal = np.array([64.0, 12.0]), np.array(START, float), np.array(GOAL, float)
    if t < HELD.grasp:
        share = max(0.0, (t - 4) / (HELD.grasp - 4))
        return home + share * (start - home)
    if t < HELD.release:
        share = (t - HELD.grasp) / (HELD.release - HELD.grasp)
        lift = np.array([0.0, -18.0]) * np.sin(np.pi * share)
        return start + share * (goal - start) + lift
    share = min(1.0, (t - HELD.release) / 8)
    return goal + share * (home - goal)


def draw(moves=True, gain=1.0, shadow=0.0):
    """An episode in which the arm carries a blue block, or comes and goes without it, and its true masks."""
    scene, frames, actors, objects = table(), [], [], []
    generator = np.random.default_rng(1)
    for t in range(LENGTH):
        tip = tip_at(t)
        held = HELD.grasp <= t < HELD.release
        place = START if t < HELD.grasp or not moves else (tip if held else GOAL)
        actor = arm(tip)
        thing = square(place) & ~actor
        frame = scene.copy()
        if shadow:
            dark = np.roll(actor, (9, 12), (0, 1))
            dark[:30] = False
            frame[dark] *= 1 - shadow
        frame[thing], frame[actor] = BLUE, GREY
        level = 1 + (gain - 1) * np.sin(t / 5)
        frames.append(np.clip(frame * level + generator.normal(0, 1.5, frame.shape), 0, 255).astype(np.uint8))
        actors.append(actor)
        objects.append(thing)
    video = torch.from_numpy(np.stack(frames)).permute(0, 3, 1, 2).contiguous()
    truth = MaskTrajectory(*(torch.from_numpy(np.stack(part)) for part in (actors, objects)), torch.ones(LENGTH))
    return Episode("drawn", 0, "front", video, None, None, (), (), 10.0, "", None), truth


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
