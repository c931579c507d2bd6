"""The camera of one pose from the outline of the whole arm, where its joints or its shape are known."""

import logging

import numpy as np
import torch
from jaxtyping import Float

from m2iv_robot.arm import MOST_MISFIT, ArmRecording, SeenArm, align, fit_outline, on_its_surface
from m2iv_robot.background import spread
from m2iv_robot.camera import Camera, CameraConfig, CameraFit
from m2iv_robot.kinematics import CartesianKinematics, JointKinematics, Kinematics
from m2iv_robot.masks import centroid, largest_component
from m2iv_robot.plan.records import SourceEpisode

logger = logging.getLogger(__name__)

MOST_SURPRISE = 0.15  # nats a pixel, at which an arm's outline no longer counts as found
SURFACE_FRAMES, LEAST_FRAMES = 240, 4  # in all, and of each episode, from which the surface's fit chooses
UNUSUAL_M = 0.012  # a grasp that differs so much from the others was measured wrongly


def arm_camera_fits(
    kinematics: Kinematics, sources: list[SourceEpisode], settings: CameraConfig
) -> list[CameraFit] | None:
    """The camera that shows the arm where its masks are, once per episode: each has its own grasp's offset.

    The object lies in the gripper as the two are when it is taken: where it rested, and the tool above it. None where
    the joints are not known, or the outline does not fit them.
    """
    if not isinstance(kinematics, JointKinematics):
        return None
    camera = outline_camera(kinematics, sources, settings)
    if camera is None:
        return None
    return fits_of(camera, kinematics, sources)


def surface_fits(
    rough: Camera, kinematics: CartesianKinematics, sources: list[SourceEpisode]
) -> list[CameraFit] | None:
    """The rough camera moved onto the arm's surface, once per episode; None where the arm is not seen there."""
    recordings = []
    for one in sources:
        chosen = list(spread(one.labels.length, max(LEAST_FRAMES, SURFACE_FRAMES // len(sources))))
        recordings.append(ArmRecording(one.labels.state[chosen], one.masks.actor[chosen], one.masks.object[chosen]))
    camera, left = on_its_surface(rough, kinematics, recordings)
    if left > MOST_MISFIT:
        logger.warning("the arm's surface does not fit its masks (%.1f): the camera is fitted to the object", left)
        return None
    return fits_of(camera, kinematics, sources)


def fits_of(camera: Camera, kinematics: Kinematics, sources: list[SourceEpisode]) -> list[CameraFit]:
    """A camera that shows the whole arm in its place, with where each episode's object lies in the hand."""
    grasps = [source.poses[source.phase.grasp] for source in sources]
    starts = np.stack([centroid(largest_component(source.start)).numpy() for source in sources]).astype(np.float64)
    tip = np.asarray(kinematics.config.finger_offset_m, dtype=float)
    offsets = np.stack([in_hand(*pair, camera, tip) for pair in zip(grasps, starts, strict=True)])
    usual = np.median(offsets, axis=0)
    unusual = np.linalg.norm(offsets - usual, axis=1) > UNUSUAL_M
    offsets[unusual] = usual
    poses = np.stack(grasps)
    expected = camera.project(poses[:, :3, :3] @ usual + poses[:, :3, 3])
    return [
        CameraFit(camera, offset, tip, {}, starts - expected, ~unusual, np.zeros((10, 10)), whole_arm=True)
        for offset in offsets
    ]


def in_hand(
    tool: Float[np.ndarray, "4 4"], seen_px: Float[np.ndarray, " 2"], camera: Camera, tip_m: Float[np.ndarray, " 3"]
) -> Float[np.ndarray, " 3"]:
    """Where an object that is seen at a pixel lies in the frame of the tool, level with the fingertips."""
    place = camera.unproject(seen_px[None], float((tool[:3, :3] @ tip_m + tool[:3, 3])[2]))[0]
    return tool[:3, :3].T @ (place - tool[:3, 3])


def outline_camera(kinematics: JointKinematics, sources: list[SourceEpisode], settings: CameraConfig) -> Camera | None:
    """The camera under which the arm's outline is its masks'; None where it fits them badly."""
    states = torch.cat([source.labels.state for source in sources])
    joints, tool = kinematics.joint_poses(states), kinematics.forward(states)[:, None]
    base = np.broadcast_to(np.eye(4), (len(states), 1, 4, 4))
    actor, thing = (torch.cat([getattr(source.masks, part) for source in sources]) for part in ("actor", "object"))
    fit = fit_outline(SeenArm(np.concatenate([base, joints, tool], axis=1), actor, thing), settings)
    if fit.surprise > MOST_SURPRISE:
        logger.warning(
            "the arm's outline does not fit its joints (%.2f): the camera is fitted to the object", fit.surprise
        )
        return None
    if kinematics.surface is None:
        return fit.camera
    return align(fit.camera, kinematics.surface, kinematics.link_poses(states), (actor, thing))
