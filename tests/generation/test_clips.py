"""Cutting episodes into clips."""

import itertools

import pytest
import torch

from m2iv_robot.generation.clips import clip_indices, in_batches, spans, unknown_runs, working_size


@pytest.mark.parametrize(("first", "last"), [(0, 15), (3, 5), (0, 99), (7, 22)])
def test_a_clip_holds_both_ends_and_never_goes_back(first, last):
    frames = clip_indices(first, last, 16)
    assert len(frames) == 16
    assert (frames[0], frames[-1]) == (first, last)
    assert frames == sorted(frames)


@pytest.mark.parametrize("last", [1, 14, 15, 16, 40, 100])
def test_spans_meet_at_their_ends_and_are_no_longer_than_a_clip(last):
    found = spans(0, last, 16)
    assert found[0][0] == 0
    assert found[-1][1] == last
    assert all(one[1] == other[0] for one, other in itertools.pairwise(found))
    assert all(0 < b - a <= 15 for a, b in found)


def test_runs_of_unknown_frames_are_found():
    known = torch.tensor([True, False, False, True, False])
    assert unknown_runs(known) == [(1, 2), (4, 4)]


def test_sizes_inside_a_network_are_multiples_of_its_cells():
    assert working_size(192, 320, 0.8, 16) == (160, 256)


def test_batches_shrink_until_they_fit_into_memory_and_keep_their_order():
    sizes = []

    def work(batch):
        sizes.append(len(batch))
        if len(batch) > 2:
            raise torch.OutOfMemoryError("CUDA out of memory")
        return [item * 10 for item in batch]

    assert in_batches(list(range(7)), 7, work) == [item * 10 for item in range(7)]
    assert sizes[:2] == [7, 3]
    with pytest.raises(RuntimeError, match="other"):
        in_batches([1], 1, lambda batch: (_ for _ in ()).throw(RuntimeError("other")))
