from collections import Counter
from dataclasses import replace

import cv2
import numpy as np
import pytest
import torch

from m2iv_robot.data.augmentation import Sprite, blend, cut_out, place, random_framing, random_shape, turned
from m2iv_robot.data.clips import SegmentationPairs, collate_pairs, load_scene, save_scene
from m2iv_robot.data.pair_tensors import drawn_hint
from m2iv_robot.data.pairs import (
    Pair,
    PairConfig,
    add_distractor,
    add_object,
    add_standing_robot,
    keep_still_parts,
    pass_shadows,
)
from m2iv_robot.data.pseudo_labels import ACTOR, BACKGROUND, OBJECT, UNKNOWN, LabelledClip
from m2iv_robot.data.stores import StoreConfig, clips_of
from m2iv_robot.errors import ConfigError, DatasetError

HEIGHT, WIDTH = 96, 160


@pytest.fixture
def draw():
    return np.random.default_rng(3)


def scene(seed=0):
    generator = np.random.default_rng(seed)
    plate = cv2.resize(generator.integers(60, 200, (12, 20, 3), np.uint8), (WIDTH, HEIGHT))
    frames, labels = np.repeat(plate[None], 4, 0), np.zeros((4, HEIGHT, WIDTH), np.uint8)
    for t in range(4):
        labels[t, :50, 20 + 20 * t : 40 + 20 * t] = ACTOR
        labels[t, 60:72, 30 + 5 * t : 45 + 5 * t] = OBJECT
    frames = np.where((labels == ACTOR)[..., None], 240, frames)
    frames = np.where((labels == OBJECT)[..., None], np.array([220, 20, 20]), frames).astype(np.uint8)
    ends = [np.where(labels[t] == OBJECT, OBJECT, BACKGROUND).astype(np.uint8) for t in (0, 3)]
    return LabelledClip(frames, labels, plate, np.ones((HEIGHT, WIDTH), bool), frames[0], frames[3], *ends)


@pytest.fixture
def store(tmp_path):
    for index in range(3):
        save_scene(tmp_path / f"{index}.npz", scene(index), "g")
    return sorted(tmp_path.glob("*.npz"))


def test_a_scene_comes_back(store):
    first, again = scene(0), load_scene(store[0])
    for name in ("frames", "labels", "plate", "known", "before_labels"):
        np.testing.assert_array_equal(getattr(first, name), getattr(again, name))


def test_a_file_that_is_no_scene_is_named(tmp_path):
    (tmp_path / "x.npz").write_bytes(b"no")
    with pytest.raises(DatasetError, match=r"x\.npz"):
        load_scene(tmp_path / "x.npz")


def test_a_sample_depends_on_seed_and_index_alone(store):
    config = PairConfig(width=64, height=64)
    first, second = (SegmentationPairs([store], [1.0], config, seed=1) for _ in range(2))
    second[9]
    for name, value in first[4].items():
        assert torch.equal(value, second[4][name])
    assert not torch.equal(first[4]["frame"], first[5]["frame"])


def test_samples_have_what_the_loss_reads(store):
    pairs = SegmentationPairs([store, store], [1.0, 2.0], PairConfig(width=64, height=32), seed=0)
    batch = collate_pairs([pairs[index] for index in range(3)])
    assert {name: tuple(value.shape) for name, value in batch.items()} == {
        "frame": (6, 3, 32, 64),
        "plate": (6, 3, 32, 64),
        "known": (6, 1, 32, 64),
        "hint": (6, 1, 32, 64),
        "rest": (6, 1, 32, 64),
        "labels": (6, 32, 64),
        "reference": (3, 1, 32, 64),
    }
    assert set(batch["labels"].unique().tolist()) <= {0, 1, 2, 3, UNKNOWN}
    assert all(0 <= float(batch[name].min()) and float(batch[name].max()) <= 1 for name in ("frame", "plate", "known"))


def frames_of(clip):
    return Pair([*clip.frames[:2]], [*clip.labels[:2]], clip.plate, clip.known, clip.known & False)


def test_shadows_pass_over_the_scene_alone(draw):
    pair = frames_of(scene())
    shaded = pass_shadows(pair, 1.0, draw)
    for before, after, labels in zip(pair.frames, shaded.frames, pair.labels, strict=True):
        darker = (after < before).any(-1)
        assert (labels[darker] == BACKGROUND).all() and darker.mean() > 0.01
        assert not (after > before).any()
    assert all(a is b for a, b in zip(shaded.labels, pair.labels, strict=True))
    assert all(a is b for a, b in zip(pass_shadows(pair, 0.0, draw).frames, pair.frames, strict=True))


def test_a_standing_robot_is_lent_behind_everything_and_is_robot_in_both_frames(draw):
    lender = scene(1)
    labels = lender.labels.copy()
    labels[:, 20:90, :25] = ACTOR
    pair = frames_of(scene())
    with_it = add_standing_robot(pair, replace(lender, labels=labels), draw)
    added = [(new == ACTOR) & (old != ACTOR) for new, old in zip(with_it.labels, pair.labels, strict=True)]
    assert all(mask.mean() > 0.01 for mask in added)
    assert all(mask[:, [0, -1]].any() for mask in added)
    for new, old in zip(with_it.labels, pair.labels, strict=True):
        np.testing.assert_array_equal(new[old != BACKGROUND], old[old != BACKGROUND])
    assert (with_it.plate[added[0] & added[1]] != pair.plate[added[0] & added[1]]).any()


def test_a_scene_whose_robot_never_stands_still_lends_nothing(draw):
    pair = frames_of(scene())
    assert add_standing_robot(pair, scene(1), draw) is pair


