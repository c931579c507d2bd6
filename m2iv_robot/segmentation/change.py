"""Which thing was moved: the place it left and the place it came to, among all places that turned."""

from dataclasses import dataclass

import cv2
import numpy as np
from jaxtyping import Bool, Float, Float32, Shaped
from scipy import ndimage

from m2iv_robot.segmentation.states import States, distance, is_shadow
from m2iv_robot.types import EpisodePhases

HISTOGRAM_EDGES = (np.linspace(0, 100, 9), np.linspace(-85, 85, 18), np.linspace(-85, 85, 18))
MAX_COLOUR_SEEDS = 8  # places whose colours are looked for elsewhere
WHOLE_SHARE = 0.75  # of the best score that a move of a larger thing around it needs
COLOURS_PER_PLACE = 3  # that a place of several touching things is cut into
EDGE_GROWTH_PX = 3  # an object may reach so far beyond the pixels that clearly turned


@dataclass(frozen=True)
class Place:
    """A connected part of the picture that turned once."""

    region: Bool[np.ndarray, "h w"]
    area_px: int
    centre_px: Float[np.ndarray, " 2"]
    last_before: float  # median over its pixels
    first_after: float
    foreign_before: float  # in [0, 1]: share of strangeness to the surroundings that the state before has
    colours_before: Float32[np.ndarray, "l a b"]
    colours_after: Float32[np.ndarray, "l a b"]
    actor_before: float  # share of pixels in the actor's colours
    actor_after: float
    shaded: float  # share of pixels that only became darker or lighter


@dataclass(frozen=True)
class Move:
    """A thing that went from one place to another."""

    start: Place
    goal: Place
    score: float


def find_places(
    states: States, among: Bool[np.ndarray, "h w"], actor_colours: Bool[np.ndarray, "l a b"], min_area_px: int
) -> list[Place]:
    """The connected parts of the changed pixels `among` those given, each closed.

    A place may be joined to the robot's, where it stood still, to a shadow, or to something that the object pushed
    aside: parts are found once more without the actor's colours, without mere changes of lightness, and once more
    for each place with only the colours of that place.
    """
    like_before, like_after = lookup(actor_colours, states.before), lookup(actor_colours, states.after)
    turned = states.changed & among
    shaded = is_shadow(states.before, states.after) | is_shadow(states.after, states.before)
    places: list[Place] = []

    def add(mask: Bool[np.ndarray, "h w"]) -> None:
        for region in parts(mask, min_area_px):
            if not any(same_region(region, place.region) for place in places):
                places.append(describe(states, region, (like_before, like_after), shaded))

    for mask in (turned, turned & ~shaded, turned & ~shaded & ~like_before, turned & ~shaded & ~like_after):
        add(mask)
    for place in sorted(places, key=lambda place: -place.area_px)[:MAX_COLOUR_SEEDS]:
        for state in (states.before, states.after):
            for mask in colour_parts(state, place.region & turned):
                add(mask)
    for place in sorted(places, key=lambda place: -place.area_px)[: 2 * MAX_COLOUR_SEEDS]:
        left, came = common_colours(place.colours_before, 0.9), common_colours(place.colours_after, 0.9)
        add(turned & lookup(left, states.after) & ~lookup(left, states.before))
        add(turned & lookup(came, states.before) & ~lookup(came, states.after))
    return places


def same_region(first: Bool[np.ndarray, "h w"], second: Bool[np.ndarray, "h w"]) -> bool:
    """Whether two regions are nine tenths the same."""
    sizes = np.count_nonzero(first), np.count_nonzero(second)
    if min(sizes) < 0.9 * max(sizes):
        return False
    shared = np.count_nonzero(first & second)
    return shared > 0.9 * (sum(sizes) - shared)


def colour_parts(state: Float32[np.ndarray, "h w 3"], region: Bool[np.ndarray, "h w"]) -> list[Bool[np.ndarray, "h w"]]:
    """A region cut into its main colours (k-means): things of different colour that touch each other."""
    colours = state[region]
    if len(colours) < 3 * COLOURS_PER_PLACE:
        return []
    criteria = (cv2.TERM_CRITERIA_EPS | cv2.TERM_CRITERIA_MAX_ITER, 10, 1.0)
    cv2.setRNGSeed(0)
    _, labels, _ = cv2.kmeans(colours, COLOURS_PER_PLACE, None, criteria, 1, cv2.KMEANS_PP_CENTERS)
    masks = []
    for label in range(COLOURS_PER_PLACE):
        mask = np.zeros_like(region)
        mask[region] = labels[:, 0] == label
        masks.append(mask)
    return masks


def parts(mask: Bool[np.ndarray, "h w"], min_area_px: int) -> list[Bool[np.ndarray, "h w"]]:
    """Connected parts after closing, at least `min_area_px` large."""
    tidy = cv2.morphologyEx(mask.astype(np.uint8), cv2.MORPH_OPEN, np.ones((2, 2), np.uint8))
    tidy = cv2.morphologyEx(tidy, cv2.MORPH_CLOSE, np.ones((3, 3), np.uint8))
    _, labels, stats, _ = cv2.connectedComponentsWithStats(tidy, connectivity=8)
    return [labels == label for label in range(1, len(stats)) if stats[label, cv2.CC_STAT_AREA] >= min_area_px]


