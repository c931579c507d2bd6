"""How a planned motion moves arm and object in the picture: points of both in real frames, and where they are to be."""

from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from m2iv_robot.arm import ArmFilm, Light, has_surface
from m2iv_robot.augment.matching import arm_distance, steady_match
from m2iv_robot.camera import Camera, CameraFit, block_behind
from m2iv_robot.generation import SourceScene
from m2iv_robot.generation.layers import PictureMotion, PlannedArm, clean_rest_frames
from m2iv_robot.kinematics import JointKinematics, Kinematics
from m2iv_robot.masks import centroid, largest_component
from m2iv_robot.plan import Plan
from m2iv_robot.plan.picks import rest_spans
from m2iv_robot.plan.scenes import SourceEpisode

AROUND_M = 0.03  # from the middle of a link to the points that tell how it turns
HAND_M = 0.08  # the hand is rigid so far behind its tip
ROOT_SHARE = 1.0  # of the arm's visible length: how far beyond the picture's border its root is taken to be
FARTHEST_SHARE = 3.0  # of the picture's width: points farther outside say nothing
SETTLE_PICTURE_S = 0.5  # in which the object passes from resting to held


@dataclass(frozen=True)
class Footage:
    """All real frames that an arm may come from: the source episode's first, then others of the same camera pose."""

    scene: SourceScene
    source: SourceEpisode  # the episode that is varied; its masks are the scene's first
    states: Float[Tensor, "n s"] | None  # None where the dataset has none
    episode: Int[np.ndarray, " n"]
    still: Bool[Tensor, "h w"]  # parts of the robot that never move: not in the scene's masks, but in its plate
    film: ArmFilm | None = None  # of the arm, where the camera shows all of it in its place
    light: Light | None = None
    plane_z_m: float = 0.0  # in which centres of resting objects lie
    half_height_m: float | None = None  # of the object, where it is turned


def picture_motion(
    plan: Plan, footage: Footage, kinematics: Kinematics, camera: CameraFit
) -> tuple[PictureMotion, Float[np.ndarray, " t"]]:
    """What `generation.layers` needs to know of a plan, and how far the nearest real arm is from it in each frame.

    In degrees between the sides from which it is seen where all links are known, else in pixels that it is bent by.
    """
    motion, placement, source = plan.motion, plan.placement, footage.source
    own = np.clip(np.round(motion.source_time.numpy()), 0, source.labels.length - 1).astype(np.int64)
    real, planned, distance = compared(motion.state, footage.states, kinematics, camera)
    arm = planned_arm(plan, footage, kinematics, camera)
    if arm is not None:
        distance = footage.film.differences(arm.poses, arm.opening)
    actor_frame = steady_match(distance, footage.episode, footage.scene.masks.actor.flatten(1).any(1).numpy())
    links = [links_px(kinematics, states, camera) for states in (footage.states, motion.state)]
    points = tuple(np.concatenate(pair, axis=1) for pair in zip((real, planned), links, strict=True))
    rooted = isinstance(kinematics, JointKinematics) or bool(links[0].shape[1])
    handles, goals = bending(points, actor_frame, footage, rooted)
    rest = source.start if placement.kind == "start" else source.goal
    held_m = placed(source.poses, camera.tool_offset_m[None])[own, 0]
    planned_m = placed(kinematics.forward(motion.state), camera.tool_offset_m[None])[:, 0]
    lens = camera.camera
    block, turned = None, None
    if arm is not None and placement.motion_m is not None:
        block = block_behind(rest, lens, footage.plane_z_m, footage.half_height_m)
        turned = object_motions(kinematics.forward(motion.state), plan, arm.object_m, footage, lens)
    picture = PictureMotion(
        shown=~motion.verbatim.numpy(),
        source_frame=own,
        actor_frame=actor_frame,
        handles_px=handles,
        goals_px=goals,
        object_px=lens.project(held_m),
        object_goal_px=lens.project(planned_m if arm is None else arm.object_m),
        object_scale=lens.px_per_m(planned_m) / lens.px_per_m(held_m),
        held=(motion.grasp_frame, motion.release_frame),
        moved=placement.kind,
        shift_px=placement.shift_px,
        scale=placement.scale,
        rest=rest,
        rest_frames=clean_rest_frames(source.masks, rest, *rest_span(source, placement.kind)),
        settle_frames=max(2, round(SETTLE_PICTURE_S * source.labels.fps)),
        block=block,
        object_motion_m=turned,
        arm=arm,
    )
    return picture, distance[np.arange(len(own)), actor_frame]


