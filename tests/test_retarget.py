"""Planning on made pick-and-places whose tool path, lag and gripper are known in closed form."""

import dataclasses

import numpy as np
import pytest
import torch
from scipy.spatial.transform import Rotation

from m2iv_robot.camera import Camera, CameraFit
from m2iv_robot.config import preset
from m2iv_robot.errors import PlanError
from m2iv_robot.kinematics import RobotConfig, build_kinematics
from m2iv_robot.retarget import RetargetConfig, describe_robot, plan, reachable_shifts
from m2iv_robot.retarget.manner import Manner
from m2iv_robot.retarget.warp import minimum_jerk
from m2iv_robot.types import Episode, EpisodePhases, Placement

FPS, LAG = 10.0, 2
START, GOAL, HOME = np.array([0.24, -0.08]), np.array([0.22, 0.06]), np.array([0.18, -0.01])
HEIGHT, HIGH = 0.03, 0.11
SO101 = tuple(
    f"{name}.pos" for name in ("shoulder_pan", "shoulder_lift", "elbow_flex", "wrist_flex", "wrist_roll", "gripper")
)
POSE = ("x", "y", "z", "roll", "pitch", "yaw", "gripper")
PHASE = EpisodePhases(grasp=32, release=62)


def tool_path() -> np.ndarray:
    """Tool positions of 90 frames: home, over the start, down, grasp, up, over the goal, down, release, up, home."""
    corners = [(*HOME, HIGH), (*START, HIGH), (*START, HEIGHT), (*START, HEIGHT), (*START, HIGH), (*GOAL, HIGH)]
    corners += [(*GOAL, HEIGHT), (*GOAL, HEIGHT), (*GOAL, HIGH), (*HOME, HIGH)]
    counts = [16, 8, 10, 8, 14, 8, 8, 8, 9]
    pieces = [np.array([corners[0]])]
    for before, after, count in zip(corners[:-1], corners[1:], counts, strict=True):
        share = minimum_jerk(np.arange(1, count + 1) / count)[:, None]
        pieces.append(np.array(before) + share * (np.array(after) - np.array(before)))
    return np.concatenate(pieces)


def gripper(closed: float, opened: float) -> np.ndarray:
    """Closes over the six frames before the grasp, opens over the four from the release on."""
    frames = np.arange(90)
    return np.interp(frames, [24, 31, 61, 66], [opened, closed, closed, opened])


def down(count: int, tilt: float) -> np.ndarray:
    """Tool orientations, leaning outward by `tilt` in the plane through the base's axis."""
    path = tool_path()
    azimuth = np.arctan2(path[:count, 1], path[:count, 0] - 0.0388)
    return (Rotation.from_euler("z", azimuth[:, None]) * Rotation.from_euler("y", np.pi - tilt)).as_matrix()


@pytest.fixture(scope="module")
def arm() -> Episode:
    """An SO-101 whose follower trails its leader by LAG frames and squeezes."""
    kinematics = build_kinematics(RobotConfig(), SO101, SO101, "so101_follower")
    poses = np.tile(np.eye(4), (90, 1, 1))
    poses[:, :3, :3], poses[:, :3, 3] = down(90, 0.2), tool_path()
    seeds = torch.tensor([[0.0, -20.0, 40.0, 60.0, 0.0, 0.0]], dtype=torch.float64).repeat(90, 1)
    solved = kinematics.inverse(poses, seeds)
    assert solved.position_error_m.max() < 1e-4
    leader = solved.states.numpy()
    leader[:, 5] = gripper(5.0, 60.0)
    state = leader[np.maximum(np.arange(90) - LAG, 0)]
    state[:, 5] = np.maximum(state[:, 5], 15.0)
    return episode(state, leader, SO101, "so101_follower")


