"""Clips on disk and the training samples drawn from them."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from m2iv_robot.data.clip_dataset import ClipConfig, ClipDataset, Window, collate_clips, images, parts, seen_path
from m2iv_robot.data.clip_store import Clip, group_of, load_clip, save_clip
from m2iv_robot.errors import ConfigError, DatasetError

COUNT, HEIGHT, WIDTH = 16, 36, 64


def clip(group: str = "lab") -> Clip:
    """An arm that comes from the left and an object at its tip, one pixel further right each frame."""
    frames = torch.full((COUNT, 3, HEIGHT, WIDTH), 40, dtype=torch.uint8)
    actor = torch.zeros(COUNT, HEIGHT, WIDTH, dtype=torch.bool)
    object_ = torch.zeros_like(actor)
    for t in range(COUNT):
        actor[t, 10:16, : 20 + t] = True
        object_[t, 16:22, 14 + t : 20 + t] = True
        frames[t, 0][actor[t]], frames[t, 1][object_[t]] = 200, 220
    tips = torch.tensor([[20.0 + t, 13.0] for t in range(COUNT)])
    return Clip(
        frames=frames,
        actor=actor,
        object=object_,
        plate=torch.full((3, HEIGHT, WIDTH), 40, dtype=torch.uint8),
        plate_known=torch.ones(HEIGHT, WIDTH, dtype=torch.bool),
        gripper_path_px=tips,
        exemplar=frames.roll(5, 0),
        exemplar_known=actor | object_,
        group=group,
    )


@pytest.fixture
def store(tmp_path):
    save_clip(tmp_path / "a.npz", clip("lab"))
    save_clip(tmp_path / "b.npz", clip("other"))
    return tmp_path


SMALL = ClipConfig(frames=4, height=16, width=32, least_width=48, most_width=64, recolour=0.0, flip=0.0)


def test_a_clip_reads_back_as_it_was_written(store):
    read = load_clip(store / "a.npz")
    assert read.group == group_of(store / "a.npz") == "lab"
    for name, value in vars(clip()).items():
        if name != "group":
            assert torch.equal(getattr(read, name), value)


def test_a_damaged_clip_is_named(store):
    (store / "a.npz").write_bytes(b"nothing")
    with pytest.raises(DatasetError, match=r"a\.npz"):
        load_clip(store / "a.npz")


def test_held_out_groups_are_never_drawn(store):
    kept = ClipDataset([store], [], replace(SMALL, held_out_groups=["other"]), 0)
    assert [path.name for path in kept.stores[0]] == ["a.npz"]
    with pytest.raises(ConfigError, match="no clips"):
        ClipDataset([store], [], replace(SMALL, held_out_groups=["lab", "other"]), 0)


def test_samples_depend_on_index_and_seed_alone(store):
    dataset = ClipDataset([store], [], SMALL, 3)
    one, again, other = dataset[5], dataset[5], dataset[6]
    assert all(torch.equal(one[name], again[name]) for name in one)
    assert any(not torch.equal(one[name], other[name]) for name in one)


def test_crops_and_whole_pictures_have_the_asked_size_and_what_their_stage_reads(store):
    crop = collate_clips([ClipDataset([store], [], SMALL, 0)[i] for i in range(3)])
    assert crop["frames"].shape == (3, 4, 3, 16, 32)
    assert crop["exemplar_known"].shape == crop["actor"].shape == (3, 4, 16, 32)
    assert not (crop["actor"] & crop["object"]).any()
    whole = ClipDataset([store], [], replace(SMALL, whole=True, tip_noise_px=0.0), 0)[0]
    assert whole["first_frame"].shape == (3, 16, 32)
    assert whole["guess_given"].all()
    # at half the size the tip stays at the arm's end in every frame
    for actor, tip in zip(whole["actor"], whole["gripper_path_px"], strict=True):
        assert abs(float(actor.any(0).nonzero().max()) - float(tip[0])) <= 1


def test_a_mirrored_window_mirrors_pictures_masks_and_path_alike():
    source = clip()
    plain = Window((WIDTH, HEIGHT), 8, 4, 24, 48, flip=False)
    mirrored = replace(plain, flip=True)
    gains = np.ones(3)
    assert torch.equal(images(source.frames, plain, gains).flip(-1), images(source.frames, mirrored, gains))
    assert torch.equal(parts(source.actor, plain).flip(-1), parts(source.actor, mirrored))
    x, flipped = seen_path(source, plain)[:, 0], seen_path(source, mirrored)[:, 0]
    assert torch.allclose(flipped, 47 - x)


def test_a_sample_longer_than_a_clip_is_refused(store):
    dataset = ClipDataset([store], [], replace(SMALL, frames=COUNT + 1), 0)
    with pytest.raises(ConfigError, match=r"clips\.frames"):
        dataset[0]
