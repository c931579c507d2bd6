"""Whether there is one whole object, where it was asked to be, and nothing where it was."""

import torch
from jaxtyping import Bool
from torch import Tensor

from m2iv_robot.masks import area, centroid, largest_component
from m2iv_robot.metrics.control import doubled_share, ghost_strength, left_behind_share, placement_error_widths
from m2iv_robot.quality.config import QualityConfig
from m2iv_robot.quality.evidence import Case, clear_rows, rows_after, rows_before, rows_held
from m2iv_robot.quality.verdict import at_least, at_most
from m2iv_robot.segmentation.parts import lab_of
from m2iv_robot.segmentation.states import is_shadow
from m2iv_robot.types import CheckResult

SEEN_SHARE = 0.3  # of the asked area, from which a resting object is seen
LEAST_USUAL = 0.3  # share of the source's carry that must show the object for a candidate's to be asked for it
CONTRAST = 0.02  # mean squared colour difference between object and plate from which a ghost can be told
VACATED_SHARE = 0.15  # of the object's area that must be vacated for a ghost to be looked for


def start_error(case: Case, config: QualityConfig) -> CheckResult:
    """How far from its asked place the object is before it is touched, in its widths."""
    rows = clear_rows(case, rows_before(case), case.candidate.placement.start)
    value = rest_error(case, rows or rows_before(case)[:1] or [0], case.candidate.placement.start)
    return at_most("start_error", value, config.max_start_error_widths)


def goal_error(case: Case, config: QualityConfig) -> CheckResult:
    """How far from its asked place the object is at the end, in its widths."""
    after = rows_after(case, config)
    rows = clear_rows(case, after, case.candidate.placement.goal)
    return at_most(
        "goal_error", rest_error(case, rows or after[-1:], case.candidate.placement.goal), config.max_goal_error_widths
    )


