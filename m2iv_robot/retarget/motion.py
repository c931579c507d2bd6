"""A new place of the object -> the robot's motion: state and action of every output frame, or why there is none."""

import numpy as np
import torch
from jaxtyping import Bool, Float

from m2iv_robot.camera import CameraFit
from m2iv_robot.data.lerobot_io import EpisodeLabels
from m2iv_robot.errors import PlanError
from m2iv_robot.retarget.checks import check_height, check_hold, check_limits, check_reach, check_speed
from m2iv_robot.retarget.hold import choose_warp, jaw_direction, probe_path, wanted_jaw
from m2iv_robot.retarget.robot import RobotModel
from m2iv_robot.retarget.timing import sample
from m2iv_robot.retarget.tracks import Track, timed_tracks
from m2iv_robot.retarget.warp import place_warp
from m2iv_robot.retarget.windows import Schedule, blend_spans, build_schedule
from m2iv_robot.types import Episode, EpisodePhases, Motion, Placement


def plan(
    episode: Episode | EpisodeLabels,
    placement: Placement,
    robot: RobotModel,
    phases: tuple[EpisodePhases, ...],
    camera: CameraFit | None = None,
    pick: int = 0,
) -> Motion:
    """Plan the robot's motion for `placement`, before any pixel is made.

    `phases` are all grasps of the episode; `pick` says which one the placement is about.

    Raises:
        PlanError: nothing to plan from, no shift in metres, or a motion beyond the arm; says what, where, how far.
    """
    where = f"{episode.dataset} episode {episode.index}"
    chosen = _chosen_phase(episode, placement, phases, pick, where)
    poses = robot.kinematics.forward(episode.state)
    event = chosen.grasp if placement.kind == "start" else chosen.release - 1
    offset = object_offset(robot, camera)
    centre = poses[event, :3, :3] @ offset + poses[event, :3, 3]
    spans = blend_spans(placement.kind, poses[:, 2, 3], phases, pick, robot.config.rigid_rise_m)
    schedule = build_schedule(poses[:, :3, 3], spans, event, float(np.linalg.norm(placement.shift_m)), robot.fps)
    state, action = episode.state.double().numpy(), episode.action.double().numpy()
    probes = probe_path(state, event, robot.fps, schedule)
    target = action if robot.convention.kind == "absolute" else state
    manner = robot.manners[placement.kind]
    try:
        warp = choose_warp(centre, placement.shift_m, poses[event], probes, robot, manner, placement.turn_rad)
        trailing, led = timed_tracks(state, target, robot, schedule, warp)
        for track in (trailing, led):
            check_reach(track, robot)
            check_limits(track, robot)
        check_speed(led, robot)
        check_height(trailing, poses, robot)
        wanted = wanted_jaw(jaw_direction(poses[event], robot), warp, manner, placement.turn_rad)
        check_hold(trailing, poses, event, robot, wanted)
    except PlanError as error:
        x, y = centre[:2] + np.asarray(placement.shift_m)
        raise PlanError(f"{where}: {placement.kind} at ({x:.3f}, {y:.3f}) m: {error}") from error
    labels = (trailing.states, planned_action(action, state, trailing, led, robot))
    held = _held_frames(trailing, chosen)
    verbatim = _coincide(trailing) & _coincide(led) & _unchanged_scene(placement.kind, trailing, schedule)
    tool = robot.kinematics.forward(torch.as_tensor(trailing.states))
    moved_object = object_path(tool, held, offset)
    return Motion(
        state=torch.as_tensor(labels[0]).to(episode.state.dtype),
        action=torch.as_tensor(labels[1]).to(episode.action.dtype),
        source_time=torch.as_tensor(trailing.time),
        verbatim=torch.as_tensor(verbatim),
        grasp_frame=held[0],
        release_frame=held[1],
        gripper_path_m=tool[:, :3, 3],
        gripper_path_px=_pixels(tool[:, :3, :3] @ _tip(camera) + tool[:, :3, 3], camera),
        object_path_px=_pixels(moved_object, camera),
    )


