from pathlib import Path

import pytest
import torch
from drawn_candidate import ColourSegmenter, source

from m2iv_robot.benchmark.gate.remembered import Remembered
from m2iv_robot.errors import SegmentationError
from m2iv_robot.segmentation import Prompt


class Blind:
    asked = 0

    def segment(self, episode, plate=None, prompt=None, phases=()):
        self.asked += 1
        raise SegmentationError("nothing is moved")


def test_what_was_segmented_once_is_read_from_disk(tmp_path: Path):
    context, inner = source(), ColourSegmenter()
    prompt = Prompt(frame=0, mask=context.masks.object[0])
    first = Remembered(inner, tmp_path).segment(context.episode, context.plate, prompt)
    seen = inner.frames_seen
    again = Remembered(inner, tmp_path).segment(context.episode, context.plate, prompt)
    assert inner.frames_seen == seen > 0
    assert torch.equal(first.object, again.object)
    assert torch.equal(first.actor, again.actor)


def test_giving_up_is_remembered_too(tmp_path: Path):
    context, inner = source(), Blind()
    for _ in range(2):
        with pytest.raises(SegmentationError, match="nothing is moved"):
            Remembered(inner, tmp_path).segment(context.episode)
    assert inner.asked == 1


def test_another_place_of_rest_is_another_question(tmp_path: Path):
    context, inner = source(), ColourSegmenter()
    for there in (context.masks.object[0], context.masks.object[-1]):
        prompt = Prompt(frame=0, mask=context.masks.object[0], rest=there)
        Remembered(inner, tmp_path).segment(context.episode, context.plate, prompt)
    assert inner.frames_seen == 2 * context.episode.length
