"""The placements drawn on the plate, and the page that shows them with what was refused and why."""

from collections import Counter
from pathlib import Path

import cv2
import numpy as np
import torch
from jaxtyping import UInt8
from torch import Tensor

from m2iv_robot.errors import WriteError
from m2iv_robot.plan.records import Plan, PlannedScene, PlanReport, PlanTask
from m2iv_robot.report import Image, Images, KeyValues, Section, Table, draw_path, write_page
from m2iv_robot.report.pictures import enlarge

ZOOM = 3
REAL_RGB, NEW_RGB, REFUSED_RGB, SUPPORT_RGB = (255, 220, 0), (0, 200, 80), (230, 40, 40), (90, 150, 255)
GRIPPER_RGB, OBJECT_RGB = (0, 160, 255), (255, 120, 0)
LEGEND = (
    ("support within the frame", SUPPORT_RGB),
    ("real places", REAL_RGB),
    ("new places", NEW_RGB),
    ("refused", REFUSED_RGB),
)
PATHS_SHOWN = 12


def draw_scene(scene: PlannedScene, report: PlanReport, kind: str) -> UInt8[Tensor, "3 hz wz"]:
    """The plate, enlarged, with the support's outline, real places, new places as outlines, and refused ones."""
    canvas = _canvas(scene)
    _contours(canvas, scene.support, SUPPORT_RGB)
    for plan in report.plans:
        if plan.source_episode in scene.episodes:
            _contours(canvas, plan.placement.start if kind == "start" else plan.placement.goal, NEW_RGB)
    for entry in report.refusals:
        if entry.source_episode in scene.episodes:
            _cross(canvas, entry.place_px)
    for place in scene.real:
        cv2.circle(canvas, _at(place.xy_px), 4, REAL_RGB, -1, cv2.LINE_AA)
    return torch.from_numpy(canvas).permute(2, 0, 1).contiguous()


def draw_plan(scene: PlannedScene, plan: Plan) -> UInt8[Tensor, "3 hz wz"]:
    """One plan on the plate: start and goal, and the ways of gripper and object."""
    canvas = _canvas(scene)
    _contours(canvas, plan.placement.start, NEW_RGB if plan.placement.kind == "start" else REAL_RGB)
    _contours(canvas, plan.placement.goal, NEW_RGB if plan.placement.kind == "goal" else REAL_RGB)
    image = torch.from_numpy(canvas).permute(2, 0, 1).contiguous()
    if plan.motion is not None and plan.motion.gripper_path_px is not None:
        image = draw_path(image, _zoomed(plan.motion.gripper_path_px), GRIPPER_RGB)
        image = draw_path(image, _zoomed(plan.motion.object_path_px), OBJECT_RGB)
    return image


def _canvas(scene: PlannedScene) -> np.ndarray:
    return enlarge(scene.plate.image[None], ZOOM)[0].permute(1, 2, 0).contiguous().numpy().copy()


def _zoomed(path: Tensor) -> Tensor:
    finite = torch.nan_to_num(path, nan=0.0).clamp(-1000, 5000)
    return (finite + 0.5) * ZOOM - 0.5


def _at(xy_px: tuple[float, float]) -> tuple[int, int]:
    return round((xy_px[0] + 0.5) * ZOOM - 0.5), round((xy_px[1] + 0.5) * ZOOM - 0.5)


def _contours(canvas: np.ndarray, mask: Tensor, rgb: tuple[int, int, int]) -> None:
    large = cv2.resize(mask.numpy().astype(np.uint8), canvas.shape[1::-1], interpolation=cv2.INTER_NEAREST)
    found, _ = cv2.findContours(large, cv2.RETR_LIST, cv2.CHAIN_APPROX_NONE)
    cv2.drawContours(canvas, found, -1, rgb, 1, cv2.LINE_AA)


def _cross(canvas: np.ndarray, xy_px: tuple[float, float]) -> None:
    cv2.drawMarker(canvas, _at(xy_px), REFUSED_RGB, cv2.MARKER_TILTED_CROSS, 9, 1, cv2.LINE_AA)


