"""Segmenter without weights.

What turned between before the grasp and after the release is the object; whatever else differs from the scene
without it is the actor.
"""

from dataclasses import dataclass

import cv2
import numpy as np
import torch
from jaxtyping import Bool, Float32

from m2iv_robot.errors import ConfigError, SegmentationError
from m2iv_robot.masks import resize, trajectory
from m2iv_robot.segmentation import Prompt
from m2iv_robot.segmentation.change import (
    Move,
    Place,
    best_moves,
    common_colours,
    find_places,
    histogram,
    lookup,
    outline,
)
from m2iv_robot.segmentation.prompts import check_drawn
from m2iv_robot.segmentation.states import (
    States,
    distance,
    find_states,
    is_shadow,
    lab_video,
    passing_colours,
    usual_scene,
)
from m2iv_robot.segmentation.tracking import (
    FOREGROUND_COLOUR,
    Appearance,
    best_path,
    candidates,
    foreground,
    object_part,
    roughness_of,
)
from m2iv_robot.types import Episode, EpisodePhases, MaskTrajectory, Plate

ACTOR_COLOUR_SHARE = 0.85  # of what passes by; the rest may be noise, cables or the object


@dataclass(frozen=True)
class MotionConfig:
    """Settings of the segmenter without weights."""

    name: str = "motion"
    width_limit_px: int = 400  # wider video is segmented at this width
    min_object_share: float = 0.0004  # of the frame; smaller places are noise
    min_score: float = 0.06  # of a move, in [0, 1]; below it the object cannot be told
    slack_s: float = 0.7  # between the gripper's signal and what is seen

    def __post_init__(self) -> None:
        """Sizes are positive, shares in [0, 1]."""
        if self.width_limit_px < 32 or self.slack_s < 0:
            raise ConfigError("segmentation: width_limit_px must be at least 32 and slack_s at least 0")
        if not (0 < self.min_object_share < 1 and 0 <= self.min_score <= 1):
            raise ConfigError("segmentation: min_object_share and min_score must be in [0, 1]")


@dataclass(frozen=True)
class Found:
    """The object's two places at working size, and when it was on its way."""

    start: Bool[np.ndarray, "h w"]
    goal: Bool[np.ndarray, "h w"]
    left: int  # last frame in which it may still be at the start
    landed: int  # first frame in which it may be at the goal
    score: float


class MotionSegmenter:
    """Finds actor and object by what moves and what has moved."""

    def __init__(self, config: MotionConfig | None = None) -> None:
        self.config = config or MotionConfig()

    def segment(
        self,
        episode: Episode,
        plate: Plate | None = None,
        prompt: Prompt | None = None,
        phases: tuple[EpisodePhases, ...] = (),
    ) -> MaskTrajectory:
        """Masks and a confidence per frame; see `Segmenter`.

        Raises:
            SegmentationError: the episode is too short, nothing is moved, or the object cannot be told.
            PromptError: a text prompt, or one that is on nothing that moves.
        """
        where = f"{episode.dataset} episode {episode.index}, {episode.camera}"
        if episode.length < 8:
            raise SegmentationError(f"{where}: {episode.length} frames are too few to see what moves; 8 are needed")
        check_drawn(prompt, episode)
        video = lab_video(episode.frames, self.config.width_limit_px)
        scale = video.shape[2] / episode.frames.shape[-1]
        states, move, colours = self._find(video, episode.fps, phases, (prompt, scale), where)
        found = locate(video, states, move)
        scene = scene_without(video, states, found, plate)
        looks = Appearance(object=(move.start.colours_before + move.goal.colours_after) / 2, actor=colours)
        actor, object_, confidence = follow(video, states, found, scene, looks)
        height, width = episode.frames.shape[-2:]
        full = [torch.from_numpy(mask) for mask in (actor, object_)]
        if full[0].shape[-2:] != (height, width):
            full = [resize(mask, height, width) for mask in full]
        return trajectory(full[0], full[1], torch.from_numpy(confidence))

    def _find(
        self,
        video: Float32[np.ndarray, "t h w 3"],
        fps: float,
        phases: tuple[EpisodePhases, ...],
        prompt: tuple[Prompt | None, float],
        where: str,
    ) -> tuple[States, Move, Float32[np.ndarray, "l a b"]]:
        """The states of the scene, the best move in it, and the actor's colours."""
        slack = max(2.0, self.config.slack_s * fps)
        usual = usual_scene(video)
        best = None
        for span in spans_to_try(len(video), phases):
            states = find_states(video, span)
            colours = histogram(passing_colours(video, states, usual, span))
            robot = common_colours(colours, ACTOR_COLOUR_SHARE)
            held = span if phases else None
            among = np.ones(states.changed.shape, bool)
            if held is not None:
                among = (states.last_before <= held.release + slack) & (states.first_after >= held.grasp - slack)
            min_area = max(12, round(self.config.min_object_share * among.size))
            places = find_places(states, among, robot, min_area)
            moves = best_moves(places, places, held, slack)
            if prompt[0] is not None:
                moves = asked_for(moves, prompt[0], prompt[1], len(video))
            if moves and (best is None or moves[0].score > best[1].score):
                best = (states, moves[0], colours)
        if best is None or (best[1].score < self.config.min_score and prompt[0] is None):
            score = 0.0 if best is None else best[1].score
            raise SegmentationError(
                f"{where}: nothing that is moved can be told (best score {score:.2f}, needed "
                f"{self.config.min_score}); give a prompt (prompt.click=[x,y]) or use another segmenter"
            )
        return best


