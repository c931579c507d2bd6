"""A motion in the picture alone, where the robot's state is not known: good enough to look at, not to learn from."""

import numpy as np
from jaxtyping import Float
from torch import Tensor

from m2iv_robot.errors import PlanError
from m2iv_robot.exemplar import landmarks
from m2iv_robot.generation.layers import PictureMotion, clean_rest_frames
from m2iv_robot.masks import centroid
from m2iv_robot.plan import Plan
from m2iv_robot.plan.scenes import SourceEpisode
from m2iv_robot.types import MaskTrajectory

AROUND_PX = np.array([[0.0, 0.0], [-10.0, 0.0], [10.0, 0.0], [0.0, -10.0], [0.0, 10.0]])
ROOT_SHARE = 1.0  # of the arm's visible length: how far beyond the border its root is taken to be
MOVED_SIZES = 0.3  # of the object: so far from where it rests it is held


def sketch_motion(plan: Plan, source: SourceEpisode) -> PictureMotion:
    """The source's motion, its tip and its object drawn to the new place and back again.

    Raises:
        PlanError: the object is never seen to move, or the arm never seen.
    """
    masks, placement = source.masks, plan.placement
    length = len(masks.actor)
    track = object_track(source)
    grasp, release = seen_hold(source, track)
    share = shares(placement.kind, grasp, release, length)
    shift = np.asarray(placement.shift_px)
    handles, goals = arm_handles(masks, share[:, None] * shift)
    rest = source.start if placement.kind == "start" else source.goal
    span = (0, grasp) if placement.kind == "start" else (release, length)
    return PictureMotion(
        shown=np.arange(length) < release if placement.kind == "start" else np.arange(length) >= grasp,
        source_frame=np.arange(length),
        actor_frame=np.arange(length),
        handles_px=handles,
        goals_px=goals,
        object_px=track,
        object_goal_px=track + share[:, None] * shift,
        object_scale=1 + share * (placement.scale - 1),
        held=(grasp, release),
        moved=placement.kind,
        shift_px=placement.shift_px,
        scale=placement.scale,
        rest=rest,
        rest_frames=clean_rest_frames(masks, rest, *span),
        settle_frames=2,
    )


def object_track(source: SourceEpisode) -> Float[np.ndarray, "t 2"]:
    """The object's centre in every frame; between the frames that show it on a straight line."""
    seen = centroid(source.masks.object).double().numpy()
    known = np.isfinite(seen).all(1)
    if not known.any():
        raise PlanError(f"episode {source.labels.index}: no mask shows the object; annotate it again")
    frames = np.arange(len(seen))
    return np.stack([np.interp(frames, frames[known], seen[known, axis]) for axis in range(2)], 1)


def seen_hold(source: SourceEpisode, track: Float[np.ndarray, "t 2"]) -> tuple[int, int]:
    """Frames [grasp, release) in which the object is away from both of its resting places.

    Raises:
        PlanError: it is not seen to move.
    """
    size = float(np.sqrt(max(int(source.start.sum()), 1)))
    ends = [centroid(mask).double().numpy() for mask in (source.start, source.goal)]
    away = [np.linalg.norm(track - end, axis=1) > MOVED_SIZES * size for end in ends]
    left, arrived = np.flatnonzero(away[0]), np.flatnonzero(away[1])
    if not len(left) or not len(arrived) or arrived[-1] - left[0] < 2:
        raise PlanError(f"episode {source.labels.index}: the object is not seen to move; leave it out")
    grasp, release = int(left[0]), min(int(arrived[-1]) + 1, len(track) - 1)
    return max(1, grasp), release


def shares(kind: str, grasp: int, release: int, length: int) -> Float[np.ndarray, " t"]:
    """How much of the shift holds in each frame: it comes before the grasp (or the release) and goes after it."""
    frames = np.arange(length, dtype=np.float64)
    first, last = (0, release) if kind == "start" else (grasp, length - 1)
    event = grasp if kind == "start" else release
    up, down = (frames - first) / max(1, event - first), (last - frames) / max(1, last - event)
    ramp = np.clip(np.minimum(up, down), 0, 1)
    return ramp**2 * (3 - 2 * ramp)


def arm_handles(
    masks: MaskTrajectory, shift_px: Float[np.ndarray, "t 2"]
) -> tuple[tuple[Float[np.ndarray, "_ 2"], ...], tuple[Float[np.ndarray, "_ 2"], ...]]:
    """Points around the arm's tip, which are shifted, and its root, which is not."""
    handles, goals = [], []
    tip, root = np.zeros(2), np.full(2, -1000.0)
    for actor, moved in zip(masks.actor, shift_px, strict=True):
        tip, root = tip_and_root(actor, tip, root)
        handles.append(np.concatenate([tip + AROUND_PX, root[None]]))
        goals.append(np.concatenate([tip + AROUND_PX + moved, root[None]]))
    return tuple(handles), tuple(goals)


def tip_and_root(
    actor: Tensor, tip: Float[np.ndarray, " 2"], root: Float[np.ndarray, " 2"]
) -> tuple[Float[np.ndarray, " 2"], Float[np.ndarray, " 2"]]:
    """Where the arm ends and where it comes from; what they were before, where a frame does not show it."""
    if not bool(actor.any()):
        return tip, root
    found = landmarks(actor.numpy().astype(np.uint8))
    if found.tip is None or found.root is None:
        return found.centre, root
    return found.tip, found.root + ROOT_SHARE * (found.root - found.tip)
