"""Self-training and outlined bases: which labels are mended, which are left alone."""

import numpy as np
import pytest
import torch

from m2iv_robot.data.clips import load_scene, save_scene, without_background
from m2iv_robot.data.pseudo_labels import ACTOR, ACTOR_OR_OBJECT, BACKGROUND, OBJECT, UNKNOWN, LabelledClip
from m2iv_robot.data.stores import StoreConfig, drawn, with_standing
from m2iv_robot.errors import ConfigError
from m2iv_robot.models.segmenter import Segmenter, SegmenterConfig
from m2iv_robot.segmentation.relabel import mended, relabel_store, without_standing


def scene() -> LabelledClip:
    generator = np.random.default_rng(0)
    frames = generator.integers(0, 255, (2, 96, 160, 3), np.uint8)
    labels = np.full((2, 96, 160), BACKGROUND, np.uint8)
    labels[:, 10:30, 10:30] = ACTOR
    ends = [np.zeros((96, 160), np.uint8) for _ in range(2)]
    return LabelledClip(frames, labels, frames[0], np.ones((96, 160), bool), frames[0], frames[1], *ends)


@pytest.mark.parametrize(
    ("label", "actor", "object_", "expected"),
    [
        (UNKNOWN, 0.95, 0.0, ACTOR),
        (UNKNOWN, 0.01, 0.01, BACKGROUND),
        (UNKNOWN, 0.5, 0.1, UNKNOWN),
        (ACTOR, 0.1, 0.1, UNKNOWN),
        (ACTOR, 0.3, 0.6, ACTOR_OR_OBJECT),
        (ACTOR, 0.6, 0.1, ACTOR),
        (BACKGROUND, 0.5, 0.45, UNKNOWN),
        (BACKGROUND, 0.5, 0.1, BACKGROUND),
        (OBJECT, 0.9, 0.0, OBJECT),
    ],
)
def test_each_label_becomes_what_the_rule_says(label, actor, object_, expected):
    found = mended(np.full((1, 1, 1), label, np.uint8), np.full((1, 1, 1), actor), np.full((1, 1, 1), object_))
    assert found.item() == expected


def test_a_store_is_mended_once_and_only_labels_change(tmp_path):
    torch.manual_seed(0)
    network = Segmenter(SegmenterConfig()).eval()
    save_scene(tmp_path / "a" / "0.npz", scene(), "lab")
    first = relabel_store(network, [tmp_path / "a" / "0.npz"], tmp_path / "b")
    assert first.total() == 1
    again = relabel_store(network, [tmp_path / "a" / "0.npz"], tmp_path / "b")
    if first["kept"]:
        assert again["there already"] == 1
        np.testing.assert_array_equal(load_scene(tmp_path / "b" / "0.npz").frames, scene().frames)
    else:  # an untrained network may contradict the whole robot
        assert again == first


def test_background_that_looks_like_a_robot_without_the_plate_becomes_unknown(monkeypatch):
    """A robot that stands still is in the plate: with it nothing is seen, without it the lower left corner."""

    def seen(network, frames, plate):
        found = torch.zeros(len(frames), 2, *frames.shape[-2:])
        if not plate.known.any():
            rows, columns = found.shape[-2:]
            found[:, 0, rows // 2 :, : columns // 4] = 0.9
        return found

    monkeypatch.setattr("m2iv_robot.segmentation.relabel.predict", seen)
    found = without_standing(Segmenter(SegmenterConfig()), scene())
    for labels in (*found.labels, found.before_labels, found.after_labels):
        assert (labels[60:, :30] == UNKNOWN).all()
        assert (labels[:30, 60:] == BACKGROUND).all()
    assert (found.labels[:, 10:30, 10:30] == ACTOR).all()


BASE = [60, 60, 90, 60, 90, 90, 60, 90]
CORNER = [140, 100, 155, 100, 155, 115, 140, 115]


def test_an_outlined_base_becomes_actor_and_its_surroundings_unknown():
    found = with_standing(scene(), [BASE, CORNER], objects=False)
    assert (found.labels[:, 65:85, 65:85] == ACTOR).all()
    assert (found.labels[:, 55, 75] == UNKNOWN).all()  # just above
    assert (found.labels[:, 40, 75] == UNKNOWN).all()  # where the arm goes up from it
    assert (found.labels[:, 75, 120] == BACKGROUND).all()
    assert (found.labels[:, 15:25, 15:25] == ACTOR).all()  # the labelled arm stays
    assert (found.labels[:, 104:110, 145:150] == ACTOR).all()  # the other part
    assert (found.before_labels == UNKNOWN).all()


def test_beside_an_outlined_base_the_scene_keeps_what_it_says_of_objects():
    before = scene()
    found = with_standing(before, [BASE], objects=True)
    assert (found.before_labels[65:85, 65:85] == UNKNOWN).all()
    assert (found.before_labels[:20] == before.before_labels[:20]).all()
    assert (found.after_labels[:, 120:] == before.after_labels[:, 120:]).all()


def test_in_an_unclear_place_nothing_is_said_but_of_the_arm():
    found = without_background(scene(), drawn([[5, 5, 50, 5, 50, 50, 5, 50]], (96, 160)) > 0)
    assert (found.labels[:, 35:50, 5:50] == UNKNOWN).all()
    assert (found.labels[:, 10:30, 10:30] == ACTOR).all()
    assert (found.labels[:, 60:] == BACKGROUND).all()
    assert (found.before_labels[5:50, 5:50] == UNKNOWN).all()


def test_an_outline_of_two_corners_is_refused_by_name():
    for kind in ("outlines", "unclear"):
        with pytest.raises(ConfigError, match=f"{kind}.0024"):
            StoreConfig(**{kind: {"0024": [[1, 2, 3, 4]]}})
