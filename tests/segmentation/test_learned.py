import numpy as np
import pytest
import torch

from m2iv_robot.errors import ConfigError, PromptError, SegmentationError
from m2iv_robot.masks import iou, touching
from m2iv_robot.models.segmenter import Segmenter, SegmenterConfig
from m2iv_robot.segmentation import Prompt, load_segmenter, parse_segmentation
from m2iv_robot.segmentation.discovery import Ends, Look, bare_ends, find_move, spans_of
from m2iv_robot.segmentation.learned import LearnedConfig, LearnedSegmenter
from m2iv_robot.segmentation.prediction import Target, decide, hint_of, predict, shrink, working_size
from m2iv_robot.types import Episode, EpisodePhases, Plate

TINY = SegmenterConfig(8, [8, 8, 8, 8, 8, 8, 16], [1, 1, 1, 1, 1, 1, 1], decoder_channels=8, embedding_channels=4)


@pytest.fixture(scope="module")
def network():
    torch.manual_seed(0)
    return Segmenter(TINY).eval()


def texture(height=96, width=160, seed=0):
    coarse = torch.rand(1, 3, height // 8, width // 8, generator=torch.Generator().manual_seed(seed)) * 120 + 60
    return torch.nn.functional.interpolate(coarse, (height, width), mode="bilinear")[0].to(torch.uint8)


def video(count=24, height=96, width=160):
    """A grey arm comes from above and carries a red block from left to right; frames, actor, object."""
    frames = texture(height, width)[None].repeat(count, 1, 1, 1)
    actor, object_ = torch.zeros(2, count, height, width, dtype=torch.bool)
    for t in range(count):
        x = round(30 + 90 * min(max((t - 6) / 10, 0), 1))
        object_[t, 64:78, x - 8 : x + 8] = True
        if 3 <= t <= 20:
            actor[t, :62, x - 10 : x + 10] = True
        frames[t][:, object_[t]] = torch.tensor([[210], [20], [25]], dtype=torch.uint8)
        frames[t][:, actor[t]] = 235
    return frames, actor, object_


def episode(frames):
    return Episode("d", 0, "front", frames, None, None, (), (), 10.0, "", None)


WHOLE = (range(24), range(24))


def look_at(frames, actor):
    return Look(frames, list(range(len(frames))), actor)


def test_each_carrying_has_frames_before_and_after():
    phases = (EpisodePhases(5, 9), EpisodePhases(14, 20))
    assert spans_of(phases, 30) == [(range(30), range(30)), (range(5), range(9, 14)), (range(9, 14), range(20, 30))]
    assert bare_ends(look_at(*video()[:2]), (range(0), range(5))) is None


def test_the_network_sees_about_the_pixels_asked_for_in_multiples_of_its_stride():
    for height, width in ((180, 320), (192, 320), (256, 256), (480, 640), (720, 1280), (1280, 720)):
        rows, columns = working_size(height, width, 61440)
        assert rows % 32 == 0
        assert columns % 32 == 0
        assert 0.75 < rows * columns / 61440 < 1.3
        assert abs(np.log((rows / columns) / (height / width))) < 0.2


def test_shrinking_keeps_the_mean_colour():
    frames = video()[0][:2]
    small = shrink(frames, 48, 80)
    torch.testing.assert_close(small.float().mean((2, 3)), frames.float().mean((2, 3)), atol=1.0, rtol=0)
    assert shrink(frames, 96, 160) is frames


def test_probabilities_do_not_depend_on_the_batch(network):
    frames, _, object_ = video(11)
    plate = Plate(texture(), torch.ones(96, 160, dtype=torch.bool))
    target = Target(frames[0], object_[0], object_[0] | object_[-1])
    everything = predict(network, frames, plate, target)
    assert everything.shape == (11, 2, 96, 160)
    torch.testing.assert_close(predict(network, frames[9:10], plate, target)[0], everything[9], atol=0.02, rtol=0.02)


def test_ends_show_the_scene_without_the_robot():
    frames, actor, object_ = video()
    ends = bare_ends(look_at(frames, actor), WHOLE)
    for plate, moment in ((ends.before, 0), (ends.after, -1)):
        expected = texture()
        expected[:, object_[moment]] = frames[moment][:, object_[moment]]
        difference = (plate.image.int() - expected.int()).abs()[:, plate.known]
        assert float(difference.float().mean()) < 1.5


def test_the_move_is_found_from_the_two_scenes():
    frames, actor, object_ = video()
    ends = bare_ends(look_at(frames, actor), WHOLE)
    move = find_move(ends, object_[0].float(), object_[-1].float(), 10)
    assert float(iou(move.start[None], object_[0][None])[0]) > 0.75
    assert float(iou(move.goal[None], object_[-1][None])[0]) > 0.75
    assert move.score > 0.3


def test_a_network_that_is_unsure_leaves_it_to_the_pictures():
    frames, actor, object_ = video()
    ends = bare_ends(look_at(frames, actor), WHOLE)
    move = find_move(ends, 0.3 * object_[0].float() + 0.2, 0.3 * object_[-1].float() + 0.2, 10)
    assert float(iou(move.start[None], object_[0][None])[0]) > 0.6


def test_nothing_moved_nothing_found():
    plate = Plate(texture(), torch.ones(96, 160, dtype=torch.bool))
    nothing = torch.zeros(96, 160)
    assert find_move(Ends(plate, plate), nothing, nothing, 10) is None


def test_decided_masks_are_the_likeliest_class_without_specks():
    probabilities = torch.zeros(1, 2, 20, 20, dtype=torch.float16)
    probabilities[0, 0, :10, :] = 0.9
    probabilities[0, 1, 12:18, 4:10] = 0.8
    probabilities[0, 1, 19, 19] = 0.9
    masks = decide(probabilities, least=10)
    assert int(masks.actor.sum()) == 200
    assert int(masks.object.sum()) == 36
    assert 0.5 < float(masks.confidence[0]) < 0.9


def test_prompts_land_where_they_were_given():
    click = hint_of(Prompt(click=(100.0, 40.0)), (180, 320), (96, 160))
    rows, columns = torch.nonzero(click, as_tuple=True)
    assert float(columns.float().mean()) == pytest.approx(50, abs=0.6)
    assert float(rows.float().mean()) == pytest.approx(40 * 96 / 180, abs=0.6)
    box = hint_of(Prompt(box=(20.0, 40.0, 60.0, 80.0)), (192, 320), (96, 160))
    assert int(box.sum()) == 20 * 20


def test_only_the_part_under_the_hint_is_kept():
    mask = torch.zeros(20, 20, dtype=torch.bool)
    mask[2:6, 2:6] = mask[12:16, 12:16] = True
    hint = torch.zeros_like(mask)
    hint[3, 3] = True
    assert int(touching(mask, hint).sum()) == 16
    assert int(touching(mask, hint & False).sum()) == 0


def test_a_mask_prompt_gives_masks_of_the_episode(network):
    frames, _, object_ = video()
    segmenter = LearnedSegmenter(LearnedConfig(pixels=96 * 160), network)
    masks = segmenter.segment(episode(frames), None, Prompt(frame=0, mask=object_[0]))
    assert masks.actor.shape == masks.object.shape == (24, 96, 160)
    assert not (masks.actor & masks.object).any()
    assert float(masks.confidence.min()) >= 0
    assert float(masks.confidence.max()) <= 1


def test_prompts_that_do_not_fit_are_refused(network):
    segmenter = LearnedSegmenter(LearnedConfig(pixels=96 * 160), network)
    still = episode(video()[0])
    with pytest.raises(PromptError, match="grounded_sam2"):
        segmenter.segment(still, None, Prompt(text="block"))
    with pytest.raises(PromptError, match="frame 99"):
        segmenter.segment(still, None, Prompt(frame=99, click=(1.0, 1.0)))


def test_an_episode_in_which_nothing_moves_is_an_error(network):
    segmenter = LearnedSegmenter(LearnedConfig(pixels=96 * 160), network)
    with pytest.raises(SegmentationError, match="d episode 0"):
        segmenter.segment(episode(texture()[None].repeat(12, 1, 1, 1)))


def test_shipped_weights_find_arm_and_block():
    frames, actor, object_ = video()
    segmenter = load_segmenter(parse_segmentation({"name": "learned"}))
    masks = segmenter.segment(episode(frames))
    assert float(iou(masks.object, object_).mean()) > 0.6
    assert float(iou(masks.actor, actor)[5:18].mean()) > 0.6


def test_values_out_of_range_are_refused():
    with pytest.raises(ConfigError, match="pixels"):
        LearnedConfig(pixels=100)
    with pytest.raises(ConfigError, match="min_object_share"):
        LearnedConfig(min_object_share=1.0)


def test_the_network_is_told_where_the_prompt_says_that_the_object_rests(network, monkeypatch):
    frames, _, object_ = video()
    segmenter, told = LearnedSegmenter(LearnedConfig(pixels=96 * 160), network), []
    tidy = segmenter.tidy

    def watched(frames, masks, first, target, least):
        told.append(target.rest)
        return tidy(frames, masks, first, target, least)

    monkeypatch.setattr(segmenter, "tidy", watched)
    rest = object_[0] | object_[-1]
    segmenter.segment(episode(frames), None, Prompt(frame=0, mask=object_[0], rest=rest))
    assert torch.equal(told[0], rest)