def describe(
    states: States,
    region: Bool[np.ndarray, "h w"],
    actor_like: tuple[Bool[np.ndarray, "h w"], Bool[np.ndarray, "h w"]],
    shaded: Bool[np.ndarray, "h w"],
) -> Place:
    """What can be said of a region that turned."""
    before, after = strangeness(states.before, region), strangeness(states.after, region)
    seen = region & states.changed
    rows, columns = np.where(region)
    return Place(
        region=region,
        area_px=len(rows),
        centre_px=np.array([columns.mean(), rows.mean()]),
        last_before=float(np.median(states.last_before[seen])),
        first_after=float(np.median(states.first_after[seen])),
        foreign_before=before / (before + after + 1e-6),
        colours_before=histogram(states.before[seen]),
        colours_after=histogram(states.after[seen]),
        actor_before=float(actor_like[0][seen].mean()),
        actor_after=float(actor_like[1][seen].mean()),
        shaded=float(shaded[seen].mean()),
    )


def strangeness(image: Float32[np.ndarray, "h w 3"], region: Bool[np.ndarray, "h w"]) -> float:
    """How unlike its surroundings, continued into it, a region looks: mean Lab distance."""
    rows, columns = np.where(region)
    pad = 12
    window = np.s_[max(rows.min() - pad, 0) : rows.max() + pad, max(columns.min() - pad, 0) : columns.max() + pad]
    crop, hole = as_bytes(image[window]), region[window]
    around = cv2.dilate(hole.astype(np.uint8), np.ones((3, 3), np.uint8))
    continued = cv2.inpaint(crop, around, 3, cv2.INPAINT_TELEA)
    return float(distance(from_bytes(crop), from_bytes(continued))[hole].mean())


def as_bytes(lab: Float32[np.ndarray, "*b 3"]) -> np.ndarray:
    """Lab as three uint8 channels, for OpenCV functions that want an image."""
    return np.clip(lab * (2.55, 1, 1) + (0, 128, 128), 0, 255).astype(np.uint8)


def from_bytes(image: np.ndarray) -> Float32[np.ndarray, "*b 3"]:
    """Inverse of `as_bytes` up to rounding."""
    return ((image.astype(np.float32) - (0, 128, 128)) / (2.55, 1, 1)).astype(np.float32)


def histogram(colours: Float32[np.ndarray, "n 3"]) -> Float32[np.ndarray, "l a b"]:
    """Smoothed, normalised counts of Lab colours."""
    shape = tuple(len(edges) - 1 for edges in HISTOGRAM_EDGES)
    flat = np.ravel_multi_index(bins(colours), shape)
    counts = np.bincount(flat, minlength=int(np.prod(shape))).reshape(shape).astype(np.float32)
    for axis in range(3):
        counts = ndimage.convolve1d(counts, np.array([0.25, 0.5, 0.25], np.float32), axis=axis, mode="nearest")
    return counts / max(float(counts.sum()), 1e-6)


def bins(colours: Float32[np.ndarray, "*n 3"]) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """The histogram cell of each colour."""
    cells = []
    for axis, edges in enumerate(HISTOGRAM_EDGES):
        cell = ((colours[..., axis] - edges[0]) / (edges[1] - edges[0])).astype(np.int64)
        cells.append(np.clip(cell, 0, len(edges) - 2))
    return tuple(cells)


def overlap(first: Float32[np.ndarray, "l a b"], second: Float32[np.ndarray, "l a b"]) -> float:
    """Shared mass of two histograms: 1 the same colours, 0 none in common."""
    return float(np.minimum(first, second).sum())


def common_colours(table: Float32[np.ndarray, "l a b"], share: float) -> Bool[np.ndarray, "l a b"]:
    """The most frequent colours that together make up `share` of a histogram."""
    order = np.argsort(-table, axis=None)
    running = np.cumsum(table.ravel()[order])
    chosen = np.zeros(table.size, bool)
    chosen[order[: int((running < share * running[-1]).sum()) + 1]] = True
    return chosen.reshape(table.shape)


def lookup(table: Shaped[np.ndarray, "l a b"], colours: Float32[np.ndarray, "*n 3"]) -> Shaped[np.ndarray, " *n"]:
    """The histogram's value at each colour."""
    return table[bins(colours)]


def best_moves(starts: list[Place], goals: list[Place], held: EpisodePhases | None, slack: float) -> list[Move]:
    """Pairs of places that one thing may have left and come to, best first; `slack` in frames.

    A thing looks foreign in its start place before and in its goal place after, has the same colours and about the
    same size in both, does not look like the actor, and leaves before it arrives.
    """
    moves = []
    for start in starts:
        for goal in goals:
            if start.region is goal.region or start.last_before > goal.first_after:
                continue
            score = pair_score(start, goal, held, slack)
            if score > 0:
                moves.append(Move(start, goal, score))
    return whole_first(sorted(moves, key=lambda move: -move.score))


