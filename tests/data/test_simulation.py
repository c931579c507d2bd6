import dataclasses
import math

import numpy as np
import pytest
import torch

pytest.importorskip("mujoco")

from m2iv_robot.config import preset
from m2iv_robot.data.simulation import (
    ReplayResult,
    SimulatedEpisode,
    SimulationConfig,
    replay,
    simulate_episode,
)
from m2iv_robot.data.simulation import scene as scenes
from m2iv_robot.data.simulation.episode import draw_episode
from m2iv_robot.data.simulation.expert import polar
from m2iv_robot.data.simulation.scene import build_scene
from m2iv_robot.data.simulation.so101 import SERVO_STEP_DEG, assets_folder
from m2iv_robot.errors import ConfigError, PlanError

SMALL = SimulationConfig(width=160, height=120, wrist_width=0, noise_levels=0.0, scene_seed=4)
SEED = 3


@pytest.fixture(scope="module")
def simulated() -> SimulatedEpisode:
    return simulate_episode(SMALL, SEED)


@pytest.fixture(scope="module")
def repeated(simulated) -> ReplayResult:
    return replay(SMALL, SEED, simulated.start_xy, simulated.episode.action.numpy())


def projected(simulated: SimulatedEpisode, point_m: np.ndarray) -> np.ndarray:
    pixel = simulated.intrinsics @ simulated.world_to_camera[:3] @ np.append(point_m, 1.0)
    return pixel[:2] / pixel[2]


def centroid(mask: torch.Tensor) -> np.ndarray:
    y, x = np.nonzero(mask.numpy())
    return np.array([x.mean(), y.mean()])


def test_a_demonstration_carries_the_object_to_the_goal(simulated):
    positions, grasp, release = simulated.object_positions_m, simulated.grasp_frame, simulated.release_frame
    assert simulated.success
    assert np.abs(positions[: grasp - 1, :2] - simulated.start_xy).max() < 0.002
    assert np.linalg.norm(positions[-1, :2] - simulated.goal_xy) <= 0.03
    assert positions[grasp:release, 2].max() - positions[0, 2] > 0.03
    assert np.abs(positions[-1, 2] - positions[0, 2]) < 0.01


def test_state_in_degrees_gives_the_tool_position_through_the_urdf(simulated):
    kinematics = pytest.importorskip("lerobot.model.kinematics")
    solver = kinematics.RobotKinematics(
        str(assets_folder() / "so101_new_calib.urdf"),
        target_frame_name="gripper_frame_link",
        joint_names=[name.removesuffix(".pos") for name in simulated.episode.state_names[:5]],
    )
    for frame in range(0, simulated.episode.length, 10):
        pose = solver.forward_kinematics(simulated.episode.state[frame, :5].double().numpy())
        assert np.linalg.norm(pose[:3, 3] - simulated.tool_positions_m[frame]) < 0.001  # half an encoder step per joint


def test_state_has_the_resolution_of_the_encoders(simulated):
    steps = simulated.episode.state[:, :5].double() / SERVO_STEP_DEG
    assert (steps - steps.round()).abs().max() < 1e-3


def test_the_follower_trails_the_leader(simulated):
    state, action = simulated.episode.state[:, :5], simulated.episode.action[:, :5]
    at_once = (state - action).abs().mean()
    a_frame_later = (state[1:] - action[:-1]).abs().mean()
    assert a_frame_later < 0.6 * at_once


def test_the_leader_squeezes_further_than_the_object_lets_the_follower(simulated):
    middle = (simulated.grasp_frame + simulated.release_frame) // 2
    assert simulated.episode.state[middle, 5] - simulated.episode.action[middle, 5] > 5


def test_the_camera_matrix_projects_the_object_into_its_mask(simulated):
    for frame in (0, simulated.episode.length - 1):
        offset = projected(simulated, simulated.object_positions_m[frame]) - centroid(simulated.masks.object[frame])
        assert np.linalg.norm(offset) < 1.5


def test_masks_do_not_overlap_and_follow_the_motion(simulated):
    assert not (simulated.masks.actor & simulated.masks.object).any()
    assert simulated.masks.actor.flatten(1).any(1).all()
    moved = ~(simulated.masks.object[0] & simulated.masks.object[-1])
    assert (moved & simulated.masks.object[0]).any()


def test_outside_the_masks_a_frame_is_the_plate_or_its_shadow(simulated):
    outside = ~(simulated.masks.actor[0] | simulated.masks.object[0])
    brighter = (simulated.episode.frames[0].int() - simulated.plate.image.int()).amax(0)
    darker = (simulated.plate.image.int() - simulated.episode.frames[0].int()).amax(0)
    assert brighter[outside].max() <= 2
    assert (darker[outside] > 20).float().mean() < 0.15


def test_the_same_seed_gives_the_same_episode(simulated):
    scenes._build.cache_clear()
    again = simulate_episode(SMALL, SEED)
    assert torch.equal(again.episode.frames, simulated.episode.frames)
    assert torch.equal(again.episode.state, simulated.episode.state)
    assert torch.equal(again.episode.action, simulated.episode.action)
    assert torch.equal(again.masks.object, simulated.masks.object)