def spans_to_try(length: int, phases: tuple[EpisodePhases, ...]) -> list[EpisodePhases]:
    """From the first grasp to the last release where they are known, else some guesses."""
    if not phases:
        shares = ((0.4, 0.6), (0.2, 0.6), (0.4, 0.8))
        return [EpisodePhases(max(3, round(length * a)), min(length - 3, round(length * b))) for a, b in shares]
    releases = [phase.release for phase in phases if phase.release <= length - 4] or [length - 4]
    grasp = min(max(phases[0].grasp, 4), length - 5)
    return [EpisodePhases(grasp, max(releases[-1], grasp + 1))]


def asked_for(moves: list[Move], prompt: Prompt, scale: float, length: int) -> list[Move]:
    """The moves whose place at the prompt's frame fits the prompt, best first."""
    fitting = []
    for move in moves:
        early = prompt.frame <= move.start.last_before
        late = prompt.frame >= move.goal.first_after
        near_start = abs(prompt.frame - move.start.last_before) < abs(prompt.frame - move.goal.first_after)
        place = move.start if early or (near_start and not late) else move.goal
        fit = prompt_fit(place, prompt, scale)
        if fit > 0.2:
            fitting.append(Move(move.start, move.goal, move.score * fit))
    return sorted(fitting, key=lambda move: -move.score)


def prompt_fit(place: Place, prompt: Prompt, scale: float) -> float:
    """How well a place agrees with a prompt, in [0, 1]; `scale` from frame to working pixels."""
    height, width = place.region.shape
    if prompt.click is not None:
        x, y = (
            min(round(value * scale), limit - 1) for value, limit in zip(prompt.click, (width, height), strict=True)
        )
        apart = cv2.distanceTransform((~place.region).astype(np.uint8), cv2.DIST_L2, 3)[y, x]
        return float(np.exp(-apart / (0.25 * np.sqrt(place.area_px) + 1)))
    wanted = np.zeros(place.region.shape, bool)
    if prompt.mask is not None:
        wanted = resize(prompt.mask, height, width).numpy()
    else:
        left, top, right, bottom = (round(value * scale) for value in prompt.box)
        wanted[top:bottom, left:right] = True
    return float((wanted & place.region).sum() / max((wanted | place.region).sum(), 1))


def locate(video: Float32[np.ndarray, "t h w 3"], states: States, move: Move) -> Found:
    """The object's outline at start and goal, and the frames between which it travels."""
    near = cv2.dilate(move.start.region.astype(np.uint8), np.ones((9, 9), np.uint8)) > 0
    unchanged = np.zeros_like(near)
    if (near & move.goal.region).any():
        start_colours = common_colours(move.start.colours_before, 0.9)
        goal_colours = common_colours(move.goal.colours_after, 0.9)
        unchanged = lookup(start_colours, states.before) & lookup(goal_colours, states.after) & ~states.changed
    shades = is_shadow(states.before, states.after), is_shadow(states.after, states.before)
    start = outline(states.before, without(move.start.region, shades[0]), unchanged, shades[0])
    goal = outline(states.after, without(move.goal.region, shades[1]), unchanged, shades[1])
    length = len(video)
    seen_start = start & states.changed if (start & states.changed).any() else move.start.region
    seen_goal = goal & states.changed if (goal & states.changed).any() else move.goal.region
    left = round(float(np.percentile(states.last_before[seen_start], 70)))
    landed = round(float(np.percentile(states.first_after[seen_goal], 30)))
    left, landed = max(left, 0), min(max(landed, left + 1), length - 1)
    return Found(start, goal, left, landed, move.score)