def whole_first(moves: list[Move]) -> list[Move]:
    """The same moves, but first the largest that contains the best one and is nearly as good: not a part of a thing."""
    if not moves:
        return moves
    best = moves[0]

    def holds(move: Move) -> bool:
        pairs = ((move.start.region, best.start.region), (move.goal.region, best.goal.region))
        no_shadow = max(move.start.shaded, move.goal.shaded) < max(best.start.shaded, best.goal.shaded) + 0.1
        return no_shadow and all((outer & inner).sum() > 0.85 * inner.sum() for outer, inner in pairs)

    near = [move for move in moves if move.score > WHOLE_SHARE * best.score and holds(move)]
    whole = max(near, key=lambda move: move.start.area_px + move.goal.area_px)
    return [whole, *(move for move in moves if move is not whole)]


def pair_score(start: Place, goal: Place, held: EpisodePhases | None, slack: float) -> float:
    """How well two places fit one moved thing, in [0, 1]."""
    colours = overlap(start.colours_before, goal.colours_after)
    ratio = min(start.area_px, goal.area_px) / max(start.area_px, goal.area_px)
    size = min(1.0, ratio / 0.45)
    foreign = is_there(start.foreign_before) * is_there(1 - goal.foreign_before)
    moved = np.linalg.norm(start.centre_px - goal.centre_px) / np.sqrt(max(start.area_px, goal.area_px))
    solid = 1 - 0.8 * max(start.shaded, goal.shaded)
    large = min(start.area_px, goal.area_px) / (min(start.area_px, goal.area_px) + 0.001 * start.region.size)
    other = 1 - 0.9 * max(start.actor_before, goal.actor_after)
    score = colours * size * foreign * (1 - np.exp(-2 * moved)) * other * large * solid
    if held is not None:
        score *= in_time(start, goal, held, slack)
    elif (goal.last_before + goal.first_after) - (start.last_before + start.first_after) < 2 * slack:
        score *= 0.5
    return float(score)


def is_there(foreign: float) -> float:
    """0 where a state looks like the scene continued, 1 where it looks like a thing in front of it."""
    return float(np.clip((foreign - 0.35) / 0.3, 0, 1))


def in_time(start: Place, goal: Place, held: EpisodePhases, slack: float) -> float:
    """1 where the start turned at the grasp and the goal at the release, 0 where both the other way round."""
    span = held.release - held.grasp + 2 * slack
    late = max(start.last_before - held.grasp - slack, 0) / span
    early = max(held.release - goal.first_after - slack, 0) / span
    return float((np.clip(1 - late, 0, 1) * np.clip(1 - early, 0, 1)) ** 2)


def outline(
    state: Float32[np.ndarray, "h w 3"],
    region: Bool[np.ndarray, "h w"],
    may_grow: Bool[np.ndarray, "h w"],
    shade: Bool[np.ndarray, "h w"] | None = None,
) -> Bool[np.ndarray, "h w"]:
    """The region drawn to the edges of what is there (GrabCut), within a few pixels of it or inside `may_grow`.

    It does not grow into its own `shade`.
    """
    kernel = np.ones((3, 3), np.uint8)
    inner = cv2.erode(region.astype(np.uint8), kernel) > 0
    band = cv2.dilate(region.astype(np.uint8), np.ones((2 * EDGE_GROWTH_PX + 1,) * 2, np.uint8)) > 0
    around = cv2.dilate((band | may_grow).astype(np.uint8), np.ones((25, 25), np.uint8)) > 0
    if not inner.any():
        return region
    plan = np.full(region.shape, cv2.GC_BGD, np.uint8)
    plan[band | may_grow] = cv2.GC_PR_BGD
    if shade is not None:
        plan[shade] = cv2.GC_BGD
    plan[region] = cv2.GC_PR_FGD
    plan[inner] = cv2.GC_FGD
    rows, columns = np.where(around)
    window = np.s_[rows.min() : rows.max() + 1, columns.min() : columns.max() + 1]
    crop, cut = np.ascontiguousarray(as_bytes(state[window])), np.ascontiguousarray(plan[window])
    if not (cut == cv2.GC_BGD).any():
        return region
    cv2.setRNGSeed(0)
    cv2.grabCut(crop, cut, None, np.zeros((1, 65)), np.zeros((1, 65)), 3, cv2.GC_INIT_WITH_MASK)
    drawn = np.zeros_like(region)
    drawn[window] = (cut == cv2.GC_FGD) | (cut == cv2.GC_PR_FGD)
    return keep_touching(drawn, inner)


def keep_touching(mask: Bool[np.ndarray, "h w"], seed: Bool[np.ndarray, "h w"]) -> Bool[np.ndarray, "h w"]:
    """The connected parts of a mask that hold a seed pixel, without holes."""
    _, labels = cv2.connectedComponents(mask.astype(np.uint8), connectivity=8)
    wanted = np.unique(labels[seed & mask])
    kept = np.isin(labels, wanted[wanted > 0]).astype(np.uint8)
    contours, _ = cv2.findContours(kept, cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_NONE)
    return cv2.drawContours(np.zeros_like(kept), contours, -1, 1, cv2.FILLED) > 0
