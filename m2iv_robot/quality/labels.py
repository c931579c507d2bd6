"""Whether the labels say what the picture shows."""

import itertools
from collections.abc import Iterable

import numpy as np
from jaxtyping import Float
from torch import Tensor

from m2iv_robot.background import spread
from m2iv_robot.masks import centroid
from m2iv_robot.quality.config import QualityConfig
from m2iv_robot.quality.context import SourceContext, gripper_path_px, seen_tips
from m2iv_robot.quality.evidence import Case, labelled_holds, rows_held
from m2iv_robot.quality.verdict import at_least, at_most
from m2iv_robot.retarget import RobotModel
from m2iv_robot.types import Candidate, CheckResult, EpisodePhases

LONGEST_LAG_S = 1.6
LAG_STEP_S = 0.1
CLEARER = 0.75  # of the misfit without a lag: a lag must fit so much better to be believed
SOURCE_LOOKS = 16  # at the source
LEAST_LOOKS = 5  # at the gripper, below which its path cannot be judged
HOLD_MARGIN_S = 0.3  # around a labelled hold
STILL_WIDTHS = 0.2  # an object that moves less than this between looks rests


def path_error(case: Case, config: QualityConfig) -> CheckResult | None:
    """Median distance of the actor's tip in the picture from the labelled gripper, in frame widths."""
    path = labelled_path(case)
    if path is None:
        return None
    tips = seen_tips(case.seen.actor)
    seen = np.isfinite(tips[:, 0])
    if seen.sum() < LEAST_LOOKS:
        return None
    away = tips[seen] - path[np.array(case.frames)[seen]] - usual_offset(case.context)
    misses = np.linalg.norm(away, axis=1)
    return at_most("path_error", float(np.median(misses)) / case.seen.actor.shape[-1], config.max_path_error)


def usual_offset(context: SourceContext) -> Float[np.ndarray, " 2"]:
    """How far the arm's outermost pixels are from the labelled gripper in the source, px, typically."""
    episode = context.episode
    path = None if episode.state is None else gripper_path_px(episode.state, context)
    if path is None:
        return np.zeros(2)
    chosen = spread(episode.length, SOURCE_LOOKS)
    away = seen_tips(context.masks.actor[chosen]) - path[chosen]
    away = away[np.isfinite(away[:, 0])]
    return np.median(away, axis=0) if len(away) >= LEAST_LOOKS else np.zeros(2)


def label_lag(case: Case, config: QualityConfig) -> CheckResult | None:
    """By how many s the labels must be shifted to agree best with the gripper and the held object in the picture."""
    path = labelled_path(case)
    if path is None:
        return None
    tracks = [track for track in seen_tracks(case) if len(track[0]) >= LEAST_LOOKS]
    if not tracks:
        return None
    fps = case.candidate.episode.fps
    lags = np.arange(-LONGEST_LAG_S, LONGEST_LAG_S + 1e-9, LAG_STEP_S)
    misfits = np.array([misfit(tracks, path, lag * fps) for lag in lags])
    best = int(misfits.argmin())
    none = misfit(tracks, path, 0.0)
    lag = abs(float(lags[best])) if misfits[best] < CLEARER * none else 0.0
    return at_most("label_lag", lag, config.max_label_lag_s)


def labelled_path(case: Case) -> Float[np.ndarray, "t 2"] | None:
    """The gripper in the picture according to the labels that would be written."""
    state = case.candidate.episode.state
    return None if state is None else gripper_path_px(state, case.context)


def seen_tracks(case: Case) -> list[tuple[np.ndarray, np.ndarray]]:
    """What goes with the gripper in the picture, frames and pixels: the actor's tip; the object while it is held."""
    frames = np.array(case.frames)
    tips = seen_tips(case.seen.actor)
    held = rows_held(case)
    centres = centroid(case.seen.object[held]).numpy().reshape(-1, 2)
    both = [(frames, tips), (frames[held], centres)]
    return [(at[np.isfinite(places[:, 0])], places[np.isfinite(places[:, 0])]) for at, places in both]


def misfit(tracks: list[tuple[np.ndarray, np.ndarray]], path: Float[np.ndarray, "t 2"], lag_frames: float) -> float:
    """How far tracks are from the path that many frames later, px; a constant offset of a track does not count."""
    times = np.arange(len(path))
    misses = []
    for frames, places in tracks:
        there = np.stack([np.interp(frames + lag_frames, times, path[:, axis]) for axis in range(2)], axis=1)
        away = places - there
        misses.append(np.linalg.norm(away - np.median(away, axis=0), axis=1))
    return float(np.mean(np.concatenate(misses)))


