"""The whole pipeline on a lab that no training has seen: recorded, annotated, planned, made again, and looked at again.

Nothing of the simulator's truth is used but its frames and logged states: masks, plate and camera are found as for a
real dataset. What counts is where the object is in the frames that come out, against where the plan was to put it.
"""

import logging
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import torch
from tqdm import tqdm

from m2iv_robot.annotate import AnnotationTask, annotate_dataset
from m2iv_robot.augment.augmenter import Augmenter, number_plans
from m2iv_robot.augment.footage import Library
from m2iv_robot.augment.records import AugmentConfig, AugmentTask, Made, Networks, NumberedPlan
from m2iv_robot.augment.run import plan_task
from m2iv_robot.augment.wrist import source_frames
from m2iv_robot.benchmark.generation.cache import Result, load_result, result_path, save_result, strip_of
from m2iv_robot.benchmark.generation.cases import HELD_OUT_SCENE
from m2iv_robot.benchmark.generation.config import GenerationBenchmarkConfig
from m2iv_robot.benchmark.generation.rows import NETWORK_SOURCES, code_hash, shipped
from m2iv_robot.benchmark.generation.scores import Request, control_scores
from m2iv_robot.benchmark.generation.summary import SetResults
from m2iv_robot.config import preset
from m2iv_robot.data.lerobot_io import DatasetConfig, open_dataset
from m2iv_robot.data.mask_store import MaskStore
from m2iv_robot.data.simulation import SimulationConfig, record_all
from m2iv_robot.errors import PlanError
from m2iv_robot.models.checkpoint import load_video, weights_hash
from m2iv_robot.placement import PlacementConfig
from m2iv_robot.plan import PlannedScene, plan_dataset
from m2iv_robot.plan.dataset import kinematics_of
from m2iv_robot.segmentation import Segmenter
from m2iv_robot.types import MaskTrajectory

logger = logging.getLogger(__name__)

CAMERA = "observation.images.front"
LAB = HELD_OUT_SCENE + 2000  # clips and episodes come from other labs
SOURCES = (*NETWORK_SOURCES, "augment", "plan", "placement", "retarget", "benchmark/generation/pipeline.py")


@dataclass(frozen=True)
class Bench:
    """One robot's recordings, and what looks at the results."""

    config: GenerationBenchmarkConfig
    robot: str
    segmenter: Segmenter
    networks: Networks

    @property
    def folder(self) -> Path:
        """Where recordings and masks are kept."""
        return Path(self.config.folder) / "pipeline" / self.robot


def measure_pipeline(
    config: GenerationBenchmarkConfig, robot: str, segmenter: Segmenter, skipped: list[dict]
) -> SetResults:
    """Control figures of new episodes with the object's start or goal moved, with the network and without."""
    path = shipped(config.weights_ours, "video")
    there = path.is_file()
    if not there:
        skipped.append({"row": f"pipeline, {robot}, network", "why": f"{path} is not there"})
    device = torch.device(config.device)
    networks = Networks(None, load_video(str(path), device), {"video": weights_hash(path)}) if there else Networks()
    bench = Bench(config, robot, segmenter, networks)
    settings = replace(preset(SimulationConfig, "simulation", robot), scene_seed=LAB, fps=10, wrist_width=0)
    record_all(settings, bench.folder / "recorded", config.pipeline_recorded, LAB)
    found: dict[str, dict[str, Result]] = {}
    for kind in ("start", "goal"):
        for renderer in ("cut_and_paste", "network") if there else ("cut_and_paste",):
            results = dict(made_results(bench, kind, renderer))
            if results:
                found[f"{kind}_{renderer}"] = results
            else:
                skipped.append({"row": f"pipeline, {robot}, {kind}", "why": "nothing could be planned or made"})
    return SetResults(f"pipeline_{robot}", found, config.seed)


def made_results(bench: Bench, kind: str, renderer: str) -> Iterator[tuple[str, Result]]:
    """What each plan's episode shows, finished ones taken as they are."""
    task = task_of(bench, kind, renderer)
    annotate_dataset(task.annotation)
    plans = plan_task(task, bench.config.pipeline_episodes)
    planned = plan_dataset(plans)
    scenes = {index: scene for scene in planned.scenes for index in scene.episodes}
    augmenter = Augmenter(task, Library(task, plans, kinematics_of(plans), {}), ())
    weights = "" if renderer == "cut_and_paste" else bench.networks.hashes["video"]
    row = f"pipeline_{bench.robot}_{kind}_{renderer}"
    for place, numbered in enumerate(tqdm(number_plans(planned.plans, bench.config.seed), desc=row, disable=None)):
        if numbered.plan.motion is None:
            continue
        shift = ",".join(f"{value:.3f}" for value in numbered.plan.placement.shift_px)
        key = (code_hash(SOURCES), weights, str(numbered.seed), str(numbered.plan.source_episode), shift)
        path = result_path(Path(bench.config.folder), row, f"{place:04d}", key)
        result = load_result(path)
        if result is None:
            try:
                made = augmenter.make(numbered, scenes[numbered.plan.source_episode])
            except PlanError as error:
                logger.info("%s, plan %d: %s", row, place, error)
                continue
            result = look_at(made, numbered, scenes[numbered.plan.source_episode], augmenter, bench.segmenter)
            save_result(path, result)
        yield f"{place:04d}", result


def task_of(bench: Bench, kind: str, renderer: str) -> AugmentTask:
    """An augmentation of the recorded lab, without the gate: what it would reject is measured too."""
    dataset = open_dataset(DatasetConfig(root=str(bench.folder / "recorded")))
    annotation = AnnotationTask(dataset, CAMERA, bench.segmenter, MaskStore(bench.folder / "masks"), "benchmark")
    config = AugmentConfig(
        count=bench.config.pipeline_episodes, seed=bench.config.seed, renderer=renderer, wrist="drop"
    )
    placement = preset(PlacementConfig, "placement", kind)
    return AugmentTask(annotation, bench.folder / "made", bench.networks, placement, config=config)


def look_at(
    made: Made, numbered: NumberedPlan, scene: PlannedScene, augmenter: Augmenter, segmenter: Segmenter
) -> Result:
    """Where the object is in the new episode's frames; the strip shows them under the source's."""
    frames, placement, motion = made.candidate.episode.frames, numbered.plan.placement, numbered.plan.motion
    asked, actor = made.candidate.masks.object.clone(), made.candidate.masks.actor
    asked[0], asked[-1] = placement.start & ~actor[0], placement.goal
    carry = torch.zeros(len(frames), dtype=torch.bool)
    carry[motion.grasp_frame : motion.release_frame] = True
    masks = MaskTrajectory(actor, asked, made.candidate.masks.confidence)
    scores = control_scores(frames, Request(frames[0], masks, carry, scene.plate), segmenter)
    source = augmenter.library.frames(numbered.plan.source_episode)
    shown = strip_of(source[source_frames(motion, len(source))])
    return Result(scores, None, torch.cat([shown, strip_of(frames)], dim=1), made.seconds)
