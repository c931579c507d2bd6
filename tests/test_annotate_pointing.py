"""The object that the gripper closes on, where masks have another one."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from m2iv_robot.annotate import pointing
from m2iv_robot.annotate.pointing import Pointer, is_put_down, is_taken, pointed_out, pointed_prompt, segmented_there
from m2iv_robot.annotate.records import AnnotationTask, EpisodeAnnotation, PoseGroup
from m2iv_robot.camera import Camera
from m2iv_robot.config import preset
from m2iv_robot.data.lerobot_io import Dataset
from m2iv_robot.data.mask_store import MaskStore
from m2iv_robot.errors import SegmentationError
from m2iv_robot.kinematics import RobotConfig, build_kinematics
from m2iv_robot.segmentation.prompts import PromptConfig
from m2iv_robot.types import Episode, MaskTrajectory

NAMES = ("x", "y", "z", "roll", "pitch", "yaw", "gripper")
HEIGHT, WIDTH, LENGTH = 96, 160, 40
GRASP, RELEASE = 12, 28
START, GOAL = (0.45, -0.1), (0.55, 0.12)
HIGH_M, LOW_M = 0.4, 0.185  # of the flange: its fingertips are 0.165 below


def square(centre, half: int = 5) -> torch.Tensor:
    mask = torch.zeros(HEIGHT, WIDTH, dtype=torch.bool)
    x, y = (round(float(value)) for value in centre)
    mask[y - half : y + half + 1, x - half : x + half + 1] = True
    return mask


@pytest.fixture(scope="module")
def camera():
    """Looks straight down."""
    rotation = np.array([[0.0, -1.0, 0.0], [-1.0, 0.0, 0.0], [0.0, 0.0, -1.0]])
    return Camera(150.0, WIDTH, HEIGHT, rotation, -rotation @ np.array([0.5, 0.0, 1.0]))


@pytest.fixture(scope="module")
def states():
    """Down at START, up, down at GOAL, with the gripper closed between."""
    key = [0, GRASP, 16, 24, RELEASE, LENGTH - 1]
    x, y = (
        np.interp(np.arange(LENGTH), key, [START[a], START[a], START[a], GOAL[a], GOAL[a], GOAL[a]]) for a in (0, 1)
    )
    z = np.interp(np.arange(LENGTH), key, [HIGH_M, LOW_M, HIGH_M, HIGH_M, LOW_M, HIGH_M])
    gripper = ((np.arange(LENGTH) >= GRASP) & (np.arange(LENGTH) < RELEASE)) * 0.7
    angles = np.tile([np.pi, 0.0, 0.0], (LENGTH, 1))
    return torch.tensor(np.concatenate([np.stack([x, y, z], axis=1), angles, gripper[:, None]], axis=1)).float()


@pytest.fixture(scope="module")
def kinematics():
    return build_kinematics(preset(RobotConfig, "robot", "franka_cartesian"), NAMES, NAMES, "franka")


@pytest.fixture(scope="module")
def truth(camera):
    """Where the object really is: at START until it is taken, at GOAL from its release on."""
    ends = [square(camera.project(np.array([[*place, 0.02]]))[0]) for place in (START, GOAL)]
    masks = torch.zeros(LENGTH, HEIGHT, WIDTH, dtype=torch.bool)
    masks[: GRASP + 1], masks[RELEASE:] = ends
    return masks


@pytest.fixture(scope="module")
def episode(states, truth):
    """A red thing that is moved on grey, and a green one that never is."""
    frames = torch.full((LENGTH, 3, HEIGHT, WIDTH), 120, dtype=torch.uint8)
    frames[:, 1, 8:20, 8:20] = 200
    red = torch.tensor([200, 40, 40], dtype=torch.uint8)[None, :, None, None]
    frames = torch.where(truth[:, None], red, frames)
    return Episode(
        "blocks", 0, "front", frames, states, states, NAMES, NAMES, 10.0, "pick the block", "franka", {}
    )  # fmt: skip


@pytest.fixture(scope="module")
def pointer(camera, kinematics, truth):
    return Pointer(camera, kinematics, {0: torch.zeros_like(truth)})


@pytest.fixture(scope="module")
def wrong(truth):
    """Masks of the green thing."""
    masks = torch.zeros_like(truth)
    masks[:, 8:20, 8:20] = True
    return masks


def masks_of(object_: torch.Tensor) -> MaskTrajectory:
    return MaskTrajectory(torch.zeros_like(object_), object_, torch.ones(len(object_)))


def task_with(segmenter, store, prompt: PromptConfig = PromptConfig()) -> AnnotationTask:  # noqa: B008
    dataset = Dataset("blocks", Path(), 10.0, "franka", {}, ("front",), None, None, ())
    return AnnotationTask(dataset, "front", segmenter, store, "these", prompt)


def entry_of(object_: torch.Tensor) -> EpisodeAnnotation:
    return EpisodeAnnotation(0, LENGTH, masks_of(object_), "pose_00", (), 1.0, 0, None, None, 0.0, "good")


class Told:
    """Segments what it is told to, and remembers the prompt."""

    def __init__(self, masks):
        self.masks, self.prompts = masks, []

    def segment(self, episode, plate=None, prompt=None, phases=()):
        self.prompts.append(prompt)
        return masks_of(self.masks)


POSE = PoseGroup("pose_00", (0,))


def test_what_the_fingertips_close_on_is_taken_and_nothing_else(episode, truth, wrong, pointer):
    assert is_taken(episode, truth, pointer)
    assert not is_taken(episode, wrong, pointer)
    assert not is_taken(episode, torch.zeros_like(truth), pointer)


def test_where_nothing_is_held_nothing_is_contradicted(episode, wrong, pointer):
    open_hand = episode.state.clone()
    open_hand[:, 6] = 0.0
    assert is_taken(replace(episode, state=open_hand, action=open_hand), wrong, pointer)


def test_the_prompt_is_on_the_thing_before_it_was_taken(episode, truth, pointer):
    prompt = pointed_prompt(episode, pointer)
    x, y = (round(value) for value in prompt.click)
    assert prompt.frame < GRASP
    assert bool(truth[prompt.frame, y, x])


def test_where_nothing_vanishes_there_is_no_prompt(episode, pointer):
    assert pointed_prompt(replace(episode, frames=episode.frames[:1].expand(LENGTH, -1, -1, -1)), pointer) is None


def test_an_object_that_stays_or_ends_elsewhere_was_not_carried(episode, truth, wrong, pointer):
    assert is_put_down(episode, truth, pointer)
    assert not is_put_down(episode, wrong, pointer)
    assert not is_put_down(episode, truth[:1].expand(LENGTH, -1, -1), pointer)


def test_masks_of_another_thing_are_made_again_where_the_gripper_points(
    episode, truth, wrong, pointer, tmp_path, monkeypatch
):
    monkeypatch.setattr(pointing, "read_episode", lambda *_: episode)
    monkeypatch.setattr(pointing, "pointer_of", lambda *_: pointer)
    store, told = MaskStore(tmp_path), Told(truth)
    key = ("blocks", 0, "front")
    store.save(*key, masks_of(wrong), {"settings": "these"})
    entry = entry_of(wrong)
    again = pointed_out(task_with(told, store), POSE, [entry], {})
    assert torch.equal(again[0].object, truth)
    assert torch.equal(store.load(*key).object, truth)
    assert store.about(*key)["settings"] == "these"
    assert len(told.prompts) == 1
    assert pointed_out(task_with(told, store), POSE, [entry], {}) == {}  # once
    assert len(told.prompts) == 1


def test_right_masks_and_a_persons_prompt_are_left_alone(episode, truth, wrong, pointer, tmp_path, monkeypatch):
    monkeypatch.setattr(pointing, "read_episode", lambda *_: episode)
    monkeypatch.setattr(pointing, "pointer_of", lambda *_: pointer)
    store, told = MaskStore(tmp_path), Told(truth)
    store.save("blocks", 0, "front", masks_of(truth))
    assert pointed_out(task_with(told, store), POSE, [entry_of(truth)], {}) == {}
    asked = task_with(told, store, PromptConfig(click=[10.0, 10.0]))
    assert pointed_out(asked, POSE, [entry_of(wrong)], {}) == {}
    assert told.prompts == []


def test_what_is_found_there_but_not_carried_is_refused(episode, wrong, pointer, tmp_path):
    with pytest.raises(SegmentationError, match="not carried"):
        segmented_there(task_with(Told(wrong), MaskStore(tmp_path)), POSE, episode, {}, pointer)