def write_plan_page(path: Path, task: PlanTask, report: PlanReport) -> Path:
    """Write the page: how many, where, which ways, what was refused and why, which episodes failed.

    Raises:
        WriteError: it cannot be written there.
    """
    kind = task.placement.kind
    sections: list[Section] = [_summary(task, report)]
    if report.failures:
        rows = tuple((str(index), type(error).__name__, str(error)) for index, error in report.failures)
        sections.append(Table("Episodes that cannot be planned from", ("episode", "kind", "what to do"), rows))
    images = [
        Image(draw_scene(scene, report, kind), scene.name, detail=_scene_detail(scene)) for scene in report.scenes
    ]
    sections.append(Images("New places on the plate", tuple(images), 620, LEGEND))
    shown = []
    for scene in report.scenes:
        members = [plan for plan in report.plans if plan.source_episode in scene.episodes][:PATHS_SHOWN]
        shown += [
            Image(draw_plan(scene, plan), f"from episode {plan.source_episode}", detail=_detail(plan))
            for plan in members
        ]
    legend = (("gripper's way", GRIPPER_RGB), ("object's way", OBJECT_RGB), ("new", NEW_RGB), ("real", REAL_RGB))
    sections.append(Images("Planned ways", tuple(shown), 400, legend))
    if report.refusals:
        sections.append(_refusals(report))
    return write_page(path, f"Plans for {task.dataset.name}", sections, f"{task.camera}, {len(report.plans)} plans")


def _summary(task: PlanTask, report: PlanReport) -> KeyValues:
    distances = [plan.placement.nearest_real_m for plan in report.plans if plan.placement.nearest_real_m is not None]
    unit, factor = ("cm", 100.0) if distances else ("px", 1.0)
    distances = distances or [plan.placement.nearest_real_px for plan in report.plans]
    far = (
        f"{factor * np.median(distances):.1f} {unit}, at most {factor * max(distances):.1f} {unit}" if distances else ""
    )
    rows = [
        ("plans", str(len(report.plans))),
        ("refused places", str(len(report.refusals))),
        ("episodes that failed", str(len(report.failures))),
        ("distance from the nearest real one, median", far),
        *(("note", note) for note in report.notes),
    ]
    return KeyValues("Summary", tuple(rows), f"moved: the object's {task.placement.kind}")


def _scene_detail(scene: PlannedScene) -> str:
    fitted = "no camera" if scene.camera is None else f"camera residual {scene.camera.median_residual_px:.1f} px"
    return (
        f"episodes {', '.join(map(str, scene.episodes))}; {fitted}; support {float(scene.support.float().mean()):.0%}"
    )


def _detail(plan: Plan) -> str:
    if plan.motion is None:
        return "no motion"
    frames, kept = plan.motion.state.shape[0], int(plan.motion.verbatim.sum())
    return f"{frames} frames, {kept} of them the source's own"


def _refusals(report: PlanReport) -> Table:
    """One row per reason, most frequent first, then the places."""
    reasons = Counter(_short(entry.reason) for entry in report.refusals)
    rows = []
    for reason, count in reasons.most_common():
        first = next(entry for entry in report.refusals if _short(entry.reason) == reason)
        rows.append((str(count), reason, first.reason))
    return Table("Refused before any pixel is made", ("places", "why", "for instance"), tuple(rows))


def _short(reason: str) -> str:
    """The kind of a refusal: what its message says between the place and the details."""
    return reason.split(" m: ", 1)[-1].split(":", 1)[0]


def write_drawings(root: Path, report: PlanReport, kind: str) -> tuple[Path, ...]:
    """One PNG per camera pose.

    Raises:
        WriteError: the folder cannot be written.
    """
    paths = []
    for scene in report.scenes:
        path = Path(root) / f"{scene.name}.png"
        pixels = draw_scene(scene, report, kind).permute(1, 2, 0).numpy()
        if not cv2.imwrite(str(path), np.ascontiguousarray(pixels[..., ::-1])):
            raise WriteError(f"{path}: the drawing cannot be written; give a writable folder")
        paths.append(path)
    return tuple(paths)
