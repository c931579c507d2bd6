"""Masks on disk: what is saved is loaded, what a person edits is kept."""

import json

import numpy as np
import pytest
import torch
from PIL import Image

from m2iv_robot.data.mask_store import COLOURS, MaskStore, to_labels
from m2iv_robot.errors import SegmentationError
from m2iv_robot.types import MaskTrajectory, Plate

EPISODE = ("user/blocks", 3, "observation.images.front")
SHAPE = (6, 24, 32)


def masks_from(generator: torch.Generator, shape=SHAPE) -> MaskTrajectory:
    choice = torch.rand(shape, generator=generator)
    return MaskTrajectory(choice < 0.3, choice > 0.8, torch.linspace(0.25, 1, shape[0]))


def paint(path, label: np.ndarray, **keys) -> None:
    image = Image.fromarray(label.astype(np.uint8), mode="P")
    image.putpalette([channel for value in range(256) for channel in COLOURS.get(value, (0, 0, 0))])
    image.convert(keys.get("mode", "P")).save(path)


@pytest.fixture
def store(tmp_path) -> MaskStore:
    return MaskStore(tmp_path / "masks")


def test_masks_come_back_as_they_were(store, generator):
    masks = masks_from(generator)
    assert store.load(*EPISODE, SHAPE) is None
    assert store.save(*EPISODE, masks, {"segmenter": "motion"}) == ()
    loaded = store.load(*EPISODE, SHAPE)
    assert torch.equal(loaded.actor, masks.actor)
    assert torch.equal(loaded.object, masks.object)
    assert loaded.confidence.tolist() == pytest.approx(masks.confidence.tolist(), abs=1e-4)
    assert store.about(*EPISODE) == {"segmenter": "motion"}


def test_files_are_label_images_in_colour_that_any_program_opens(store, generator):
    masks = masks_from(generator)
    store.save(*EPISODE, masks)
    with Image.open(store.folder(*EPISODE) / "000002.png") as image:
        assert np.array_equal(np.asarray(image), to_labels(masks)[2].numpy())
        colours = np.asarray(image.convert("RGB"))
    assert (colours[masks.object[2].numpy()] == COLOURS[2]).all()
    assert (colours[masks.actor[2].numpy()] == COLOURS[1]).all()


@pytest.mark.parametrize("mode", ["P", "RGB", "RGBA"])
def test_an_edited_mask_is_kept_sure_and_never_overwritten(store, generator, mode):
    store.save(*EPISODE, masks_from(generator))
    edited = np.zeros(SHAPE[1:])
    edited[3:9, 4:20], edited[12:15, 5:8], edited[0] = 1, 2, 255
    paint(store.folder(*EPISODE) / "000001.png", edited, mode=mode)
    assert store.edited_frames(*EPISODE) == (1,)
    again = masks_from(generator)
    assert store.save(*EPISODE, again) == (1,)
    loaded = store.load(*EPISODE, SHAPE)
    assert np.array_equal(loaded.actor[1].numpy(), edited == 1)
    assert np.array_equal(loaded.object[1].numpy(), edited == 2)
    assert torch.equal(loaded.actor[2], again.actor[2])
    assert loaded.confidence[1] == 1
    assert store.edited_frames(*EPISODE) == (1,)


def test_masks_made_elsewhere_count_as_edited(store, generator):
    folder = store.folder(*EPISODE)
    folder.mkdir(parents=True)
    for frame in range(SHAPE[0]):
        paint(folder / f"{frame:06d}.png", np.full(SHAPE[1:], frame % 3))
    loaded = store.load(*EPISODE, SHAPE)
    assert [bool(loaded.object[frame].all()) for frame in range(6)] == [False, False, True] * 2
    assert (loaded.confidence == 1).all()
    assert store.save(*EPISODE, masks_from(generator)) == tuple(range(6))


