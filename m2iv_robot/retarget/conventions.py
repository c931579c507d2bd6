"""What a dataset's action column means, seen in its numbers: a target, the next state, or a step."""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float

from m2iv_robot.errors import PlanError

CONVENTIONS = ("absolute", "next_state", "delta")


@dataclass(frozen=True)
class ActionConvention:
    """How actions follow from states."""

    kind: str  # one of CONVENTIONS
    lag_frames: float = 0.0  # absolute: by how much the state trails the action
    gain: Float[np.ndarray, " a"] | None = None  # delta: action per unit of state step; 0: the column is no step


def detect_convention(
    states: list[Float[np.ndarray, "_ s"]], actions: list[Float[np.ndarray, "_ a"]], asked: str = "auto"
) -> ActionConvention:
    """Tell the convention of a dataset from its episodes, or check the one that was `asked` for.

    Raises:
        PlanError: the numbers fit no convention, or not the one that was asked for.
    """
    if asked not in ("auto", *CONVENTIONS):
        raise PlanError(f"retarget.action_convention must be auto or one of {', '.join(CONVENTIONS)}, got {asked!r}")
    if states[0].shape[1] != actions[0].shape[1]:
        raise PlanError(
            f"state has {states[0].shape[1]} columns and action {actions[0].shape[1]}: no known convention relates "
            "them; plan in the image plane alone with robot=none"
        )
    tests = {"next_state": _next_state, "absolute": _absolute, "delta": _delta}
    for kind, test in tests.items():
        found = test(states, actions)
        if found is not None and asked in ("auto", kind):
            return found
    what = "any known convention" if asked == "auto" else f"the convention {asked!r}"
    raise PlanError(
        f"the actions do not fit {what}; set retarget.action_convention to one of {', '.join(CONVENTIONS)} "
        "that does, or plan in the image plane alone with robot=none"
    )


def _spread(states: list[np.ndarray]) -> np.ndarray:
    """The range that each column covers over all episodes; never zero."""
    values = np.concatenate(states)
    return np.maximum(np.ptp(values, axis=0), 1e-9)


def _next_state(states: list[np.ndarray], actions: list[np.ndarray]) -> ActionConvention | None:
    misses = np.concatenate([action[:-1] - state[1:] for state, action in zip(states, actions, strict=True)])
    close = np.abs(misses) <= 1e-4 * _spread(states) + 1e-6
    return ActionConvention("next_state") if close.mean() > 0.99 else None


def _absolute(states: list[np.ndarray], actions: list[np.ndarray]) -> ActionConvention | None:
    spread = _spread(states)
    moved = spread > 0.05 * spread.max()
    misses = np.concatenate([(action - state) / spread for state, action in zip(states, actions, strict=True)])
    if np.median(np.abs(misses[:, moved])) > 0.1:
        return None
    return ActionConvention("absolute", lag_frames=action_lag(states, actions))


def _delta(states: list[np.ndarray], actions: list[np.ndarray]) -> ActionConvention | None:
    steps = np.concatenate([np.diff(state, axis=0) for state in states])
    given = np.concatenate([action[:-1] for action in actions])
    power = (steps**2).sum(axis=0)
    gain = np.where(power > 0, (steps * given).sum(axis=0) / np.maximum(power, 1e-12), 0.0)
    left = ((given - gain * steps) ** 2).sum(axis=0)
    explained = 1.0 - left / np.maximum((given**2).sum(axis=0), 1e-12)
    gain = np.where(explained > 0.5, gain, 0.0)
    return ActionConvention("delta", gain=gain) if (gain != 0).sum() >= 2 else None


def action_lag(
    states: list[Float[np.ndarray, "_ s"]], actions: list[Float[np.ndarray, "_ s"]], longest: int = 15
) -> float:
    """The delay, in frames, that best maps actions onto states (least squares of speeds, parabola at the minimum)."""
    longest = min(longest, min(len(state) for state in states) // 3)
    spread = _spread(states)
    costs = []
    for lag in range(longest + 1):
        misses = [
            (np.diff(state, axis=0)[lag:] - np.diff(action, axis=0)[: len(action) - 1 - lag]) / spread
            for state, action in zip(states, actions, strict=True)
        ]
        costs.append(float(np.mean(np.concatenate(misses) ** 2)))
    best = int(np.argmin(costs))
    if best in (0, longest):
        return float(best)
    before, at, after = costs[best - 1 : best + 2]
    return best + 0.5 * (before - after) / max(before - 2.0 * at + after, 1e-12)