@pytest.fixture(scope="module")
def hand() -> Episode:
    """A Cartesian arm whose action is the next state."""
    angles = Rotation.from_matrix(down(90, 0.2)).as_euler("xyz")
    path = tool_path() + np.array([0.2, 0.0, 0.1])
    state = np.concatenate([path, np.unwrap(angles, axis=0), gripper(1.0, 0.0)[:, None]], axis=1)
    return episode(state, np.concatenate([state[1:], state[-1:]]), POSE, "franka")


def episode(state: np.ndarray, action: np.ndarray, names: tuple[str, ...], robot_type: str) -> Episode:
    frames = torch.zeros(len(state), 3, 4, 4, dtype=torch.uint8)
    tensors = [torch.from_numpy(values.astype(np.float32)) for values in (state, action)]
    return Episode("made", 0, "front", frames, *tensors, names, names, FPS, "move it", robot_type)


def robot_of(source: Episode, **settings):
    kinematics = build_kinematics(RobotConfig(), source.state_names, source.action_names, source.robot_type)
    columns = [[values.double().numpy()] for values in (source.state, source.action)]
    return describe_robot(*columns, FPS, kinematics, RetargetConfig(**settings))


def moved(kind: str, shift: tuple[float, float] | None) -> Placement:
    nothing = torch.zeros(4, 4, dtype=torch.bool)
    return Placement(kind, nothing, nothing, (0.0, 0.0), 1.0, shift, 0.0, 0.0)


def tool(robot, values: torch.Tensor) -> np.ndarray:
    return robot.kinematics.forward(values)[:, :3, 3]


@pytest.fixture(scope="module")
def arm_robot(arm):
    return robot_of(arm)


@pytest.fixture(scope="module", params=[(0.02, 0.16), (0.06, -0.08)])
def moved_start(request, arm, arm_robot):
    """A shift of the start and the motion for it."""
    return request.param, plan(arm, moved("start", request.param), arm_robot, (PHASE,))


def test_a_new_start_moves_the_grasp_by_the_shift_and_keeps_all_after_the_join(arm, arm_robot, moved_start):
    robot, (shift, motion) = arm_robot, moved_start
    there = tool(robot, motion.state)[motion.grasp_frame]
    assert there[:2] - tool(robot, arm.state)[PHASE.grasp, :2] == pytest.approx(shift, abs=1e-3)
    assert torch.equal(motion.state[0], arm.state[0])
    kept = motion.verbatim.numpy()
    assert kept.sum() >= 20
    frames = motion.source_time[kept].round().long()
    assert torch.equal(motion.state[kept], arm.state[frames])
    assert torch.equal(motion.action[kept], arm.action[frames])
    assert kept[-1]
    assert int(frames.min()) <= PHASE.release
    assert motion.state.shape[0] - motion.release_frame == 90 - PHASE.release


def test_where_recorded_fingers_follow_the_arm_the_plans_do_too(arm, arm_robot):
    """The wrist need not turn then, and the tool keeps the tilt that recordings have at that distance."""
    manners = dict.fromkeys(("start", "goal"), Manner((0.15, 0.35), 0.0, follows_arm=True))
    following = plan(arm, moved("start", (0.0, 0.12)), dataclasses.replace(arm_robot, manners=manners), (PHASE,))
    keeping = plan(arm, moved("start", (0.0, 0.12)), arm_robot, (PHASE,))
    own = float(arm.state[PHASE.grasp, 4])
    assert abs(float(following.state[following.grasp_frame, 4]) - own) < 3.0
    assert abs(float(keeping.state[keeping.grasp_frame, 4]) - own) > 6.0


def test_the_gripper_keeps_its_squeeze_frame_by_frame_around_the_grasp(arm, moved_start):
    _, motion = moved_start
    around = torch.arange(0, 4)  # earlier ones may trail a stretched leader
    for mine, theirs in ((motion.state, arm.state), (motion.action, arm.action)):
        assert torch.equal(mine[motion.grasp_frame + around, 5], theirs[PHASE.grasp + around, 5])


