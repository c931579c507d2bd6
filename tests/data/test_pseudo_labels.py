import cv2
import numpy as np
import pytest

from m2iv_robot.data.pseudo_labels import (
    ACTOR,
    BACKGROUND,
    OBJECT,
    UNKNOWN,
    PseudoLabelConfig,
    empty_scene,
    is_shadow,
    label_clip,
    to_lab,
)
from m2iv_robot.errors import ConfigError

HEIGHT, WIDTH, COUNT = 90, 160, 36
CONFIG = PseudoLabelConfig(min_object_px=20)
START, GOAL = (30, 60), (110, 66)  # the block's centre (x, y)


def table():
    generator = np.random.default_rng(0)
    texture = cv2.GaussianBlur(generator.uniform(90, 170, (HEIGHT, WIDTH, 3)).astype(np.float32), (0, 0), 1.2)
    return (texture * [1.0, 0.9, 0.75]).astype(np.uint8)


def scripted_clip(shadow=False, pan_px=0.0):
    """A white arm comes from above, carries a red block from START to GOAL, and leaves; with its true masks."""
    scene, frames, actors, objects = table(), [], [], []
    for t in range(COUNT):
        frame = scene.copy()
        share = np.clip((t - 10) / 14, 0, 1)
        block = np.array(START) + share * (np.array(GOAL) - START)
        tip = block - [0, 8] if 6 <= t <= 28 else np.array([70, -20])
        if shadow:
            frame[70:84, 5 + 3 * t : 35 + 3 * t] = (frame[70:84, 5 + 3 * t : 35 + 3 * t] * 0.75).astype(np.uint8)
        arm, thing = np.zeros((HEIGHT, WIDTH), np.uint8), np.zeros((HEIGHT, WIDTH), np.uint8)
        x, y = block.round().astype(int).tolist()
        cv2.rectangle(thing, (x - 6, y - 5), (x + 6, y + 5), 1, -1)
        cv2.rectangle(arm, (int(tip[0]) - 9, -1), (int(tip[0]) + 9, int(tip[1])), 1, -1)
        frame[thing > 0], frame[arm > 0] = (200, 30, 30), (235, 238, 240)
        if pan_px:
            frame = cv2.warpAffine(frame, np.float32([[1, 0, pan_px * t], [0, 1, 0]]), (WIDTH, HEIGHT), borderMode=2)
        frames.append(frame)
        actors.append(arm > 0)
        objects.append((thing > 0) & (arm == 0))
    return np.stack(frames), np.stack(actors), np.stack(objects)


@pytest.fixture(scope="module")
def labelled():
    frames, actors, objects = scripted_clip()
    clip = label_clip(frames, CONFIG)
    chosen = [int(np.abs(frames.astype(int) - each.astype(int)).sum((1, 2, 3)).argmin()) for each in clip.frames]
    return clip, actors[chosen], objects[chosen]


def test_what_is_called_actor_is_the_actor(labelled):
    clip, actors, _ = labelled
    called = clip.labels == ACTOR
    assert actors[called].mean() > 0.98
    assert called.sum() > 0.6 * actors.sum()


def test_what_is_called_background_is_background(labelled):
    clip, actors, objects = labelled
    called = clip.labels == BACKGROUND
    assert (actors | objects)[called].mean() < 0.002


def test_the_moved_block_is_found_at_both_ends(labelled):
    clip, _, objects = labelled
    called = clip.labels == OBJECT
    assert objects[called].mean() > 0.9
    for labels, (x, y) in ((clip.before_labels, START), (clip.after_labels, GOAL)):
        rows, columns = np.nonzero(labels == OBJECT)
        assert (columns.mean(), rows.mean()) == pytest.approx((x, y), abs=2)


def test_the_plate_is_the_empty_scene(labelled):
    clip, _, _ = labelled
    away = np.ones((HEIGHT, WIDTH), bool)
    for x, y in (START, GOAL):
        away[y - 9 : y + 10, x - 10 : x + 11] = False
    difference = np.abs(clip.plate.astype(int) - table())[away & clip.known]
    assert np.median(difference) <= 2


def test_a_shadow_is_nobody(labelled):
    frames, actors, _ = scripted_clip(shadow=True)
    clip = label_clip(frames, CONFIG)
    chosen = [int(np.abs(frames.astype(int) - each.astype(int)).sum((1, 2, 3)).argmin()) for each in clip.frames]
    assert actors[chosen][clip.labels == ACTOR].mean() > 0.95


def test_darker_of_the_same_hue_is_shadow_and_another_hue_is_not():
    plate = to_lab(table())
    darker = to_lab((table() * 0.75).astype(np.uint8))
    redder = to_lab((table() * np.array([1.0, 0.4, 0.4])).astype(np.uint8))
    assert is_shadow(darker, plate).mean() > 0.95
    assert is_shadow(redder, plate).mean() < 0.05


def test_the_empty_scene_is_the_mode_and_not_the_median():
    # a pixel covered in most frames, each time by another colour, is bare in a third of them
    values = np.concatenate([np.full(10, 50.0), np.linspace(60, 100, 20)])
    labs = np.zeros((30, 1, 1, 3), np.float32)
    labs[:, 0, 0, 0] = np.random.default_rng(0).permutation(values)
    scene, support = empty_scene(labs, same_colour=1.0)
    assert scene[0, 0, 0] == pytest.approx(50)
    assert support[0, 0] == pytest.approx(1 / 3)


def test_a_moving_camera_and_a_short_clip_are_refused():
    assert label_clip(scripted_clip(pan_px=0.4)[0], CONFIG) == "camera moves"
    assert label_clip(scripted_clip()[0][:5], CONFIG) == "too short"


def test_nothing_happens_nothing_is_learned():
    assert label_clip(np.repeat(table()[None], COUNT, 0), CONFIG) == "foreground unclear"


def test_thresholds_must_be_in_order():
    with pytest.raises(ConfigError, match="background_colour"):
        PseudoLabelConfig(background_colour=30.0)
    assert UNKNOWN == 255
