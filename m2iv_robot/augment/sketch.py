"""A motion in the picture alone, where the robot's state is not known: good enough to look at, not to learn from."""

import numpy as np
from jaxtyping import Bool, Float
from torch import Tensor

from m2iv_robot.augment.matching import steady_match
from m2iv_robot.errors import PlanError
from m2iv_robot.exemplar import landmarks
from m2iv_robot.generation.layers import PictureMotion, clean_rest_frames
from m2iv_robot.masks import centroid, largest_component
from m2iv_robot.plan import Plan
from m2iv_robot.plan.scenes import SourceEpisode

AROUND_PX = np.array([[0.0, 0.0], [-10.0, 0.0], [10.0, 0.0], [0.0, -10.0], [0.0, 10.0]])
ROOT_SHARE = 1.0  # of the arm's visible length: how far beyond the border its root is taken to be
OTHER_PHASE_PX = 20.0  # as far off as an arm before the grasp instead of after it counts: its fingers differ
MOVED_SIZES = 0.3  # of the object: so far from where it rests it is held


def sketch_motion(plan: Plan, source: SourceEpisode) -> tuple[PictureMotion, Float[np.ndarray, " t"]]:
    """The source's motion, its tip and its object drawn to the new place and back again, and the arm's bend (px).

    As where the state is known, the arm of each frame is the nearest one of the episode, bent by what is left.

    Raises:
        PlanError: the object is never seen to move, or the arm never seen.
    """
    masks, placement = source.masks, plan.placement
    length = len(masks.actor)
    track = object_track(source)
    grasp, release = seen_hold(source, track)
    share = shares(placement.kind, grasp, release, length)
    shift = share[:, None] * np.asarray(placement.shift_px)
    tips, roots = tips_and_roots(masks.actor)
    distance = np.linalg.norm((tips + shift)[:, None] - tips[None], axis=-1)
    phase = np.digitize(np.arange(length), (grasp, release))
    seen = masks.actor.flatten(1).any(1).numpy()
    chosen = steady_match(distance + OTHER_PHASE_PX * (phase[:, None] != phase), np.zeros(length, np.int64), seen)
    rest = source.start if placement.kind == "start" else source.goal
    span = (0, grasp) if placement.kind == "start" else (release, length)
    handles = [np.concatenate([tips[at] + AROUND_PX, roots[at][None]]) for at in chosen]
    goals = [np.concatenate([tip + AROUND_PX, roots[at][None]]) for tip, at in zip(tips + shift, chosen, strict=True)]
    motion = PictureMotion(
        shown=np.arange(length) < release if placement.kind == "start" else np.arange(length) >= grasp,
        source_frame=np.arange(length),
        actor_frame=chosen,
        handles_px=tuple(handles),
        goals_px=tuple(goals),
        object_px=track,
        object_goal_px=track + shift,
        object_scale=1 + share * (placement.scale - 1),
        held=(grasp, release),
        moved=placement.kind,
        shift_px=placement.shift_px,
        scale=placement.scale,
        rest=rest,
        rest_frames=clean_rest_frames(masks, rest, *span),
        settle_frames=2,
    )
    return motion, distance[np.arange(length), chosen]


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


def tips_and_roots(actor: Bool[Tensor, "t h w"]) -> tuple[Float[np.ndarray, "t 2"], Float[np.ndarray, "t 2"]]:
    """Where the arm ends and where it comes from; what they were before, where a frame does not show it."""
    tip, root = np.zeros(2), np.full(2, -1000.0)
    tips, roots = [], []
    for mask in actor:
        if bool(mask.any()):
            found = landmarks(largest_component(mask).numpy().astype(np.uint8))
            tip = found.centre if found.tip is None else found.tip
            root = root if found.root is None else found.root + ROOT_SHARE * (found.root - tip)
        tips.append(tip)
        roots.append(root)
    return np.stack(tips), np.stack(roots)
