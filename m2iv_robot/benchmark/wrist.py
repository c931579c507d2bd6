"""A camera on the tool: how like the true pictures of a planned way made-anew and re-timed ones are.

Simulated SO-101 episodes with a wrist camera, whose objects start in one half of the table, are recorded; masks,
camera, mount and plans are found from pixels and states as for a real dataset. The simulator then films every plan,
with the object where the plan's picture shows it.
"""

import tempfile
from dataclasses import dataclass, replace
from pathlib import Path

import cv2
import numpy as np
from jaxtyping import Float, UInt8
from torch import Tensor

from m2iv_robot.annotate import AnnotationTask, annotate_dataset
from m2iv_robot.augment.augmenter import Augmenter, number_plans
from m2iv_robot.augment.footage import Library
from m2iv_robot.augment.records import AugmentConfig, AugmentTask, Networks, NumberedPlan
from m2iv_robot.augment.run import plan_task
from m2iv_robot.benchmark.labels import BOUNDARY_Y_M, asked_start
from m2iv_robot.config import preset
from m2iv_robot.data.lerobot_io import DatasetConfig, open_dataset
from m2iv_robot.data.mask_store import MaskStore
from m2iv_robot.data.simulation import SimulationConfig, Truth, film_replay, load_truth, record_all
from m2iv_robot.errors import ConfigError, PlanError
from m2iv_robot.plan import PlannedScene, plan_dataset
from m2iv_robot.plan.dataset import kinematics_of
from m2iv_robot.segmentation import load_segmenter, parse_segmentation

CAMERA, WRIST = "observation.images.front", "observation.images.wrist"
SMOOTH_PX = 1.5  # noise and grain of the table do not count, for a picture 160 wide
BEST_DB = 50.0  # frames that are alike to the noise


@dataclass(frozen=True)
class WristBenchmarkConfig:
    """configs/benchmark/wrist.yaml: how many labs, episodes and plans."""

    labs: int = 1  # each with its own table, light, camera and object
    episodes: int = 8  # recorded in each lab
    plans: int = 16  # made in each lab
    shape: str = ""  # of the object; "" lets the lab choose
    fps: int = 10
    segmentation: str = "learned"
    folder: str = ""  # for recordings and masks; empty: a temporary one
    seed: int = 0

    def __post_init__(self) -> None:
        if min(self.labs, self.episodes, self.plans, self.fps) < 1:
            raise ConfigError("benchmark.wrist: labs, episodes, plans and fps must be at least 1")


def run(config: WristBenchmarkConfig) -> dict:
    """PSNR (dB) before the grasp and during the carry, of frames that are not the source's own."""
    if config.folder:
        return _run_in(config, Path(config.folder))
    with tempfile.TemporaryDirectory() as folder:
        return _run_in(config, Path(folder))


def _run_in(config: WristBenchmarkConfig, folder: Path) -> dict:
    rows = [row for lab in range(config.labs) for row in lab_rows(config, folder, config.seed + lab)]
    anew = [row for row in rows if row["made_anew"]]
    figures: dict = {"plans": len(rows), "made_anew": len(anew)}
    for part in ("approach", "carry"):
        for way in ("remade", "retimed"):
            values = [row[f"{part}_{way}_db"] for row in anew if row[f"{part}_{way}_db"] is not None]
            figures[f"{part}_{way}_db"] = round(float(np.mean(values)), 2) if values else None
    approached = [row for row in anew if row["approach_remade_db"] is not None]
    gains = [row["approach_remade_db"] - row["approach_retimed_db"] for row in approached]
    figures["least_gain_in_approach_db"] = round(min(gains), 2) if gains else None
    figures["episodes"] = sorted(rows, key=lambda row: row["approach_remade_db"] or 0.0)
    return figures


def lab_rows(config: WristBenchmarkConfig, folder: Path, lab: int) -> list[dict]:
    """Record, annotate, plan, make and film in one lab."""
    root = folder / f"lab_{lab:02d}"
    settings = replace(
        preset(SimulationConfig, "simulation", "so101"), scene_seed=lab, fps=config.fps, shape=config.shape,
        start_y_max=BOUNDARY_Y_M,
    )  # fmt: skip
    record_all(settings, root, config.episodes, 1000 * lab)
    segmenter = load_segmenter(parse_segmentation({"name": config.segmentation}))
    store = MaskStore(folder / f"lab_{lab:02d}_masks")
    annotation = AnnotationTask(open_dataset(DatasetConfig(root=str(root))), CAMERA, segmenter, store, "benchmark")
    annotate_dataset(annotation)
    making = AugmentConfig(count=config.plans, seed=config.seed, renderer="cut_and_paste", wrist="remake")
    task = AugmentTask(annotation, folder / "made", Networks(), config=making)
    plans = plan_task(task, config.plans)
    planned = plan_dataset(plans)
    scenes = {index: scene for scene in planned.scenes for index in scene.episodes}
    augmenter = Augmenter(task, Library(task, plans, kinematics_of(plans), {}), (WRIST,))
    rows = []
    for numbered in number_plans(planned.plans, config.seed):
        index = numbered.plan.source_episode
        if (row := plan_row(numbered, scenes[index], augmenter, load_truth(root, index))) is not None:
            rows.append({"lab": lab, **row})
    return rows


def plan_row(numbered: NumberedPlan, scene: PlannedScene, augmenter: Augmenter, truth: Truth) -> dict | None:
    """One plan's figures; None where no episode can be made of it."""
    plan = numbered.plan
    try:
        candidate = augmenter.make(numbered, scene).candidate
    except PlanError:
        return None
    start = asked_start(plan, truth)
    played = plan.motion.action.double().numpy()
    turn = plan.placement.turn_rad
    filmed = film_replay(truth.config, truth.seed, (float(start[0]), float(start[1])), played, turn)
    remade = candidate.other_cameras[WRIST]
    retimed = augmenter.tools.retimed(WRIST, plan)
    frame, new = np.arange(len(remade)), ~plan.motion.verbatim.numpy()
    parts = {
        "approach": new & (frame < plan.motion.grasp_frame),
        "carry": new & (frame >= plan.motion.grasp_frame) & (frame < plan.motion.release_frame),
    }
    row = {
        "episode": plan.source_episode,
        "start": f"({start[0]:.3f}, {start[1]:.3f})",
        "made_anew": any(note.startswith(WRIST) and "anew" in note for note in candidate.provenance.notes),
    }
    for part, chosen in parts.items():
        for way, frames in (("remade", remade), ("retimed", retimed)):
            row[f"{part}_{way}_db"] = likeness_db(frames[chosen], filmed.wrist_frames[chosen])
    return row


def likeness_db(frames: UInt8[Tensor, "t 3 h w"], true: UInt8[Tensor, "t 3 h w"]) -> float | None:
    """Mean PSNR of smoothed frames; None where there are none."""
    if not len(frames):
        return None
    apart = [np.square(smoothed(one) - smoothed(other)).mean() for one, other in zip(frames, true, strict=True)]
    return round(float(np.mean([min(BEST_DB, 10 * np.log10(255**2 / max(error, 1e-9))) for error in apart])), 2)


def smoothed(frame: UInt8[Tensor, "3 h w"]) -> Float[np.ndarray, "h w 3"]:
    """A frame without its finest grain."""
    picture = frame.permute(1, 2, 0).numpy().astype(np.float32)
    return cv2.GaussianBlur(picture, (0, 0), SMOOTH_PX * frame.shape[-1] / 160)
