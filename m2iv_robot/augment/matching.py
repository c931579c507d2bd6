"""Which real frame shows the arm most nearly as planned, without jumping about between frames."""

import numpy as np
from jaxtyping import Bool, Float, Int

JUMP_PX = 3.0  # a jump between recordings or moments costs as much as an arm that lies so far off
STEP_FRAMES = 3  # a step no longer than this is no jump
OPENING_PX = 40.0  # as far off as a gripper that is open instead of closed counts


def arm_distance(
    planned_px: Float[np.ndarray, "t k 2"],
    real_px: Float[np.ndarray, "n k 2"],
    openings: tuple[Float[np.ndarray, " t"], Float[np.ndarray, " n"]],
) -> Float[np.ndarray, "t n"]:
    """How far each real arm is from each planned one (root mean square, px), gripper included."""
    known = np.isfinite(real_px).all(-1).all(0) & np.isfinite(planned_px).all(-1).all(0)
    planned, real = planned_px[:, known].reshape(len(planned_px), -1), real_px[:, known].reshape(len(real_px), -1)
    square = (planned**2).sum(1)[:, None] - 2 * planned @ real.T + (real**2).sum(1)[None]
    place = np.maximum(square, 0) / max(1, int(known.sum()))
    gripper = (OPENING_PX * (openings[0][:, None] - openings[1][None])) ** 2
    return np.sqrt(place + gripper)


def steady_match(
    distance: Float[np.ndarray, "t n"], episode: Int[np.ndarray, " n"], usable: Bool[np.ndarray, " n"]
) -> Int[np.ndarray, " t"]:
    """The sequence of real frames with the least sum of distances and jumps.

    Source: Viterbi 1967, "Error bounds for convolutional codes and an asymptotically optimum decoding algorithm".
    """
    cost = np.where(usable, distance, np.inf)
    total = cost[0]
    came_from = np.zeros(distance.shape, np.int64)
    for frame in range(1, len(cost)):
        best = int(total.argmin())
        reached, source = total, np.arange(len(total))
        for step in range(-STEP_FRAMES, STEP_FRAMES + 1):
            if step:
                moved, origin = _shifted(total, episode, step)
                better = moved < reached
                reached, source = np.where(better, moved, reached), np.where(better, origin, source)
        jump = total[best] + JUMP_PX < reached
        came_from[frame] = np.where(jump, best, source)
        total = np.where(jump, total[best] + JUMP_PX, reached) + cost[frame]
    path = [int(total.argmin())]
    for frame in range(len(cost) - 1, 0, -1):
        path.append(int(came_from[frame, path[-1]]))
    return np.array(path[::-1])


def _shifted(
    total: Float[np.ndarray, " n"], episode: Int[np.ndarray, " n"], step: int
) -> tuple[Float[np.ndarray, " n"], Int[np.ndarray, " n"]]:
    """The cost of coming from `step` frames before, within one episode, and which frame that is."""
    origin = np.arange(len(total)) - step
    inside = (origin >= 0) & (origin < len(total))
    origin = origin.clip(0, len(total) - 1)
    inside &= episode[origin] == episode
    return np.where(inside, total[origin], np.inf), origin