def test_a_partial_set_from_elsewhere_is_reported_and_completed(store, generator, caplog):
    folder = store.folder(*EPISODE)
    folder.mkdir(parents=True)
    paint(folder / "000004.png", np.full(SHAPE[1:], 2))
    assert store.load(*EPISODE, SHAPE) is None
    assert "1 of 6 masks are there" in caplog.text
    assert store.save(*EPISODE, masks_from(generator)) == (4,)
    assert store.load(*EPISODE, SHAPE).object[4].all()


def test_an_interrupted_save_is_not_taken_for_an_edit(store, generator):
    first, second = masks_from(generator), masks_from(generator)
    store.save(*EPISODE, first)
    before = {path.name: path.read_bytes() for path in store.folder(*EPISODE).glob("*.png")}
    store.save(*EPISODE, second)
    record = json.loads((store.folder(*EPISODE) / "masks.json").read_text())
    old = {name: hashes for name, hashes in record["files"].items()}
    (store.folder(*EPISODE) / "000005.png").write_bytes(before["000005.png"])  # as if killed before the last file
    MaskStore(store.root).save(*EPISODE, second)
    assert store.edited_frames(*EPISODE) == (5,)  # a whole set with a foreign file: an edit
    record["complete"] = False
    record["files"] = {name: [*hashes, *_hash_of(before[name])] for name, hashes in old.items()}
    (store.folder(*EPISODE) / "masks.json").write_text(json.dumps(record))
    assert store.load(*EPISODE, SHAPE) is None
    assert store.save(*EPISODE, second) == ()
    assert torch.equal(store.load(*EPISODE, SHAPE).actor, second.actor)


def _hash_of(content: bytes) -> list[str]:
    import hashlib

    return [hashlib.sha256(content).hexdigest()[:24]]


def test_a_mask_of_the_wrong_size_is_refused(store, generator):
    store.save(*EPISODE, masks_from(generator))
    with pytest.raises(SegmentationError, match=r"000000.png: the mask is 32x24, the frames are 64x48; save it at"):
        store.load(*EPISODE, (6, 48, 64))


def test_missing_frames_are_named(store, generator):
    store.save(*EPISODE, masks_from(generator))
    (store.folder(*EPISODE) / "000003.png").unlink()
    with pytest.raises(SegmentationError, match=r"masks of frames \[3\] are missing \(1 of 6\)"):
        store.load(*EPISODE, SHAPE)
    with pytest.raises(SegmentationError, match=r"\[3, 6, 7\]"):
        store.load(*EPISODE, (8, 24, 32))


def test_smoothed_colours_and_damaged_files_are_refused(store, generator):
    store.save(*EPISODE, masks_from(generator))
    path = store.folder(*EPISODE) / "000000.png"
    Image.fromarray(np.full((24, 32, 3), 77, np.uint8)).save(path)
    with pytest.raises(SegmentationError, match=r"000000.png: it has labels or colours other than"):
        store.load(*EPISODE, SHAPE)
    path.write_bytes(path.read_bytes()[:40])
    with pytest.raises(SegmentationError, match=r"000000.png: not a readable image"):
        store.load(*EPISODE, SHAPE)


def test_a_folder_that_cannot_be_written(generator, tmp_path):
    (tmp_path / "file").write_text("")
    for root in (tmp_path / "file", "/proc/masks"):
        with pytest.raises(SegmentationError, match=r"cannot be written .*give a writable folder"):
            MaskStore(root).save(*EPISODE, masks_from(generator))


def test_plates_come_back_as_they_were(store, generator):
    image = torch.randint(0, 256, (3, 24, 32), generator=generator, dtype=torch.uint8)
    plate = Plate(image, torch.rand(24, 32, generator=generator) < 0.5)
    assert store.load_plate("blocks", "front", "group 0") is None
    store.save_plate("blocks", "front", "group 0", plate)
    loaded = store.load_plate("blocks", "front", "group 0")
    assert torch.equal(loaded.image, plate.image)
    assert torch.equal(loaded.known, plate.known)
    assert store.load_plate("blocks", "front", "group 1") is None
