"""Fixed or moving, and which episodes share a pose: made video, and every view of the real recordings."""

import cv2
import numpy as np
import pytest
import torch

from m2iv_robot.camera import check_fixed, group_by_pose, measure_stillness, median_frame, same_pose
from m2iv_robot.data.lerobot_io import DatasetConfig, open_dataset, read_episode
from m2iv_robot.errors import CameraError
from m2iv_robot.types import Episode


def scene(seed: int = 0, height: int = 192, width: int = 320) -> np.ndarray:
    """A textured picture larger than a frame."""
    noise = np.random.default_rng(seed).uniform(0, 255, (height // 4 + 40, width // 4 + 40, 3)).astype(np.uint8)
    return cv2.resize(noise, None, fx=4, fy=4, interpolation=cv2.INTER_CUBIC)


def view(picture: np.ndarray, x: float, y: float) -> np.ndarray:
    """A frame 320 x 192 of a picture, its corner at (x, y)."""
    return cv2.getRectSubPix(picture, (320, 192), (x + 159.5, y + 95.5))


def episode(frames: list[np.ndarray]) -> Episode:
    video = torch.from_numpy(np.stack(frames)).permute(0, 3, 1, 2).contiguous()
    return Episode("made", 3, "observation.images.front", video, None, None, (), (), 10.0, "", None)


def passing_arm(frame: np.ndarray, place: int) -> np.ndarray:
    """A bar as wide as a third of the picture in front of it."""
    covered = frame.copy()
    covered[:, place : place + 107] = (40, 60, 200)
    return covered


def test_a_fixed_camera_passes_while_an_arm_covers_a_third_of_it():
    picture = scene()
    frames = [passing_arm(view(picture, 30, 30), 10 * step) for step in range(20)]
    still = check_fixed(episode(frames))
    assert still.share > 0.3
    assert still.moved_px < 0.1


def test_a_plain_table_on_which_only_the_arm_has_details_is_seen_by_a_fixed_camera():
    """Nearly all corners move; the edge of the table and the robot's base do not."""
    plain = np.full((192, 320, 3), 120, np.uint8)
    plain[:60] = 70
    plain[120:, 250:] = (20, 30, 60)
    arm = scene(seed=3)[:100, :60]
    frames = []
    for step in range(20):
        frame = plain.copy()
        frame[70:170, 10 + 9 * step : 70 + 9 * step] = arm
        frames.append(frame)
    still = check_fixed(episode(frames))
    assert still.share < 0.16
    moving = [np.roll(frame, 4 * step, axis=1) for step, frame in enumerate(frames)]
    moving = [np.roll(frame, 3 * step, axis=0) for step, frame in enumerate(moving)]
    with pytest.raises(CameraError, match="moves"):
        check_fixed(episode(moving))


def test_a_stand_that_shakes_by_a_pixel_passes():
    shake = np.random.default_rng(0).uniform(-1, 1, (20, 2))
    frames = [view(scene(), 30 + x, 30 + y) for x, y in shake]
    assert check_fixed(episode(frames)).moved_px < 2.0


def test_a_panning_camera_is_named_with_how_much_it_moved():
    frames = [view(scene(), 20 + 3 * step, 30) for step in range(20)]
    with pytest.raises(CameraError, match=r"made episode 3: camera observation\.images\.front moves.* by \d+\.\d px"):
        check_fixed(episode(frames))


def test_a_hand_that_the_camera_is_fixed_to_does_not_make_it_fixed():
    """A wrist camera sees its own fingers stand still before a moving scene."""
    fingers = scene(seed=5)[:60, 120:200]
    frames = []
    for step in range(20):
        frame = view(scene(), 10 + 7 * (step % 9), 10 + 5 * (step % 7))
        frame[132:, 120:200] = fingers
        frames.append(frame)
    with pytest.raises(CameraError, match="moves"):
        check_fixed(episode(frames))


def test_a_camera_bumped_in_mid_episode_fails():
    frames = [view(scene(), 30 + 8 * (step >= 10), 30) for step in range(20)]
    with pytest.raises(CameraError, match="moves"):
        check_fixed(episode(frames))


def test_a_blank_or_single_frame_cannot_be_told():
    with pytest.raises(CameraError, match="0 details in view are too few"):
        check_fixed(episode([np.full((192, 320, 3), 90, np.uint8)] * 5))
    with pytest.raises(CameraError, match="1 frame cannot show"):
        check_fixed(episode([view(scene(), 30, 30)]))


def test_scenes_are_grouped_by_pose_whatever_lies_on_the_table():
    def plate(x: float, thing: int, gain: float) -> torch.Tensor:
        frame = view(scene(), x, 30)
        frame[90:130, thing : thing + 40] = (200, 30, 30)
        return torch.from_numpy((frame * gain).astype(np.uint8)).permute(2, 0, 1)

    plates = [plate(30, 20, 1), plate(30.4, 90, 0.9), plate(36, 20, 1), plate(30, 200, 0.95), plate(36.3, 150, 1)]
    assert group_by_pose(plates) == [[0, 1, 3], [2, 4]]
    assert not same_pose(plates[0], plates[0][:, :100])


def test_the_median_frame_has_no_passing_arm():
    clean = view(scene(), 30, 30)
    frames = [passing_arm(clean, 110 * (step % 3)) for step in range(30)]
    still = median_frame(episode(frames).frames).permute(1, 2, 0).numpy()
    np.testing.assert_array_equal(still, clean)


@pytest.mark.parametrize(
    ("name", "views"),
    [("droid_blocks", 2), ("droid_scenes", 1), ("bridge_v2", 1)],
)
def test_real_exterior_cameras_are_fixed_and_wrist_cameras_are_not(real_data, name, views):
    dataset = open_dataset(DatasetConfig(root=str(real_data / name)))
    for camera in dataset.cameras:
        for index in range(views):
            recorded = read_episode(dataset, index, camera)
            if "wrist" in camera:
                with pytest.raises(CameraError, match="moves"):
                    check_fixed(recorded)
            else:
                assert check_fixed(recorded).share >= 0.2


def test_the_lab_moved_its_cameras_between_all_three_block_episodes(real_data):
    dataset = open_dataset(DatasetConfig(root=str(real_data / "droid_blocks")))
    scenes = [median_frame(read_episode(dataset, i, "observation.images.exterior_1").frames) for i in range(3)]
    assert group_by_pose(scenes) == [[0], [1], [2]]


def test_two_halves_of_one_real_episode_share_their_pose(real_data):
    dataset = open_dataset(DatasetConfig(root=str(real_data / "droid_scenes")))
    frames = read_episode(dataset, 1, "observation.images.exterior_1").frames
    half = len(frames) // 2
    assert group_by_pose([median_frame(frames[:half]), median_frame(frames[half:])]) == [[0, 1]]


def test_measuring_does_not_judge():
    frames = [view(scene(), 20 + 3 * step, 30) for step in range(20)]
    assert measure_stillness(episode(frames)).share < 0.15