def test_the_follower_trails_the_leader_as_in_the_source(arm_robot, moved_start):
    assert arm_robot.convention.kind == "absolute"
    assert arm_robot.convention.lag_frames == pytest.approx(LAG, abs=0.05)
    _, motion = moved_start
    state, action = motion.state[:, :5].numpy(), motion.action[:, :5].numpy()
    assert np.abs(state[LAG:] - action[:-LAG]).max() < 1.0  # degrees; the path spans more than 60


def test_no_joint_moves_faster_than_the_limits_where_time_may_be_stretched(arm, arm_robot):
    robot = arm_robot
    motion = plan(arm, moved("start", (0.02, 0.2)), robot, (PHASE,))
    assert motion.state.shape[0] > 90
    speed = (motion.action[:, :5].diff(dim=0).abs() * FPS).numpy()
    assert (speed / np.maximum(robot.limits.speed, robot.top_speed)[:5]).max() < 1.4


def test_a_new_goal_keeps_all_up_to_the_lift_and_moves_the_release(arm, arm_robot):
    robot = arm_robot
    motion = plan(arm, moved("goal", (0.03, 0.08)), robot, (PHASE,))
    assert bool(motion.verbatim[: PHASE.grasp + 4].all())
    assert torch.equal(motion.state[: PHASE.grasp + 4], arm.state[: PHASE.grasp + 4])
    assert not bool(motion.verbatim[motion.release_frame :].any())
    there = tool(robot, motion.state)[motion.release_frame - 1]
    assert there[:2] - tool(robot, arm.state)[PHASE.release - 1, :2] == pytest.approx([0.03, 0.08], abs=1e-3)
    assert torch.equal(motion.action[-1], arm.action[-1])


def test_next_state_actions_stay_next_states(hand):
    robot = robot_of(hand)
    assert robot.convention.kind == "next_state"
    assert robot.axes is None
    motion = plan(hand, moved("start", (0.05, 0.1)), robot, (PHASE,))
    assert torch.allclose(motion.action[:-1], motion.state[1:], atol=1e-6)
    grasp = motion.state[motion.grasp_frame]
    assert (grasp[:2] - hand.state[PHASE.grasp, :2]).tolist() == pytest.approx([0.05, 0.1], abs=1e-5)
    assert grasp[3:6].tolist() == pytest.approx(hand.state[PHASE.grasp, 3:6].tolist(), abs=1e-5)
    kept = motion.verbatim
    frames = motion.source_time[kept].round().long()
    assert torch.equal(motion.action[kept], hand.action[frames])


def test_steps_as_actions_add_up_to_the_planned_states(hand):
    state = hand.state.double().numpy()
    steps = 20 * np.diff(state, axis=0, append=state[-1:])
    steps[:, 6] = state[:, 6]
    source = dataclasses.replace(hand, action=torch.from_numpy(steps))
    robot = robot_of(source)
    assert robot.convention.kind == "delta"
    motion = plan(source, moved("start", (0.05, 0.1)), robot, (PHASE,))
    walked = motion.state[0, :6].double() + torch.cumsum(motion.action[:-1, :6], 0) / 20
    assert (walked - motion.state[1:, :6].double()).abs().max() < 2e-3
    assert torch.equal(
        motion.action[motion.verbatim], source.action[motion.source_time[motion.verbatim].round().long()]
    )


def test_paths_in_pixels_are_the_projection_and_the_object_rests_outside_the_hold(arm, arm_robot):
    robot = arm_robot
    turn = Rotation.from_euler("x", np.pi).as_matrix()  # from straight above
    camera = Camera(300.0, 320, 240, turn, -turn @ np.array([0.2, 0.0, 1.0]))
    empty = np.zeros((0, 2))
    fit = CameraFit(camera, np.array([0.0, 0.0, 0.01]), np.zeros(3), {}, empty, np.zeros(0, bool), np.zeros((10, 10)))
    motion = plan(arm, moved("start", (0.02, 0.1)), robot, (PHASE,), fit)
    assert motion.gripper_path_px.numpy() == pytest.approx(camera.project(motion.gripper_path_m))
    path = motion.object_path_px
    assert (path[: motion.grasp_frame] == path[0]).all()
    assert (path[motion.release_frame :] == path[-1]).all()
    poses = robot.kinematics.forward(motion.state)[motion.grasp_frame]
    assert path[0].numpy() == pytest.approx(camera.project((poses[:3, :3] @ [0, 0, 0.01] + poses[:3, 3])[None])[0])


