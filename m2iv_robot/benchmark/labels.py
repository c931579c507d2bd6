"""The label ceiling: how often planned actions work on the real thing, before any generator exists.

A few simulated SO-101 episodes, whose object starts in one half of the table, are recorded as a dataset. From its
logged data and pixels alone new starts over the whole table are planned. Each plan's actions are then replayed open
loop in the simulator with the object where the plan's picture shows it.
"""

import re
import tempfile
from collections import Counter
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from jaxtyping import Float

from m2iv_robot.annotate import AnnotationTask, annotate_dataset
from m2iv_robot.camera import Camera, CameraFit
from m2iv_robot.config import preset
from m2iv_robot.data.lerobot_io import DatasetConfig, open_dataset, read_labels
from m2iv_robot.data.mask_store import MaskStore
from m2iv_robot.data.simulation import SimulationConfig, Truth, load_truth, record_all, replay
from m2iv_robot.errors import ConfigError
from m2iv_robot.plan import Plan, PlanConfig, PlanReport, PlanTask, plan_dataset, write_drawings, write_plan_page
from m2iv_robot.plan.dataset import kinematics_of
from m2iv_robot.segmentation import load_segmenter, parse_segmentation

CAMERA = "observation.images.front"
BOUNDARY_Y_M = 0.0  # objects start at y below it; the other half is never seen


@dataclass(frozen=True)
class LabelsBenchmarkConfig:
    """configs/benchmark/labels.yaml: how many episodes and plans, and which parts are replaced by the truth."""

    labs: int = 1  # each with its own table, light, camera and object
    episodes: int = 10  # recorded in each lab
    plans: int = 100  # made in each lab
    shape: str = ""  # of the object; "" lets the lab choose
    fps: int = 10
    segmentation: str = "learned"
    true_masks: bool = False  # the simulator's masks and plate instead of the segmenter's
    true_camera: bool = False  # the simulator's camera, and where the object truly lies in the gripper
    folder: str = ""  # for recordings, masks and drawings; empty: a temporary one
    seed: int = 0

    def __post_init__(self) -> None:
        if min(self.labs, self.episodes, self.plans, self.fps) < 1:
            raise ConfigError("benchmark.labels: labs, episodes, plans and fps must be at least 1")


def run(config: LabelsBenchmarkConfig) -> dict:
    """Success of replayed plans, over seen and unseen halves; refusals; worst cases."""
    if config.folder:
        return _run_in(config, Path(config.folder))
    with tempfile.TemporaryDirectory() as folder:
        return _run_in(config, Path(folder))


def _run_in(config: LabelsBenchmarkConfig, folder: Path) -> dict:
    labs = [lab_result(config, folder, config.seed + lab) for lab in range(config.labs)]
    rows = [row for lab in labs for row in lab["rows"]]
    figures = {
        "plans": len(rows),
        "success_percent": share(rows),
        "success_seen_half_percent": share([row for row in rows if not row["unseen"]]),
        "success_unseen_half_percent": share([row for row in rows if row["unseen"]]),
        "plans_unseen_half": sum(row["unseen"] for row in rows),
        "refused_places": sum(lab["refused"] for lab in labs),
        "episodes_not_planned_from": sum(len(lab["failures"]) for lab in labs),
        "place_error_median_cm": float(np.median([row["place_error_cm"] for row in rows])) if rows else None,
        "place_error_p95_cm": float(np.percentile([row["place_error_cm"] for row in rows], 95)) if rows else None,
    }
    figures["labs"] = [{key: value for key, value in lab.items() if key not in ("rows", "reasons")} for lab in labs]
    reasons = sum((lab["reasons"] for lab in labs), Counter())
    figures["refused_because"] = [{"why": why, "places": count} for why, count in reasons.most_common()]
    figures["failed"] = sorted((row for row in rows if not row["success"]), key=lambda row: -row["place_error_cm"])
    return figures


def share(rows: list[dict]) -> float | None:
    """Percentage of rows that succeeded."""
    return 100.0 * sum(row["success"] for row in rows) / len(rows) if rows else None


