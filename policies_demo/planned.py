"""Planned motions, rendered by the simulator: what generated episodes would be if their video were perfect."""

import json
import multiprocessing
import os
import sys
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

import torch

from m2iv_robot.benchmark.labels import asked_start
from m2iv_robot.data.lerobot_io import (
    DatasetConfig,
    EpisodeRecord,
    EpisodeWriter,
    WriterConfig,
    format_like,
    open_dataset,
)
from m2iv_robot.data.mask_store import MaskStore
from m2iv_robot.data.simulation import SimulatedEpisode, Truth, film_replay, load_truth
from m2iv_robot.errors import M2IVError
from m2iv_robot.placement import PlacementConfig
from m2iv_robot.plan import Plan, PlanConfig, PlanTask, plan_dataset, read_plans, write_plans
from policies_demo.commands import run_for
from policies_demo.config import FRONT, WRIST, DemoConfig

REPLAYS = "replays.json"  # in the folder of the plans: did each planned motion do its task?


def render_plans(config: DemoConfig, sources: Path, planning: list[str], root: Path) -> Path:
    """Plan from the sources, play every plan in the simulator, and write what it shows with the planned labels."""
    if (root / "meta" / "info.json").is_file():
        return root
    plans = make_plans(config, sources, planning)
    truths = [load_truth(sources, plan.source_episode) for plan in plans]
    dataset = open_dataset(DatasetConfig(root=str(sources)))
    replays = []
    with (
        EpisodeWriter(root, format_like(dataset), WriterConfig(codec="h264")) as output,
        ProcessPoolExecutor(config.recorders or os.cpu_count(), multiprocessing.get_context("spawn")) as pool,
    ):
        for plan, truth, filmed in zip(plans, truths, pool.map(_film, plans, truths), strict=True):
            output.append(_record(plan, filmed, f"planned/{len(replays)}", dataset.name))
            replays.append(_replay(plan, truth, filmed))
    (config.root / "plans" / REPLAYS).write_text(json.dumps(replays, indent=1) + "\n")
    return root


def make_plans(config: DemoConfig, sources: Path, planning: list[str]) -> tuple[Plan, ...]:
    """As many plans as episodes are to be generated; `planning` is what `m2iv plan` is told.

    Raises:
        M2IVError: there are fewer.
    """
    folder = config.root / "plans"
    index = folder / "plans.jsonl"
    if config.true_masks and not index.is_file():
        _plan_with_true_masks(config, sources, planning, folder)
    command = [sys.executable, "-m", "m2iv_robot", "plan", *planning, f"output.root={config.root / 'masks'}"]
    command += [f"output.plans={folder}", f"plan.count={config.generated}"]
    run_for(index, command, config.root / "plans.log", config.threads)
    plans = read_plans(folder)
    if len(plans) < config.generated:
        raise M2IVError(f"{folder}: {len(plans)} plans, {config.generated} are wanted; see {folder}/plans.html")
    return plans


def _plan_with_true_masks(config: DemoConfig, sources: Path, planning: list[str], folder: Path) -> None:
    dataset = open_dataset(DatasetConfig(root=str(sources)))
    store = MaskStore(config.root / "masks_true")
    for index in range(dataset.episode_count):
        truth = load_truth(sources, index)
        store.save(dataset.name, index, FRONT, truth.masks, {"plate": "pose_00"})
        store.save_plate(dataset.name, FRONT, "pose_00", truth.plate)
    (polygon,) = (json.loads(one.partition("=")[2]) for one in planning if one.startswith("placement.polygon_px="))
    task = PlanTask(
        dataset,
        FRONT,
        store,
        placement=PlacementConfig(polygon_px=polygon),
        config=PlanConfig(count=config.generated),
    )
    write_plans(folder, plan_dataset(task))


def _film(plan: Plan, truth: Truth) -> SimulatedEpisode:
    torch.set_num_threads(1)
    start = asked_start(plan, truth)
    actions = plan.motion.action.double().numpy()
    return film_replay(truth.config, truth.seed, (float(start[0]), float(start[1])), actions, plan.placement.turn_rad)


def _record(plan: Plan, filmed: SimulatedEpisode, key: str, dataset: str) -> EpisodeRecord:
    cameras = {FRONT: filmed.episode.frames}
    if filmed.wrist_frames is not None:
        cameras[WRIST] = filmed.wrist_frames
    labels = {"observation.state": plan.motion.state.float(), "action": plan.motion.action.float()}
    origin = {"source_dataset": dataset, "source_episode": plan.source_episode}
    return EpisodeRecord(key, filmed.episode.task, cameras, labels, origin)


def _replay(plan: Plan, truth: Truth, filmed: SimulatedEpisode) -> dict:
    wandered = (filmed.episode.state - plan.motion.state.float()).abs()
    return {
        "source_episode": plan.source_episode,
        "start_xy": [round(value, 4) for value in filmed.start_xy],
        "unseen": filmed.start_xy[1] > 0,
        "success": filmed.success,
        "state_error_median": round(float(wandered.median()), 3),
        "source_start_xy": [round(value, 4) for value in truth.start_xy],
    }