def rest_error(case: Case, rows: list[int], asked: Bool[Tensor, "h w"]) -> float:
    """Median over the rows of the distance between seen and asked place, in widths; infinite where it is not seen."""
    seen = case.thing[rows]
    errors = placement_error_widths(seen, asked.expand(len(rows), *asked.shape))
    return float(errors.sort().values[(len(rows) - 1) // 2])


def object_seen(case: Case, config: QualityConfig) -> CheckResult | None:
    """Share of the frames at rest in which the object is seen where the actor leaves its place free."""
    shown = [
        float(int(area(case.seen.object[row])) >= SEEN_SHARE * whole) for row, whole, _ in resting_rows(case, config)
    ]
    if not shown:
        return None
    return at_least("object_seen", sum(shown) / len(shown), config.min_object_seen)


def held_seen(case: Case, config: QualityConfig) -> CheckResult | None:
    """How often the object is seen while it is carried, against the source; None where the source hides it."""
    context, held = case.context, rows_held(case)
    frames = [frame for phase in context.phases for frame in range(phase.grasp, phase.release)]
    if not held or not frames:
        return None
    usual = float(context.masks.object[frames].flatten(1).any(1).float().mean())
    if usual < LEAST_USUAL:
        return None
    own = float(case.seen.object[held].flatten(1).any(1).float().mean())
    return at_least("held_seen", own / usual, config.min_held_seen)


def object_size(case: Case, config: QualityConfig) -> CheckResult | None:
    """How many times larger or smaller than asked the object is at rest, median."""
    ratios = []
    for row, whole, hidden in resting_rows(case, config):
        seen = max(int(area(case.seen.object[row])), 1)
        ratios.append(max(seen / whole, (whole - hidden) / seen))
    if not ratios:
        return None
    return at_most("object_size", float(torch.tensor(ratios).median()), config.max_object_size_ratio)


def object_torn(case: Case, config: QualityConfig) -> CheckResult | None:
    """Share of the object's pixels that are not in its largest part, at rest and free, median."""
    shares = []
    for row, _whole, hidden in resting_rows(case, config):
        mask = case.seen.object[row]
        if hidden == 0 and bool(mask.any()):
            shares.append(1 - float(area(largest_component(mask)) / area(mask)))
    if not shares:
        return None
    return at_most("object_torn", float(torch.tensor(shares).median()), config.max_object_torn)


def object_doubled(case: Case, config: QualityConfig) -> CheckResult:
    """Share of the frames that show two objects."""
    value = float(doubled_share(case.seen.object[None], case.candidate.placement.goal[None])[0])
    return at_most("object_doubled", value, config.max_object_doubled)


def left_behind(case: Case, config: QualityConfig) -> CheckResult | None:
    """How much of the object still shows where it started, and where the source's lay: masks or colours, the worse."""
    last = rows_after(case, config)[-1]
    placement = case.candidate.placement
    actor, final = case.seen.actor[last], case.seen.object[last]
    values = []
    for place, picture in vacated_places(case):
        vacated = place & ~placement.goal & ~final & ~actor & case.context.plate.known
        if int(area(vacated)) < VACATED_SHARE * int(area(place)):
            continue
        values.append(float(left_behind_share(final[None], place[None], placement.goal[None], actor[None])[0]))
        values += _ghost(case, case.images[last], picture, vacated, config.max_left_behind)
    if not values:
        return None
    return at_most("left_behind", max(values), config.max_left_behind)


def vacated_places(case: Case) -> list[tuple[Bool[Tensor, "h w"], Tensor]]:
    """Places that must be empty at the end, each with a picture that shows the object there."""
    context, placement = case.context, case.candidate.placement
    places = [(placement.start, case.images[0])]
    for frame in (0, -1):
        there = context.masks.object[frame]
        if bool(there.any()) and not bool((there & (placement.start | placement.goal)).any()):
            places.append((there, context.episode.frames[frame]))
    return places


def _ghost(case: Case, final: Tensor, picture: Tensor, vacated: Bool[Tensor, "h w"], limit: float) -> list[float]:
    """Strength of the ghost in the colours; nothing where object and plate look alike.

    A shadow of the plate is no ghost where one at the limit would not look like a shadow.
    """
    plate = case.context.plate.image.float() / 255
    last, shown = final.float() / 255, picture.float() / 255
    contrast = float((shown - plate).square().mean(0)[vacated].mean())
    if contrast < CONTRAST:
        return []
    faint = ((1 - limit) * plate + limit * shown).mul(255).to(torch.uint8)
    scene = lab_of(case.context.plate.image)
    shaded = torch.from_numpy(is_shadow(lab_of(final), scene) & ~is_shadow(lab_of(faint), scene))
    last = torch.where(shaded, plate, last)
    return [float(ghost_strength(last[None], shown[None], plate[None], vacated[None])[0])]


def object_drift(case: Case, config: QualityConfig) -> CheckResult | None:
    """How far the object moves while nothing holds it, in widths: 90th percentile around the median place."""
    worst = []
    for rows, place in _rests(case, config):
        seen = [row for row in clear_rows(case, rows, place) if bool(case.thing[row].any())]
        seen = [row for row in seen if not bool((place & case.seen.actor[row]).any())]
        if len(seen) >= 3:
            centres = centroid(case.thing[seen])
            away = (centres - centres.median(0).values).norm(dim=-1)
            worst.append(float(away.quantile(0.9)) / case.width_px)
    if not worst:
        return None
    return at_most("object_drift", max(worst), config.max_object_drift_widths)


def resting_rows(case: Case, config: QualityConfig) -> list[tuple[int, int, int]]:
    """Rows in which the object rests in the open: row, pixels asked for, pixels of them that the actor hides."""
    found = []
    for rows, place in _rests(case, config):
        whole = max(int(area(place)), 1)
        found += [(row, whole, int(area(place & case.seen.actor[row]))) for row in clear_rows(case, rows, place)]
    return found


def _rests(case: Case, config: QualityConfig) -> list[tuple[list[int], Bool[Tensor, "h w"]]]:
    placement = case.candidate.placement
    return [(rows_before(case), placement.start), (rows_after(case, config), placement.goal)]