def compared(
    wanted: Float[Tensor, "t s"], recorded: Float[Tensor, "n s"], kinematics: Kinematics, camera: CameraFit
) -> tuple[Float[np.ndarray, "n k 2"], Float[np.ndarray, "t k 2"], Float[np.ndarray, "t n"]]:
    """Pixels of the arm's points in recorded and in wanted states, and how far apart each two are (px)."""
    real, planned = (projected(camera, arm_points_m(kinematics, states, camera)) for states in (recorded, wanted))
    openings = kinematics.gripper_opening(wanted), kinematics.gripper_opening(recorded)
    return real, planned, arm_distance(planned, real, openings)


def bending(
    points_px: tuple[Float[np.ndarray, "n k 2"], Float[np.ndarray, "t k 2"]],
    actor_frame: Int[np.ndarray, " t"],
    footage: Footage,
    rooted: bool,
) -> tuple[tuple[Float[np.ndarray, "_ 2"], ...], tuple[Float[np.ndarray, "_ 2"], ...]]:
    """Points of the chosen real arms, and where the plan has them; `points_px`: of all real arms, and planned.

    Where the points do not reach down to the base (`rooted`), the arm is held where it enters the picture.
    """
    real, planned = points_px
    handles, goals = [], []
    for at, target in zip(actor_frame, planned, strict=True):
        near = np.isfinite(real[at]).all(1) & np.isfinite(target).all(1)
        root = None
        if not rooted:
            root = root_of(footage.scene.masks.actor[at], real[at][near])
        extra = np.empty((0, 2)) if root is None else root
        handles.append(np.concatenate([real[at][near], extra]))
        goals.append(np.concatenate([target[near], extra]))
    return tuple(handles), tuple(goals)


def planned_arm(plan: Plan, footage: Footage, kinematics: Kinematics, camera: CameraFit) -> PlannedArm | None:
    """The arm's planned postures; None where no picture can be taken of them."""
    if footage.film is None:
        return None
    motion, film, hand = plan.motion, footage.film, None
    poses, opening = kinematics.link_poses(motion.state), kinematics.gripper_opening(motion.state)
    if film.hand is not None:
        hand = steady_match(film.hand_differences(poses, opening), footage.episode, film.hand.hidden < 1)
    return PlannedArm(
        film=film,
        poses=poses,
        opening=opening,
        light=footage.light,
        object_m=carried(kinematics.forward(motion.state), plan, footage, camera.camera),
        hand_frame=hand,
    )


def carried(tool: Float[np.ndarray, "t 4 4"], plan: Plan, footage: Footage, lens: Camera) -> Float[np.ndarray, "t 3"]:
    """Where the object's centre is: at rest, and between as it lay in the hand when it was taken.

    Just before it is left what differs then (it slipped, or masks err) passes away.
    """
    motion, placement, source = plan.motion, plan.placement, footage.source
    rests_px = np.stack([centroid(largest_component(rest)).numpy() for rest in (source.start, source.goal)])
    rests_px = rests_px.astype(np.float64)
    rests_px[0 if placement.kind == "start" else 1] += placement.shift_px
    rests = lens.unproject(rests_px, footage.plane_z_m)
    settle = max(2, round(SETTLE_PICTURE_S * source.labels.fps))
    return carried_between(tool, rests, (motion.grasp_frame, motion.release_frame), settle)


def carried_between(
    tool: Float[np.ndarray, "t 4 4"], rests: Float[np.ndarray, "2 3"], held: tuple[int, int], settle_frames: int
) -> Float[np.ndarray, "t 3"]:
    """Where the centre of a thing is that rests, is held during frames [first, second) of `held`, and rests again."""
    grasp, last = held[0], held[1] - 1
    in_hand = (np.linalg.inv(tool[grasp]) @ [*rests[0], 1.0])[:3]
    path = np.einsum("tij,j->ti", tool[:, :3, :3], in_hand) + tool[:, :3, 3]
    near = np.clip(1 - (last - np.arange(len(tool))) / settle_frames, 0.0, 1.0)[:, None]
    path = path + near * (rests[1] - path[last])
    path[:grasp], path[last:] = rests
    return path