def lab_result(config: LabelsBenchmarkConfig, folder: Path, lab: int) -> dict:
    """Record, annotate, plan and replay in one lab."""
    root = folder / f"lab_{lab:02d}"
    settings = replace(
        preset(SimulationConfig, "simulation", "so101"), scene_seed=lab, fps=config.fps, wrist_width=0,
        shape=config.shape, start_y_max=BOUNDARY_Y_M,
    )  # fmt: skip
    record_all(settings, root, config.episodes, 1000 * lab)
    truths = [load_truth(root, index) for index in range(config.episodes)]
    task = plan_task(config, root, truths)
    report = plan_dataset(task)
    if config.folder:
        write_plan_page(root.parent / f"{root.name}_plans.html", task, report)
        (root.parent / f"{root.name}_plans").mkdir(exist_ok=True)
        write_drawings(root.parent / f"{root.name}_plans", report, "start")
    rows = [replay_row(plan, truths[plan.source_episode], lab) for plan in report.plans]
    return {
        "lab": lab,
        "plans": len(rows),
        "success_percent": share(rows),
        "refused": len(report.refusals),
        "failures": [f"episode {index}: {error}" for index, error in report.failures],
        "starts": f"y {min(t.start_xy[1] for t in truths):.2f} to {max(t.start_xy[1] for t in truths):.2f} m",
        "reasons": reasons_of(report),
        "rows": rows,
    }


def plan_task(config: LabelsBenchmarkConfig, root: Path, truths: list[Truth]) -> PlanTask:
    """The planning run, after masks were made (or the true ones stored)."""
    store = MaskStore(root.parent / f"{root.name}_masks_{'true' if config.true_masks else config.segmentation}")
    dataset = open_dataset(DatasetConfig(root=str(root)))
    if config.true_masks:
        for index, truth in enumerate(truths):
            store.save(dataset.name, index, CAMERA, truth.masks, {"plate": "pose_00"})
        store.save_plate(dataset.name, CAMERA, "pose_00", truths[0].plate)
    else:
        segmenter = load_segmenter(parse_segmentation({"name": config.segmentation}))
        annotate_dataset(AnnotationTask(dataset, CAMERA, segmenter, store, settings=config.segmentation))
    task = PlanTask(dataset, CAMERA, store, config=PlanConfig(count=config.plans, seed=config.seed))
    return replace(task, known_camera=true_fit(task, truths)) if config.true_camera else task


def true_fit(task: PlanTask, truths: list[Truth]) -> CameraFit:
    """The simulator's camera, and the object's mean place in the gripper, as a fit."""
    kinematics = kinematics_of(task)
    offsets = []
    for truth in truths:
        held = slice(truth.grasp_frame, truth.release_frame)
        poses = kinematics.forward(read_labels(task.dataset, len(offsets)).state)[held]
        away = truth.object_positions_m[held] - poses[:, :3, 3]
        offsets.append(np.median(np.einsum("nji,nj->ni", poses[:, :3, :3], away), axis=0))
    offset = np.mean(offsets, axis=0)
    nothing = np.zeros((0, 2))
    return CameraFit(true_camera(truths[0]), offset, np.zeros(3), {}, nothing, np.zeros(0, bool), np.zeros((10, 10)))


def true_camera(truth: Truth) -> Camera:
    """The simulator's own camera."""
    height, width = truth.plate.known.shape
    pose = truth.world_to_camera
    return Camera(float(truth.intrinsics[0, 0]), width, height, pose[:3, :3], pose[:3, 3])


def asked_start(plan: Plan, truth: Truth) -> Float[np.ndarray, " 2"]:
    """Where on the table the object truly is when it appears where the plan shows it: the source's, moved in pixels."""
    camera, source = true_camera(truth), truth.object_positions_m[:1]
    pixel = camera.project(source) + np.asarray(plan.placement.shift_px)
    return camera.unproject(pixel, float(source[0, 2]))[0, :2]


def replay_row(plan: Plan, truth: Truth, lab: int) -> dict:
    """Replay one plan with the object at the start that it asks for."""
    start = asked_start(plan, truth)
    planned = np.asarray(truth.start_xy) + np.asarray(plan.placement.shift_m)
    if plan.placement.motion_m is not None:
        planned = (plan.placement.motion_m @ [*truth.start_xy, 0.0, 1.0])[:2]
    actions = plan.motion.action.double().numpy()
    yaw = truth.start_yaw_rad + plan.placement.turn_rad
    result = replay(truth.config, truth.seed, (float(start[0]), float(start[1])), actions, yaw)
    return {
        "lab": lab,
        "episode": truth.seed - 1000 * lab,
        "start": f"({start[0]:.3f}, {start[1]:.3f})",
        "source_start": f"({truth.start_xy[0]:.3f}, {truth.start_xy[1]:.3f})",
        "unseen": bool(start[1] > BOUNDARY_Y_M),
        "success": bool(result.success),
        "place_error_cm": float(100 * np.linalg.norm(start - planned)),
        "goal_miss_cm": float(100 * result.final_distance_m),
        "lift_cm": float(100 * result.lift_m),
        "frames": int(plan.motion.state.shape[0]),
    }


def reasons_of(report: PlanReport) -> Counter:
    """Refusals by what kind they are."""
    return Counter(re.split(r" m: ", entry.reason, maxsplit=1)[-1].split(":")[0] for entry in report.refusals)