def test_replaying_the_actions_repeats_the_episode(simulated, repeated):
    assert repeated.success
    assert repeated.released
    length = simulated.episode.length
    assert np.array_equal(repeated.object_positions_m[:length], simulated.object_positions_m)


def test_replaying_with_the_object_elsewhere_leaves_it_there(simulated):
    elsewhere = (simulated.start_xy[0] + 0.08, simulated.start_xy[1])
    result = replay(SMALL, SEED, elsewhere, simulated.episode.action.numpy())
    assert not result.success
    assert result.lift_m < 0.02


def test_image_size_and_noise_leave_the_motion_as_it_is(simulated):
    other = dataclasses.replace(SMALL, width=64, height=48, noise_levels=3.0, wrist_width=32, wrist_height=24)
    again = simulate_episode(other, SEED)
    assert torch.equal(again.episode.action, simulated.episode.action)
    assert again.wrist_frames.shape == (simulated.episode.length, 3, 24, 32)


def test_one_lab_has_one_camera_and_another_lab_another(simulated):
    labs = [build_scene(dataclasses.replace(SMALL, width=32, scene_seed=seed)) for seed in (SMALL.scene_seed, 5)]
    eyes = [lab.model.cam_pos[lab.model.camera("front").id] for lab in labs]
    true = simulated.world_to_camera
    assert np.allclose(eyes[0], -true[:3, :3].T @ true[:3, 3])
    assert np.linalg.norm(eyes[1] - eyes[0]) > 0.01


def test_starts_keep_to_their_region_the_reach_and_away_from_other_things():
    config = dataclasses.replace(SMALL, start_y_min=0.05, start_x_max=0.30, distractors_in_reach=3)
    lab = build_scene(config)
    for seed in range(50):
        task, _ = draw_episode(lab, config, seed)
        assert config.start_x_min <= task.start_xy[0] <= 0.30
        assert 0.05 <= task.start_xy[1] <= config.start_y_max
        for place in (task.start_xy, task.goal_xy):
            assert lab.arm.reach_min_m <= polar(lab.arm, place)[1] <= lab.arm.reach_max_m
            assert all(math.dist(place, (x, y)) > radius for x, y, radius in lab.obstacles)
    assert len(lab.obstacles) == SMALL.distractors + 3


def test_the_table_of_reachable_starts_is_thirty_by_forty_centimetres():
    config = preset(SimulationConfig, "simulation", "so101")
    assert config.start_x_max - config.start_x_min >= 0.299
    assert config.start_y_max - config.start_y_min >= 0.399
    lab = build_scene(config)
    x, y = np.meshgrid(np.linspace(config.start_x_min, config.start_x_max, 31), np.linspace(-0.2, 0.2, 41))
    distance = np.hypot(x - lab.arm.pan_axis_x_m, y)
    reachable = (distance >= lab.arm.reach_min_m) & (distance <= lab.arm.reach_max_m)
    assert reachable.mean() > 0.9


@pytest.mark.parametrize("shape", ["cube", "cuboid", "cylinder", "bottle", "hexagon", "cone"])
def test_every_shape_stands_on_the_table_at_its_own_height(shape):
    lab = build_scene(dataclasses.replace(SMALL, shape=shape))
    assert lab.thing.shape == shape
    assert lab.model.body("object").mass[0] == pytest.approx(0.03, rel=1e-3)
    assert 0.02 <= lab.thing.width_m <= 0.035 <= 0.5 * lab.thing.height_m + 0.03


def test_the_panda_is_recorded_as_cartesian_poses_with_the_next_state_as_action():
    config = dataclasses.replace(
        preset(SimulationConfig, "simulation", "panda"), fps=5, width=48, height=36, wrist_width=0, scene_seed=1
    )
    simulated = simulate_episode(config, 1)
    state, action = simulated.episode.state, simulated.episode.action
    assert simulated.success
    assert simulated.episode.state_names == ("x", "y", "z", "roll", "pitch", "yaw", "gripper")
    assert torch.equal(action[:-1], state[1:])
    assert np.allclose(state[:, :3].numpy(), simulated.tool_positions_m, atol=1e-6)
    assert 0 <= state[:, 6].min() <= state[:, 6].max() <= 1


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"robot": "ur5"}, "simulation.robot"),
        ({"shape": "banana"}, "simulation.shape"),
        ({"fps": 0}, "simulation.fps"),
        ({"start_x_min": 0.5}, "simulation.start_x_min"),
        ({"speed": 0.0}, "simulation.speed"),
        ({"noise_levels": -1.0}, "simulation.noise_levels"),
    ],
)
def test_a_bad_setting_is_refused_by_name(changes, message):
    with pytest.raises(ConfigError, match=message):
        dataclasses.replace(SMALL, **changes)


def test_a_region_out_of_reach_is_refused():
    config = dataclasses.replace(SMALL, start_x_min=0.6, start_x_max=0.7)
    with pytest.raises((ConfigError, PlanError), match="reach"):
        simulate_episode(config, 0)
