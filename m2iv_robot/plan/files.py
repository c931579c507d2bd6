"""Plans as files that other programs can read: one JSON line and one npz file per plan."""

import json
from pathlib import Path

import numpy as np
import torch

from m2iv_robot.errors import PlanError, WriteError
from m2iv_robot.plan.records import Plan, PlanReport
from m2iv_robot.types import Motion, Placement

INDEX_NAME = "plans.jsonl"
REFUSED_NAME = "refused.jsonl"


def write_plans(root: Path, report: PlanReport) -> Path:
    """Write all plans of a report below `root`; returns the index file. Plans of an earlier run are replaced.

    The index (one JSON object per line) names source episode, kind, shifts and distances; the npz beside it holds the
    masks of start and goal and the arrays of the motion.

    Raises:
        WriteError: the folder cannot be written.
    """
    root = Path(root)
    try:
        (root / "plans").mkdir(parents=True, exist_ok=True)
        for old in (root / "plans").glob("plan_*.npz"):
            old.unlink()
        lines = [_write_plan(root, number, plan) for number, plan in enumerate(report.plans)]
        refused = [json.dumps(entry.__dict__) for entry in report.refusals]
        (root / REFUSED_NAME).write_text("".join(line + "\n" for line in refused))
        (root / INDEX_NAME).write_text("".join(line + "\n" for line in lines))
    except OSError as error:
        raise WriteError(f"{root}: plans cannot be written ({error.strerror}); give a writable folder") from error
    return root / INDEX_NAME


def _write_plan(root: Path, number: int, plan: Plan) -> str:
    name = f"plans/plan_{number:06d}.npz"
    placement, motion = plan.placement, plan.motion
    arrays = {"start": placement.start.numpy(), "goal": placement.goal.numpy()}
    if placement.motion_m is not None:
        arrays["object_motion_m"] = placement.motion_m
    if motion is not None:
        stored = {key: value for key, value in motion.__dict__.items() if value is not None}
        arrays |= {f"motion_{key}": np.asarray(value) for key, value in stored.items()}
    np.savez_compressed(root / name, **arrays)
    plain = {key: getattr(placement, key) for key in ("kind", "shift_px", "scale", "shift_m")}
    distances = {key: getattr(placement, key) for key in ("nearest_real_px", "nearest_real_m")}
    return json.dumps({"file": name, "source_episode": plan.source_episode, **plain, **distances})


def read_plans(root: Path) -> tuple[Plan, ...]:
    """The plans that `write_plans` wrote below `root`.

    Raises:
        PlanError: there are none, or a file is damaged.
    """
    index = Path(root) / INDEX_NAME
    if not index.is_file():
        raise PlanError(f"{index}: no such file; make plans with m2iv plan output.root={root}")
    return tuple(_read_plan(Path(root), json.loads(line)) for line in index.read_text().splitlines())


def _read_plan(root: Path, entry: dict) -> Plan:
    path = root / entry["file"]
    try:
        with np.load(path, allow_pickle=False) as stored:
            arrays = {name: stored[name] for name in stored.files}
        placement = Placement(
            kind=entry["kind"],
            start=torch.from_numpy(arrays["start"]),
            goal=torch.from_numpy(arrays["goal"]),
            shift_px=tuple(entry["shift_px"]),
            scale=entry["scale"],
            shift_m=None if entry["shift_m"] is None else tuple(entry["shift_m"]),
            nearest_real_px=entry["nearest_real_px"],
            nearest_real_m=entry["nearest_real_m"],
            motion_m=arrays.get("object_motion_m"),
        )
        return Plan(entry["source_episode"], placement, _read_motion(arrays))
    except (OSError, KeyError, ValueError) as error:
        raise PlanError(f"{path}: the plan is missing or damaged ({error}); make the plans again") from error


def _read_motion(arrays: dict[str, np.ndarray]) -> Motion | None:
    if "motion_state" not in arrays:
        return None
    read = {name.removeprefix("motion_"): value for name, value in arrays.items() if name.startswith("motion_")}
    tensors = ("state", "action", "source_time", "verbatim", "gripper_path_px", "object_path_px")
    return Motion(
        **{name: torch.from_numpy(read[name]) if name in read else None for name in tensors},
        grasp_frame=int(read["grasp_frame"]),
        release_frame=int(read["release_frame"]),
        gripper_path_m=read["gripper_path_m"],
    )