def held_agreement(case: Case, config: QualityConfig) -> CheckResult | None:
    """Share of the object's way in the picture that lies in holds of the labels, state or action, the lower."""
    episode = case.candidate.episode
    shares = []
    for which, labels in (("state", episode.state), ("action", episode.action)):
        holds = None if labels is None else labelled_holds(case, labels, which)
        if holds is not None:
            shares.append(share_in_holds(case, holds))
    shares = [share for share in shares if share is not None]
    if not shares:
        return None
    return at_least("held_agreement", min(shares), config.min_held_agreement)


def share_in_holds(case: Case, holds: Iterable[EpisodePhases]) -> float | None:
    """Share of the object's way that it covers while held; None where it is not seen to move."""
    margin = HOLD_MARGIN_S * case.candidate.episode.fps
    places = centroid(case.seen.object).numpy()
    rows = [row for row in range(len(places)) if np.isfinite(places[row, 0])]
    total = inside = 0.0
    for row, after in itertools.pairwise(rows):
        way = float(np.linalg.norm(places[after] - places[row]))
        if way < STILL_WIDTHS * case.width_px:
            continue
        first, last = case.frames[row], case.frames[after]
        covered = max((overlap(first, last, hold, margin) for hold in holds), default=0.0)
        total, inside = total + way, inside + way * covered
    return inside / total if total > 0 else None


def overlap(first: int, last: int, hold: EpisodePhases, margin: float) -> float:
    """Share of the frames first to last that lie within a hold, grown by the margin."""
    inside = min(last, hold.release + margin) - max(first, hold.grasp - margin)
    return float(np.clip(inside / max(last - first, 1e-9), 0.0, 1.0))


def label_speed(candidate: Candidate, context: SourceContext, config: QualityConfig) -> CheckResult | None:
    """The fastest column of the state, as a multiple of the fastest ever recorded in that column."""
    robot, state = context.robot, candidate.episode.state
    if robot is None or state is None or len(state) < 2:
        return None
    speed = np.abs(np.diff(state.double().numpy(), axis=0)).max(axis=0) * candidate.episode.fps
    floor = 0.1 * robot.top_speed.max()
    return at_most("label_speed", float((speed / np.maximum(robot.top_speed, floor)).max()), config.max_label_speed)


def action_error(candidate: Candidate, context: SourceContext, config: QualityConfig) -> CheckResult | None:
    """Mean distance between what the actions ask for and what the states do, as a share of each column's range."""
    robot, episode = context.robot, candidate.episode
    source = context.episode.state
    if robot is None or episode.state is None or episode.action is None or source is None:
        return None
    value = disagreement(episode.state, episode.action, source, robot)
    return at_most("action_error", value, config.max_action_error)


def disagreement(
    state: Float[Tensor, "t s"], action: Float[Tensor, "t a"], source: Float[Tensor, "n s"], robot: RobotModel
) -> float:
    """Mean distance of actions from states in the dataset's convention; `source` gives each column's range."""
    states, actions, recorded = (labels.double().numpy() for labels in (state, action, source))
    spread = np.ptp(recorded, axis=0)
    spread = np.maximum(spread, 0.05 * spread.max())
    convention = robot.convention
    if convention.kind == "delta":
        moved = convention.gain != 0
        steps = np.diff(states, axis=0) * convention.gain
        typical = np.maximum(np.abs(np.diff(recorded, axis=0) * convention.gain).mean(axis=0), 1e-9)
        return float((np.abs(actions[:-1] - steps) / typical)[:, moved].mean())
    lag = 1.0 if convention.kind == "next_state" else convention.lag_frames
    at = np.clip(np.arange(len(states)) + lag, 0, len(states) - 1)
    times = np.arange(len(states))
    later = np.stack([np.interp(at, times, column) for column in states.T], axis=1)
    return float((np.abs(actions - later) / spread).mean())


def labeller_error(candidate: Candidate, context: SourceContext, config: QualityConfig) -> CheckResult | None:
    """Median distance of the states from those that the learned labeller reads, in its own standard deviations."""
    state = candidate.episode.state
    if context.labeller is None or state is None:
        return None
    read = context.labeller(candidate.episode.frames)
    away = (state.double() - read.state).abs() / read.state_sigma
    return at_most("labeller_error", float(away.median()), config.max_labeller_error)