@pytest.mark.parametrize(
    ("shift", "message"),
    [((0.35, 0.0), "out of reach"), ((-0.22, 0.06), "out of reach"), (None, "no shift in metres")],
)
def test_what_the_arm_cannot_do_is_refused_with_the_reason(arm, arm_robot, shift, message):
    with pytest.raises(PlanError, match=message):
        plan(arm, moved("start", shift), arm_robot, (PHASE,))


def test_a_hold_from_another_side_is_refused_where_the_limit_is_tight(arm):
    with pytest.raises(PlanError, match="cannot keep its hold"):
        plan(arm, moved("start", (0.0, 0.2)), robot_of(arm, max_yaw_error_deg=0.01, max_lean_deg=0.1), (PHASE,))


def test_too_slow_a_limit_is_refused_and_names_the_joint(arm):
    robot = robot_of(arm, max_stretch=1.0, speed_margin=0.5)
    with pytest.raises(PlanError, match=r"too fast: .*pos"):
        plan(arm, moved("start", (0.02, 0.2)), robot, (PHASE,))


def test_episodes_that_cannot_be_planned_from_are_refused(arm, arm_robot):
    robot = arm_robot
    with pytest.raises(PlanError, match="no state or no action"):
        plan(dataclasses.replace(arm, action=None), moved("start", (0.0, 0.0)), robot, (PHASE,))
    with pytest.raises(PlanError, match="holds something 0 times"):
        plan(arm, moved("start", (0.0, 0.0)), robot, ())
    with pytest.raises(PlanError, match="too few"):
        plan(arm, moved("start", (0.0, 0.0)), robot, (EpisodePhases(32, 36),))


def test_the_second_of_two_picks_is_moved_and_the_first_is_not(hand):
    state = torch.cat([hand.state, hand.state])
    twice = dataclasses.replace(
        hand,
        frames=torch.zeros(180, 3, 4, 4, dtype=torch.uint8),
        state=state,
        action=torch.cat([state[1:], state[-1:]]),
    )
    phases = (PHASE, EpisodePhases(PHASE.grasp + 90, PHASE.release + 90))
    motion = plan(twice, moved("start", (0.05, 0.1)), robot_of(twice), phases, pick=1)
    assert torch.equal(motion.state[: PHASE.release], state[: PHASE.release])
    assert (motion.state[motion.grasp_frame, :2] - state[122, :2]).tolist() == pytest.approx([0.05, 0.1], abs=1e-5)
    assert motion.state.shape[0] - motion.release_frame == 90 - PHASE.release


def test_reachable_shifts_agree_with_planning(arm, arm_robot):
    robot = arm_robot
    shifts = np.array([[0.02, 0.1], [0.35, 0.0], [-0.05, 0.02]])
    assert reachable_shifts(arm, "start", shifts, robot, PHASE, np.zeros(3)).tolist() == [True, False, True]


def test_the_so101_turns_about_its_base_and_rolls_about_its_tool(arm_robot):
    robot = arm_robot
    assert robot.axes.pivot_xy == pytest.approx((0.0388, 0.0), abs=1e-3)
    assert np.abs(robot.axes.roll_axis) == pytest.approx([0, 0, 1], abs=1e-5)
    assert robot.kinematics.config == preset(RobotConfig, "robot", "so101")
    assert robot.moving.tolist() == [True] * 5 + [False]
    assert robot.kinematics.limits.lower[2] > -75  # the elbow stays clear of the stretched pose
