"""Splitting what differs from the plate into actor and object, and following the object while it is carried."""

from dataclasses import dataclass

import cv2
import numpy as np
from jaxtyping import Bool, Float, Float32

from m2iv_robot.segmentation.change import keep_touching, lookup
from m2iv_robot.segmentation.states import distance, is_shadow

FOREGROUND_COLOUR = 11.0  # Lab distance from the plate that is no noise
CANDIDATES_PER_FRAME = 5
HIDDEN_COST = 1.2  # of a frame in which the object is not seen
JUMP_COST = 0.8  # per own size moved between frames, beyond a free half


@dataclass(frozen=True)
class Appearance:
    """Colours of object and actor, as histograms."""

    object: Float32[np.ndarray, "l a b"]
    actor: Float32[np.ndarray, "l a b"]

    def object_share(self, colours: Float32[np.ndarray, "*n 3"]) -> Float32[np.ndarray, " *n"]:
        """How probably each colour is the object's rather than the actor's, in [0, 1]."""
        own, other = lookup(self.object, colours), lookup(self.actor, colours)
        return (own / (own + other + 1e-4)).astype(np.float32)


@dataclass(frozen=True)
class Candidate:
    """A part of a frame's foreground that may be the object."""

    mask: Bool[np.ndarray, "h w"]
    centre_px: Float[np.ndarray, " 2"]
    cost: float


def foreground(
    frame: Float32[np.ndarray, "h w 3"],
    scene: Float32[np.ndarray, "h w 3"],
    roughness: Float32[np.ndarray, "h w"],
    actor_colours: Bool[np.ndarray, "l a b"],
) -> Bool[np.ndarray, "h w"]:
    """Where a frame shows something in front of the scene; flicker at edges left out, and shadows.

    `roughness` is the scene's local contrast: there a slight shake of the camera or the codec changes much.
    A darker version of the scene in the actor's own colours is the actor.
    """
    differs = distance(frame, scene) > FOREGROUND_COLOUR + 0.5 * roughness
    solid = differs & ~(is_shadow(frame, scene) & ~lookup(actor_colours, frame))
    mask = cv2.morphologyEx(solid.astype(np.uint8), cv2.MORPH_OPEN, np.ones((2, 2), np.uint8))
    edges = (cv2.dilate(mask, np.ones((3, 3), np.uint8)) > 0) & differs  # blended with the scene: darker, no shadow
    mask = cv2.morphologyEx((edges | (mask > 0)).astype(np.uint8), cv2.MORPH_CLOSE, np.ones((3, 3), np.uint8))
    return mask > 0


def roughness_of(scene: Float32[np.ndarray, "h w 3"]) -> Float32[np.ndarray, "h w"]:
    """Local contrast of a scene: how much the colour changes within one pixel."""
    horizontal = cv2.Sobel(scene, cv2.CV_32F, 1, 0, ksize=3) / 8
    vertical = cv2.Sobel(scene, cv2.CV_32F, 0, 1, ksize=3) / 8
    return np.sqrt((horizontal**2 + vertical**2).sum(-1)).astype(np.float32)


def candidates(
    frame: Float32[np.ndarray, "h w 3"], moving: Bool[np.ndarray, "h w"], looks: Appearance, area_px: float
) -> list[Candidate]:
    """Parts of the moving pixels in the object's colours, cheapest first."""
    share = np.where(moving, looks.object_share(frame), 0)
    mask = cv2.morphologyEx((share > 0.5).astype(np.uint8), cv2.MORPH_CLOSE, np.ones((3, 3), np.uint8))
    _, labels, stats, centres = cv2.connectedComponentsWithStats(mask, connectivity=8)
    found = []
    for label in range(1, len(stats)):
        area = stats[label, cv2.CC_STAT_AREA]
        if area < max(0.08 * area_px, 6):
            continue
        region = labels == label
        size_cost = abs(np.log(min(area / area_px, 1.0))) * 0.5 + max(0.0, np.log(area / (1.5 * area_px))) * 2
        found.append(Candidate(region, centres[label], float(size_cost + 1 - share[region].mean())))
    return sorted(found, key=lambda candidate: candidate.cost)[:CANDIDATES_PER_FRAME]


def best_path(
    options: list[list[Candidate]], start_px: Float[np.ndarray, " 2"], goal_px: Float[np.ndarray, " 2"], size_px: float
) -> list[Candidate | None]:
    """One candidate per frame, or None where it is hidden: the cheapest way from start to goal (Viterbi)."""
    free, per_px = 0.5 * size_px, JUMP_COST / size_px
    previous = [(0.0, start_px, [])]
    for frame, found in enumerate(options):
        current = []
        for choice in [*found, None]:
            best = None
            for cost, place, path in previous:
                here = choice.centre_px if choice else place + (goal_px - place) / (len(options) - frame + 1)
                jump = max(0.0, float(np.linalg.norm(here - place)) - free) * per_px
                total = cost + (choice.cost if choice else HIDDEN_COST) + min(jump, 6.0)
                if best is None or total < best[0]:
                    best = (total, here, [*path, choice])
            current.append(best)
        previous = current
    final = [
        (cost + min(6.0, max(0.0, float(np.linalg.norm(goal_px - place)) - free) * per_px), path)
        for cost, place, path in previous
    ]
    return min(final, key=lambda entry: entry[0])[1]


def object_part(
    frame: Float32[np.ndarray, "h w 3"],
    moving: Bool[np.ndarray, "h w"],
    chosen: Candidate,
    looks: Appearance,
    size_px: float,
) -> Bool[np.ndarray, "h w"]:
    """The chosen candidate with what belongs to it nearby: same colours, within its own size."""
    near = np.zeros(moving.shape, np.uint8)
    centre = tuple(round(float(value)) for value in chosen.centre_px)
    cv2.circle(near, centre, max(3, round(0.8 * size_px)), 1, cv2.FILLED)
    share = cv2.GaussianBlur(np.where(moving, looks.object_share(frame), 0), (0, 0), 0.8)
    mask = ((share > 0.4) & ((near > 0) | chosen.mask)).astype(np.uint8)
    mask = cv2.morphologyEx(mask, cv2.MORPH_CLOSE, np.ones((5, 5), np.uint8))
    grown = cv2.dilate(chosen.mask.astype(np.uint8), np.ones((5, 5), np.uint8)) > 0
    return keep_touching(mask > 0, grown) & moving
