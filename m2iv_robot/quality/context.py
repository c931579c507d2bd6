"""What the gate knows of the real episode that a candidate was made from."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from m2iv_robot.camera import CameraFit
from m2iv_robot.errors import SegmentationError
from m2iv_robot.labelling import LabelEstimate
from m2iv_robot.masks import area, centroid, contact_map
from m2iv_robot.retarget import RobotModel
from m2iv_robot.types import Episode, EpisodePhases, MaskTrajectory, Plate

LEAST_MAP_FRAMES = 8  # of the source's carry that a map from poses to pixels is fitted on
RIDGE = 1e-3
CLEAR_PX = 9  # kernel within which no actor may be where the object is looked at
USUAL_QUANTILE = 0.75  # of the areas of the object at rest


@dataclass(frozen=True)
class SourceContext:
    """The source episode with what is known of it. Without `robot` the labels are not looked at."""

    episode: Episode
    masks: MaskTrajectory
    plate: Plate
    phases: tuple[EpisodePhases, ...] = ()  # when something is held in the source
    robot: RobotModel | None = None
    camera: CameraFit | None = None  # None: where the gripper is seen is learned from the source itself
    labeller: Callable[[Tensor], LabelEstimate] | None = None  # learned labels of frames, where there is one

    def __post_init__(self) -> None:
        if self.masks.object.shape[0] != self.episode.length:
            raise SegmentationError(
                f"{self.episode.dataset} episode {self.episode.index}: {self.masks.object.shape[0]} masks for "
                f"{self.episode.length} frames; annotate it again"
            )


def reference_frame(context: SourceContext) -> int:
    """A source frame that shows the whole object: of those in which it rests clear of the actor, a usual one.

    Without phases it is taken to rest in the first and last quarter. The largest mask is not taken: it is the one
    that spilled over.

    Raises:
        SegmentationError: no frame shows the object.
    """
    masks = context.masks
    seen = area(masks.object)
    if not bool(seen.any()):
        raise SegmentationError(
            f"{context.episode.dataset} episode {context.episode.index}: no mask shows the object; annotate it again"
        )
    shown = torch.nonzero(seen > 0)[:, 0]
    clear = shown[~contact_map(masks.actor[shown], masks.object[shown], CLEAR_PX).flatten(1).any(1)]
    length = len(masks.object)
    held = context.phases or (EpisodePhases(length // 4, length - length // 4),)
    resting = [frame for frame in clear.tolist() if not any(one.grasp <= frame < one.release for one in held)]
    chosen = torch.tensor(resting or clear.tolist() or shown.tolist())
    order = seen[chosen].argsort(stable=True)
    return int(chosen[order[round(USUAL_QUANTILE * (len(order) - 1))]])


def gripper_path_px(state: Float[Tensor, "t s"], context: SourceContext) -> Float[np.ndarray, "t 2"] | None:
    """Where the gripper's tip is in the picture for states, by the camera's fit or as the source showed it.

    None where neither is known.
    """
    if context.robot is None or not context.robot.kinematics.metric:
        return None
    poses = context.robot.kinematics.forward(state)
    if context.camera is not None:
        tips = poses[:, :3, :3] @ context.camera.tip_offset_m + poses[:, :3, 3]
        return context.camera.camera.project(tips)
    if context.episode.state is None:
        return None
    return _learned_path(poses, context)


def _learned_path(poses: Float[np.ndarray, "t 4 4"], context: SourceContext) -> Float[np.ndarray, "t 2"] | None:
    """Pixels of what is held as an affine map of the tool's place, fitted on the source's carry; None with too few.

    The camera's perspective is left out, so places far from the source's are some pixels off.
    """
    frames = np.array([frame for phase in context.phases for frame in range(phase.grasp, phase.release)], dtype=int)
    centres = centroid(context.masks.object[frames]).double().numpy().reshape(-1, 2)
    seen = np.isfinite(centres[:, 0])
    if seen.sum() < LEAST_MAP_FRAMES:
        return None
    places = context.robot.kinematics.forward(context.episode.state)[frames][:, :3, 3][seen]
    middle = places.mean(0)
    inputs, wanted = _with_one(places - middle), centres[seen]
    weights = np.ones(len(inputs))
    for _ in range(10):  # robust: a centre half hidden counts little
        weighted = inputs * weights[:, None]
        solution = np.linalg.solve(inputs.T @ weighted + RIDGE * np.eye(4), weighted.T @ wanted)
        misses = np.linalg.norm(inputs @ solution - wanted, axis=1)
        weights = 1 / (1 + (misses / max(2 * np.median(misses), 1e-6)) ** 2)
    return _with_one(poses[:, :3, 3] - middle) @ solution


def _with_one(points: Float[np.ndarray, "n 3"]) -> Float[np.ndarray, "n 4"]:
    return np.concatenate([points, np.ones((len(points), 1))], axis=1)
