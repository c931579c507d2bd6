"""Whether the labels say what the picture shows."""

import itertools
from collections.abc import Iterable
from dataclasses import dataclass

import cv2
import numpy as np
from jaxtyping import Float, Int
from torch import Tensor

from m2iv_robot.masks import centroid
from m2iv_robot.quality.config import QualityConfig
from m2iv_robot.quality.context import SourceContext, gripper_path_px
from m2iv_robot.quality.evidence import Case, labelled_holds, rows_held
from m2iv_robot.quality.verdict import at_least, at_most
from m2iv_robot.retarget import RobotModel
from m2iv_robot.types import Candidate, CheckResult, EpisodePhases

LONGEST_LAG_S = 1.6
LAG_STEP_S = 0.1
LEAST_MISFIT_PX = 1.0  # better than this no path fits
CLEARER = 0.75  # of the misfit without a lag: a lag must fit so much better to be believed
LEAST_LOOKS = 5  # at actor or held object, below which a path cannot be judged
STILL_COLUMN = 1e-3  # of the largest range: a column with less never moves
HOLD_MARGIN_S = 0.3  # around a labelled hold
STILL_WIDTHS = 0.2  # an object that moves less than this between looks rests


def path_error(case: Case, config: QualityConfig) -> CheckResult | None:
    """How far the labelled gripper is from where actor and object are seen, in frame widths, without a lag.

    The mean distance to the nearest pixel of either, or the median distance from the held object, the larger.
    """
    evidence = followed(case)
    if evidence is None:
        return None
    errors = [evidence.off_actor(0.0), evidence.off_object(0.0)]
    return at_most("path_error", max(errors) / case.seen.actor.shape[-1], config.max_path_error)


def label_lag(case: Case, config: QualityConfig) -> CheckResult | None:
    """By how many s the labels must be shifted to agree best with actor and held object in the picture."""
    evidence = followed(case)
    if evidence is None:
        return None
    fps = case.candidate.episode.fps
    lags = np.arange(-LONGEST_LAG_S, LONGEST_LAG_S + 1e-9, LAG_STEP_S)
    misfits = np.array([evidence.off_actor(lag * fps) + evidence.wander(lag * fps) for lag in lags])
    none = evidence.off_actor(0.0) + evidence.wander(0.0) + LEAST_MISFIT_PX
    best = int(misfits.argmin())
    lag = abs(float(lags[best])) if misfits[best] + LEAST_MISFIT_PX < CLEARER * none else 0.0
    return at_most("label_lag", lag, config.max_label_lag_s)


@dataclass(frozen=True)
class Followed:
    """The labelled gripper in the picture, and what it should be at."""

    path: Float[np.ndarray, "t 2"]
    frames: Int[np.ndarray, " n"]
    far: Float[np.ndarray, "n h w"]  # distance of every pixel from actor and object
    held: Int[np.ndarray, " m"]  # frames in which the object is held and seen
    centres: Float[np.ndarray, "m 2"]  # of the object in them, less its usual distance from the labelled gripper

    def at(self, frames: Int[np.ndarray, " n"], lag_frames: float) -> Float[np.ndarray, "n 2"]:
        """The path that many frames later."""
        times = np.arange(len(self.path))
        return np.stack([np.interp(frames + lag_frames, times, self.path[:, axis]) for axis in range(2)], axis=1)

    def off_actor(self, lag_frames: float) -> float:
        """Mean distance from actor and object, px; beyond the picture's edge the way to the edge counts too."""
        places = self.at(self.frames, lag_frames)
        edge = np.array([self.far.shape[2] - 1, self.far.shape[1] - 1])
        inside = np.clip(np.round(places), 0, edge).astype(int)
        outside = np.linalg.norm(places - inside, axis=1) * ((places < 0) | (places > edge)).any(1)
        return float((self.far[np.arange(len(places)), inside[:, 1], inside[:, 0]] + outside).mean())

    def off_object(self, lag_frames: float) -> float:
        """Median distance from the held object, px; 0 where it is not seen often enough."""
        if len(self.held) < LEAST_LOOKS:
            return 0.0
        return float(np.median(np.linalg.norm(self.centres - self.at(self.held, lag_frames), axis=1)))

    def wander(self, lag_frames: float) -> float:
        """How much the held object's distance from the gripper changes, px; 0 where it is not seen often enough."""
        if len(self.held) < LEAST_LOOKS:
            return 0.0
        away = self.centres - self.at(self.held, lag_frames)
        return float(np.linalg.norm(away - np.median(away, axis=0), axis=1).mean())