def object_motions(
    tool: Float[np.ndarray, "t 4 4"],
    plan: Plan,
    centre_m: Float[np.ndarray, "t 3"],
    footage: Footage,
    lens: Camera,
) -> Float[np.ndarray, "t 4 4"]:
    """The object's rigid motion (base frame) from its rest in the source to each frame, its centre on `centre_m`."""
    motion, placement, source = plan.motion, plan.placement, footage.source
    starts = placement.kind == "start"
    rest = source.start if starts else source.goal
    event = motion.grasp_frame if starts else motion.release_frame - 1
    centre = lens.unproject(centroid(largest_component(rest)).numpy().astype(np.float64)[None], footage.plane_z_m)[0]
    turn = np.tile(placement.motion_m[:3, :3], (len(tool), 1, 1))
    held = slice(motion.grasp_frame, motion.release_frame)
    turn[held] = tool[held, :3, :3] @ tool[event, :3, :3].T @ placement.motion_m[:3, :3]
    motions = np.tile(np.eye(4), (len(tool), 1, 1))
    motions[:, :3, :3] = turn
    motions[:, :3, 3] = centre_m - turn @ centre
    return motions


def projected(camera: CameraFit, points_m: Float[np.ndarray, "t k 3"]) -> Float[np.ndarray, "t k 2"]:
    """Pixels of points; NaN for those behind the camera or far outside the picture."""
    pixels = camera.camera.project(points_m.reshape(-1, 3)).reshape(*points_m.shape[:2], 2)
    far = np.abs(np.nan_to_num(pixels, nan=np.inf)).max(-1) > FARTHEST_SHARE * camera.camera.width
    return np.where(far[..., None], np.nan, pixels)


def rest_span(source: SourceEpisode, kind: str) -> tuple[int, int]:
    """Source frames [first, last) in which the object rests where a `kind` placement moves it from."""
    spans = rest_spans(source.phases, source.labels.length, source.labels.fps)
    return spans[source.pick if kind == "start" else source.pick + 1]


def arm_points_m(kinematics: Kinematics, states: Float[Tensor, "t s"], camera: CameraFit) -> Float[np.ndarray, "t k 3"]:
    """Points fixed to the arm's links (base frame): of all links where joints are known, else of the hand alone."""
    tool = kinematics.forward(states)
    tip = np.asarray(camera.tip_offset_m)
    backwards = -tip / np.linalg.norm(tip) if np.linalg.norm(tip) > 1e-3 else np.array([0.0, 0.0, -1.0])
    sides = AROUND_M * np.concatenate([np.eye(3), -np.eye(3)])
    behind = [tip + HAND_M * backwards + sides, tip + 2 * HAND_M * backwards[None]]
    points = [placed(tool, np.concatenate([tip + sides, tip[None], *behind]))]
    if isinstance(kinematics, JointKinematics):
        joints = kinematics.joint_poses(states)
        corners = np.concatenate([sides, np.zeros((1, 3))])
        points = [placed(tool, np.concatenate([tip + sides, tip[None]]))]
        points += [placed(joints[:, joint], corners) for joint in range(joints.shape[1])]
    return np.concatenate(points, axis=1)


def links_px(kinematics: Kinematics, states: Float[Tensor, "t s"], camera: CameraFit) -> Float[np.ndarray, "t k 2"]:
    """Pixels of points of all links down to the base, for bending an arm whose tool alone is recorded.

    None where the camera does not show the whole arm in its place. Where joints are recorded, `arm_points_m` has them.
    """
    if isinstance(kinematics, JointKinematics) or not (camera.whole_arm and has_surface(kinematics)):
        return np.zeros((len(states), 0, 2))
    corners = AROUND_M * np.concatenate([np.eye(3), -np.eye(3), np.zeros((1, 3))])
    poses = kinematics.link_poses(states)[:, : len(kinematics.config.joint_names) + 1]
    return projected(
        camera, np.concatenate([placed(poses[:, link], corners) for link in range(poses.shape[1])], axis=1)
    )


def placed(poses: Float[np.ndarray, "t 4 4"], points: Float[np.ndarray, "k 3"]) -> Float[np.ndarray, "t k 3"]:
    """Points of a frame, in the base frame, for each pose."""
    return np.einsum("tij,kj->tki", poses[:, :3, :3], points) + poses[:, None, :3, 3]


def root_of(actor: Bool[Tensor, "h w"], hand_px: Float[np.ndarray, "k 2"]) -> Float[np.ndarray, "1 2"] | None:
    """A point beyond the border where the arm enters the picture; None where it does not touch the border."""
    border = torch.zeros_like(actor)
    border[[0, -1]], border[:, [0, -1]] = True, True
    entry = actor & border
    if not bool(entry.any()) or not len(hand_px):
        return None
    enters = centroid(entry).numpy().astype(np.float64)
    return (enters + ROOT_SHARE * (enters - hand_px[0]))[None]