def test_hints_lie_on_the_object(draw):
    mask = np.zeros((64, 64), bool)
    mask[20:40, 30:50] = True
    for _ in range(20):
        hint = drawn_hint(mask, draw) > 0
        assert (hint & mask).sum() > 0.5 * min(hint.sum(), mask.sum())


def pair_of(first, second):
    one = scene()
    return Pair(
        [one.frames[first], one.frames[second]],
        [one.labels[first], one.labels[second]],
        one.plate,
        one.known,
        one.known & False,
    )


def test_a_distractor_is_background_in_frames_and_plate(draw):
    before = pair_of(0, 3)
    after = add_distractor(before, scene(1), 0.5, draw)
    changed = (after.plate != before.plate).any(-1)
    assert changed.any()
    for t in range(2):
        np.testing.assert_array_equal(after.labels[t], before.labels[t])
        different = (after.frames[t] != before.frames[t]).any(-1)
        assert not different[before.labels[t] == ACTOR][5:-5].all()


def test_a_pasted_object_is_labelled_where_it_is_seen(draw):
    before = pair_of(0, 3)
    seen = 0
    for _ in range(10):
        after = add_object(before, scene(1), 0.4, draw)
        for t in range(2):
            labels, old = after.labels[t], before.labels[t]
            assert not (labels == OBJECT)[old == OBJECT].any() or (labels == OBJECT).any()
            assert np.isin(labels[old == OBJECT], (UNKNOWN, OBJECT)).all()
            seen += int((labels == OBJECT).sum())
        np.testing.assert_array_equal(after.plate, before.plate)
    assert seen > 200


def test_still_parts_of_the_robot_are_in_the_plate(draw):
    one = scene()
    before = Pair([one.frames[1]] * 2, [one.labels[1]] * 2, one.plate, one.known, one.known & False)
    after = keep_still_parts(before, draw)
    robot = one.labels[1] == ACTOR
    np.testing.assert_array_equal(after.plate[robot], one.frames[1][robot])
    np.testing.assert_array_equal(after.plate[~robot], one.plate[~robot])


def test_a_cut_out_put_back_changes_nothing():
    one = scene()
    mask = one.labels[0] == OBJECT
    sprite = cut_out(one.frames[0], mask)
    rows, columns = np.nonzero(mask)
    centre = (columns.mean() + 0.5, rows.mean() + 0.5)
    image, where = place(sprite, centre, (HEIGHT, WIDTH))
    np.testing.assert_array_equal(where, mask)
    np.testing.assert_array_equal(blend(one.frames[0], image, where, 0.0), one.frames[0])


def test_what_is_placed_outside_is_cut_off():
    sprite = Sprite(np.full((9, 9, 3), 7, np.uint8), np.ones((9, 9), bool))
    assert place(sprite, (0.0, 0.0), (20, 30))[1].sum() == 25
    assert place(sprite, (-50.0, 5.0), (20, 30))[1].sum() == 0


def test_turning_keeps_the_area():
    shape = np.zeros((30, 30), bool)
    shape[8:22, 5:25] = True
    sprite = Sprite(np.zeros((30, 30, 3), np.uint8), shape)
    assert turned(sprite, 1.0, 33.0).mask.sum() == pytest.approx(shape.sum(), rel=0.05)
    assert turned(sprite, 2.0, 0.0).mask.sum() == pytest.approx(4 * shape.sum(), rel=0.06)


def test_shapes_have_about_the_size_asked_for(draw):
    areas = [random_shape(20, draw).sum() for _ in range(60)]
    assert 120 < np.median(areas) < 500


def test_framing_keeps_the_crop_inside_where_it_can(draw):
    outside = Counter()
    for _ in range(50):
        matrix = random_framing((180, 320), (64, 64), (0.8, 1.2), draw)
        inverse = cv2.invertAffineTransform(matrix)
        corners = np.array([[0, 0, 1], [64, 0, 1], [0, 64, 1], [64, 64, 1]]) @ inverse.T
        outside[bool((corners < -12).any() or (corners > [332, 192]).any())] += 1
    assert outside[True] <= 2


def test_sizes_and_weights_are_checked(store):
    with pytest.raises(ConfigError, match="multiples of 32"):
        PairConfig(width=100)
    with pytest.raises(ConfigError, match="positive weight"):
        SegmentationPairs([store], [0.0], PairConfig(), 0)


def write_clip(path):
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter_fourcc(*"mp4v"), 10, (64, 48))
    for level in (10, 200):
        writer.write(np.full((48, 64, 3), level, np.uint8))
    writer.release()


def test_held_out_days_and_struck_out_clips_are_not_read(tmp_path):
    rows = [
        "file,verb,collector,date",
        "1.mp4,Put,a,d1",
        "2.mp4,Put,a,d1",
        "3.mp4,Put,a,d2",
        "4.mp4,Open,b,d1",
        "5.mp4,Put,b,d1",
    ]
    (tmp_path / "clips.csv").write_text("\n".join(rows) + "\n")
    for number in (3, 5):
        write_clip(tmp_path / f"{number}.mp4")
    config = StoreConfig(source=str(tmp_path), held_out=["2"], excluded=["5"])
    read = list(clips_of(config))
    assert [(name, day) for name, day, _ in read] == [("3", "a_d2")]
    assert read[0][2].shape == (2, 48, 64, 3)


def test_a_folder_without_an_index_is_named(tmp_path):
    with pytest.raises(DatasetError, match=r"clips\.csv"):
        list(clips_of(StoreConfig(source=str(tmp_path))))