def without(region: Bool[np.ndarray, "h w"], shade: Bool[np.ndarray, "h w"]) -> Bool[np.ndarray, "h w"]:
    """A region without its shadow, the largest part of it; all of it where that is less than half."""
    bare = cv2.morphologyEx((region & ~shade).astype(np.uint8), cv2.MORPH_OPEN, np.ones((2, 2), np.uint8))
    _, labels, stats, _ = cv2.connectedComponentsWithStats(bare, connectivity=8)
    if len(stats) < 2:
        return region
    largest = labels == 1 + stats[1:, cv2.CC_STAT_AREA].argmax()
    filled = cv2.morphologyEx(largest.astype(np.uint8), cv2.MORPH_CLOSE, np.ones((3, 3), np.uint8)) > 0
    return filled if filled.sum() > 0.5 * region.sum() else region


def scene_without(
    video: Float32[np.ndarray, "t h w 3"], states: States, found: Found, plate: Plate | None
) -> Float32[np.ndarray, "h w 3"]:
    """The scene without actor and object: the usual colours, and at the object's places those without it."""
    scene = usual_scene(video)
    kernel = np.ones((5, 5), np.uint8)
    start, goal = (cv2.dilate(mask.astype(np.uint8), kernel) > 0 for mask in (found.start, found.goal))
    scene[start] = states.after[start]
    scene[goal & ~found.start] = states.before[goal & ~found.start]
    if plate is not None:
        bare = lab_video(plate.image[None], video.shape[2])[0]
        known = resize(plate.known, *scene.shape[:2]).numpy()
        both = known & (distance(bare, scene) < FOREGROUND_COLOUR)
        offset = np.median((scene - bare)[both], 0) if both.any() else 0
        scene[known] = (bare + offset)[known]
    return scene


def follow(
    video: Float32[np.ndarray, "t h w 3"],
    states: States,
    found: Found,
    scene: Float32[np.ndarray, "h w 3"],
    looks: Appearance,
) -> tuple[Bool[np.ndarray, "t h w"], Bool[np.ndarray, "t h w"], Float32[np.ndarray, " t"]]:
    """Actor, object and confidence in every frame."""
    roughness = roughness_of(scene)
    robot = common_colours(looks.actor, ACTOR_COLOUR_SHARE)
    moving = np.stack([foreground(frame, scene, roughness, robot) for frame in video])
    actor, object_ = np.zeros_like(moving), np.zeros_like(moving)
    sure = np.zeros(len(video), np.float32)
    for frames, place, state in (
        (range(found.left + 1), found.start, states.before),
        (range(found.landed, len(video)), found.goal, states.after),
    ):
        for t in frames:
            covered = distance(video[t], state) > FOREGROUND_COLOUR + 0.5 * roughness_of(state)
            covered &= place & ~is_shadow(video[t], state)
            covered = cv2.morphologyEx(covered.astype(np.uint8), cv2.MORPH_OPEN, np.ones((2, 2), np.uint8)) > 0
            object_[t] = place & ~covered
            actor[t] = (moving[t] & ~place) | covered
            sure[t] = object_[t].sum() / place.sum()
    between = range(found.left + 1, found.landed)
    area = (found.start.sum() + found.goal.sum()) / 2
    size = float(np.sqrt(area))
    options = [candidates(video[t], moving[t], looks, area) for t in between]
    centres = [np.array(np.where(mask))[::-1].mean(1) for mask in (found.start, found.goal)]
    for t, choice in zip(between, best_path(options, centres[0], centres[1], size), strict=True):
        if choice is not None:
            object_[t] = object_part(video[t], moving[t], choice, looks, size)
            sure[t] = np.exp(-choice.cost)
        actor[t] = moving[t] & ~object_[t]
    least = max(8, round(0.0008 * scene.shape[0] * scene.shape[1]))
    actor = np.stack([clean_actor(mask, least) for mask in actor]) & ~object_
    certainty = np.clip(found.score / 0.4, 0, 1)
    return actor, object_, (certainty * (0.3 + 0.7 * sure)).astype(np.float32)


def clean_actor(mask: Bool[np.ndarray, "h w"], least_px: int) -> Bool[np.ndarray, "h w"]:
    """Without specks, and small holes closed."""
    tidy = cv2.morphologyEx(mask.astype(np.uint8), cv2.MORPH_CLOSE, np.ones((5, 5), np.uint8))
    _, labels, stats, _ = cv2.connectedComponentsWithStats(tidy, connectivity=8)
    keep = stats[:, cv2.CC_STAT_AREA] >= least_px
    keep[0] = False
    return keep[labels]
