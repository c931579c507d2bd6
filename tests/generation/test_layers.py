"""A drawn recording taken apart and put together with the block elsewhere."""

import drawn_scene
import numpy as np
import pytest
import torch

from m2iv_robot.arm import ArmFilm, ArmFootage, ArmShot, Light
from m2iv_robot.background import build_plate
from m2iv_robot.camera import Camera
from m2iv_robot.generation import SourceScene
from m2iv_robot.generation.layers import PictureMotion, PlannedArm, clean_rest_frames, move_recording
from m2iv_robot.kinematics import Surface
from m2iv_robot.masks import centroid

SHIFT = (12.0, 8.0)
FRAMES = (0, 8, 13, 20, 36)


class OneShot(ArmFilm):
    """A film of an arm that is drawn by hand."""

    def __init__(self, camera, shot):
        nowhere = Surface(np.array([[0.0, 0.0, -1.0]]), np.array([[0.0, 0.0, 1.0]]), np.array([0]))
        empty = torch.zeros(1, camera.height, camera.width, dtype=torch.bool)
        frames = torch.zeros(1, 3, camera.height, camera.width, dtype=torch.uint8)
        super().__init__(
            ArmFootage(frames, empty, empty, np.eye(4)[None, None], np.zeros(1), np.ones((1, 3)), nowhere, camera)
        )
        self.shot = shot

    def shoot(self, pose, opening, first, hand_frame):
        return self.shot


@pytest.fixture(scope="module")
def scene():
    episode, truth = drawn_scene.draw()
    return SourceScene(episode.frames, truth, build_plate([episode.frames], [truth]))


@pytest.fixture(scope="module")
def moved(scene):
    """The block starts elsewhere; the arm goes there with it and comes back to the source's way during the carry."""
    frames = np.array(FRAMES)
    tips = np.array([drawn_scene.tip_at(frame) for frame in frames], float)
    share = np.array([0.0, 0.5, 1.0, 0.5, 0.0])[:, None]
    handles = [tip + np.array([[0.0, 0.0], [-8.0, -6.0], [8.0, -6.0], [0.0, -12.0]]) for tip in tips]
    goals = [handle + step * np.array(SHIFT) for handle, step in zip(handles, share, strict=True)]
    rest = torch.from_numpy(drawn_scene.square(drawn_scene.START))
    motion = PictureMotion(
        shown=np.ones(len(frames), bool),
        source_frame=frames,
        actor_frame=frames,
        handles_px=tuple(handles),
        goals_px=tuple(goals),
        object_px=tips,
        object_goal_px=tips + share * np.array(SHIFT),
        object_scale=np.ones(len(frames)),
        held=(3, 4),
        moved="start",
        shift_px=SHIFT,
        scale=1.0,
        rest=rest,
        rest_frames=clean_rest_frames(scene.masks, rest, 0, drawn_scene.HELD.grasp),
        settle_frames=1,
    )
    return move_recording(scene, motion)


def test_the_block_stands_at_its_new_place_and_no_longer_at_the_old_one(scene, moved):
    x, y = (round(at + by) for at, by in zip(drawn_scene.START, SHIFT, strict=True))
    first = moved.frames[0].float()
    assert (first[:, y, x] - torch.tensor(drawn_scene.BLUE)).abs().max() < 8
    x, y = drawn_scene.START
    assert (first[:, y, x] - scene.plate.image[:, y, x]).abs().max() < 8
    assert centroid(moved.masks.object[0]).tolist() == pytest.approx([x + SHIFT[0], y + SHIFT[1]], abs=1.0)


def test_the_arm_follows_and_keeps_its_size(scene, moved):
    for place, frame in enumerate(FRAMES):
        real = scene.masks.actor[frame]
        assert int(moved.masks.actor[place].sum()) == pytest.approx(int(real.sum()), rel=0.25)
    before, after = centroid(scene.masks.actor[13]), centroid(moved.masks.actor[2])
    assert float(after[0] - before[0]) == pytest.approx(SHIFT[0], abs=2.0)


def test_pixels_away_from_actor_and_object_are_the_recordings(scene, moved):
    for place, frame in enumerate(FRAMES):
        assert torch.equal(moved.frames[place][:, 80:, 100:], scene.frames[frame][:, 80:, 100:])


def test_a_frame_that_is_not_bent_looks_like_the_recording(scene, moved):
    difference = (moved.frames[-1].float() - scene.frames[FRAMES[-1]].float()).abs()
    assert float(difference.mean()) < 1.0


def test_an_object_between_the_fingers_is_before_one_and_behind_the_other(scene):
    """A posed arm covers the object only where it is nearer to the camera."""
    height, width = scene.plate.image.shape[1:]
    camera = Camera(100.0, width, height, np.eye(3), np.zeros(3))
    x, y = drawn_scene.START
    depth = np.full((height, width), np.inf, np.float32)
    depth[y - 20 : y + 20, x - 20 : x] = 0.5  # left of the object's middle it is before it
    depth[y - 20 : y + 20, x : x + 20] = 2.0
    cover = np.isfinite(depth).astype(np.float32)
    shot = ArmShot(np.full((height, width, 3), 255, np.float32), cover, depth, cover < 0)
    rest = torch.from_numpy(drawn_scene.square(drawn_scene.START))
    middle = np.array([[(x - (width - 1) / 2) / 100, (y - (height - 1) / 2) / 100, 1.0]])
    motion = PictureMotion(
        shown=np.ones(1, bool),
        source_frame=np.array([0]),
        actor_frame=np.array([0]),
        handles_px=(np.zeros((0, 2)),),
        goals_px=(np.zeros((0, 2)),),
        object_px=np.array([[x, y]], float),
        object_goal_px=np.array([[x, y]], float),
        object_scale=np.ones(1),
        held=(0, 1),
        moved="start",
        shift_px=(0.0, 0.0),
        scale=1.0,
        rest=rest,
        rest_frames=(0,),
        settle_frames=1,
        arm=PlannedArm(OneShot(camera, shot), np.eye(4)[None, None], np.zeros(1), Light(np.zeros(2), 0.0, 0.0), middle),
    )
    moved = move_recording(scene, motion)
    thing = moved.masks.object[0]
    left, right = thing[:, :x], thing[:, x:]
    assert not bool(left[:, x - 3 : x].any())
    assert bool(right[y - 2 : y + 2, :3].all())