def object_offset(robot: RobotModel, camera: CameraFit | None) -> Float[np.ndarray, " 3"]:
    """Where a held object's centre lies in the tool frame (m): as the camera saw it, or as the robot's config says."""
    return np.asarray(robot.kinematics.config.finger_offset_m) if camera is None else camera.tool_offset_m


def object_motion(
    labels: Episode | EpisodeLabels,
    phase: EpisodePhases,
    kind: str,
    robot: RobotModel,
    camera: CameraFit,
    shift_m: tuple[float, float],
) -> Float[np.ndarray, "4 4"]:
    """How an object that is turned with an arm of few joints moves (base frame): about the arm's base axis, and out."""
    pose = robot.kinematics.forward(labels.state)[phase.grasp if kind == "start" else phase.release - 1]
    centre = pose[:3, :3] @ object_offset(robot, camera) + pose[:3, 3]
    return place_warp(centre, shift_m, pose, robot.axes).motion()


def _chosen_phase(
    episode: Episode | EpisodeLabels, placement: Placement, phases: tuple[EpisodePhases, ...], pick: int, where: str
) -> EpisodePhases:
    """The pick-and-place that is re-planned; refuses an episode that cannot be planned from."""
    if placement.shift_m is None:
        raise PlanError(
            f"{where}: the placement has no shift in metres; fit a camera, or plan in the image plane alone"
        )
    if episode.state is None or episode.action is None:
        raise PlanError(f"{where}: no state or no action to plan from; plan in the image plane alone with robot=none")
    if pick >= len(phases):
        raise PlanError(f"{where}: the gripper holds something {len(phases)} times; pick={pick} (from 0) is not there")
    return phases[pick]


def planned_action(
    action: Float[np.ndarray, "t a"],
    state: Float[np.ndarray, "t s"],
    trailing: Track,
    led: Track,
    robot: RobotModel,
) -> Float[np.ndarray, "n a"]:
    """The action column in the dataset's convention; where the plan is the source, the source's values."""
    if robot.convention.kind == "absolute":
        return led.states
    own = sample(action, trailing.time)
    if robot.convention.kind == "next_state":
        planned = np.concatenate([trailing.states[1:], trailing.states[-1:] + own[-1:] - state[-1:]])
    else:
        gain = robot.convention.gain
        pace = np.diff(trailing.time, append=trailing.time[-1] + 1.0)[:, None]
        plain = sample(state, trailing.time)
        change = np.diff(trailing.states - plain, axis=0, append=(trailing.states - plain)[-1:])
        planned = np.where(gain == 0, own, own * pace) + gain * change
    kept = _coincide(trailing)
    kept[:-1] &= kept[1:].copy()
    planned[kept] = own[kept]
    return planned


def _coincide(track: Track) -> Bool[np.ndarray, " n"]:
    """Where the track is the source's own frame."""
    return (track.share == 0) & (track.time == np.round(track.time))


def _unchanged_scene(kind: str, track: Track, schedule: Schedule) -> Bool[np.ndarray, " n"]:
    """Where nothing in view has changed: after the paths join (`start`), or before they part (`goal`)."""
    if kind == "start":
        return track.time >= schedule.fall[1]
    return track.time <= schedule.rise[0]


def _held_frames(track: Track, phase: EpisodePhases) -> tuple[int, int]:
    """First output frames in which the object is held, and is no longer."""
    return tuple(int(np.searchsorted(track.time, frame - 1e-6)) for frame in (phase.grasp, phase.release))


def object_path(
    tool: Float[np.ndarray, "n 4 4"], held: tuple[int, int], offset: Float[np.ndarray, " 3"]
) -> Float[np.ndarray, "n 3"]:
    """Centre of the object (m): still until the grasp, with the tool while held, still from the release on."""
    path = tool[:, :3, :3] @ offset + tool[:, :3, 3]
    path[: held[0]] = path[held[0]]
    path[held[1] :] = path[held[1] - 1]
    return path


def _tip(camera: CameraFit | None) -> Float[np.ndarray, " 3"]:
    return np.zeros(3) if camera is None else camera.tip_offset_m


def _pixels(points_m: Float[np.ndarray, "n 3"], camera: CameraFit | None) -> Float[torch.Tensor, "n 2"] | None:
    return None if camera is None else torch.as_tensor(camera.camera.project(points_m))