def followed(case: Case) -> Followed | None:
    """What the labelled gripper should be at; None where labels or kinematics are not known."""
    path = labelled_path(case)
    if path is None:
        return None
    either = (case.seen.actor | case.seen.object).numpy()
    if either.any((1, 2)).sum() < LEAST_LOOKS:
        return None
    shown = either.any((1, 2))
    far = np.stack([cv2.distanceTransform((~mask).astype(np.uint8), cv2.DIST_L2, 3) for mask in either[shown]])
    held = [row for row in rows_held(case) if bool(case.seen.object[row].any())]
    centres = centroid(case.seen.object[held]).double().numpy().reshape(-1, 2)
    frames = np.array(case.frames)
    return Followed(path, frames[shown], far.astype(np.float64), frames[held], centres - usual_offset(case.context))


def usual_offset(context: SourceContext) -> Float[np.ndarray, " 2"]:
    """From the labelled gripper to the held object in the source, px, typically."""
    state = context.episode.state
    path = None if state is None else gripper_path_px(state, context)
    if path is None or not context.phases:
        return np.zeros(2)
    frames = np.array([frame for phase in context.phases for frame in range(phase.grasp, phase.release)])
    centres = centroid(context.masks.object[frames]).double().numpy()
    seen = np.isfinite(centres[:, 0])
    return np.median((centres - path[frames])[seen], axis=0) if seen.sum() >= LEAST_LOOKS else np.zeros(2)


def labelled_path(case: Case) -> Float[np.ndarray, "t 2"] | None:
    """The gripper in the picture according to the labels that would be written."""
    state = case.candidate.episode.state
    return None if state is None else gripper_path_px(state, case.context)


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
    """The fastest column of the state, as a multiple of the fastest ever recorded or allowed to a plan."""
    robot, state = context.robot, candidate.episode.state
    if robot is None or state is None or len(state) < 2:
        return None
    speed = np.abs(np.diff(state.double().numpy(), axis=0)).max(axis=0) * candidate.episode.fps
    allowed = np.maximum(robot.top_speed, robot.limits.speed)
    return at_most("label_speed", float((speed / np.maximum(allowed, 1e-9)).max()), config.max_label_speed)


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
    moved = spread > STILL_COLUMN * spread.max()
    convention = robot.convention
    if convention.kind == "delta":
        moved &= convention.gain != 0
        steps = np.diff(states, axis=0) * convention.gain
        typical = np.maximum(np.abs(np.diff(recorded, axis=0) * convention.gain).mean(axis=0), 1e-9)
        return float((np.abs(actions[:-1] - steps) / typical)[:, moved].mean())
    lag = 1.0 if convention.kind == "next_state" else convention.lag_frames
    at = np.clip(np.arange(len(states)) + lag, 0, len(states) - 1)
    times = np.arange(len(states))
    later = np.stack([np.interp(at, times, column) for column in states.T], axis=1)
    return float((np.abs(actions - later)[:, moved] / spread[moved]).mean())


def labeller_error(candidate: Candidate, context: SourceContext, config: QualityConfig) -> CheckResult | None:
    """Median distance of the states from those that the learned labeller reads, in its own standard deviations."""
    state = candidate.episode.state
    if context.labeller is None or state is None:
        return None
    read = context.labeller(candidate.episode.frames)
    away = (state.double() - read.state).abs() / read.state_sigma
    return at_most("labeller_error", float(away.median()), config.max_labeller_error)
