"""Whole simulated episodes made by both stages, and where their object went.

Of each held-out lab the networks see one episode (frames, masks, the plate from them), and are asked for another one:
its first frame, and either only where the object is to end, or a plan (the tool's path and the object's masks along
it). No frame of the wanted episode but the first is shown to them.
"""

import time
from dataclasses import dataclass, replace
from pathlib import Path

import torch
from jaxtyping import Float, UInt8
from torch import Tensor
from tqdm import tqdm

from m2iv_robot.background import build_plate
from m2iv_robot.benchmark.generation.cache import Result, load_result, result_path, save_result, strip_of
from m2iv_robot.benchmark.generation.cases import HELD_OUT_SCENE
from m2iv_robot.benchmark.generation.config import GenerationBenchmarkConfig
from m2iv_robot.benchmark.generation.rows import REAL, code_hash, shipped
from m2iv_robot.benchmark.generation.scores import Request, carried, control_scores
from m2iv_robot.benchmark.generation.summary import SetResults
from m2iv_robot.config import preset
from m2iv_robot.data.simulation import SimulatedEpisode, SimulationConfig, simulate_episode
from m2iv_robot.errors import PlanError
from m2iv_robot.generation import SourceScene, WantedMasks, WantedVideo, generate_frames, generate_masks
from m2iv_robot.models.checkpoint import load_trajectory, load_video, weights_hash
from m2iv_robot.models.trajectory import TrajectoryModel
from m2iv_robot.models.video import VideoModel
from m2iv_robot.segmentation import Segmenter
from m2iv_robot.types import MaskTrajectory, Plate

FIRST_LAB = HELD_OUT_SCENE + 500  # the clips' labs come before
MODES = ("guided", "unguided")


@dataclass(frozen=True)
class Lab:
    """Two episodes of one lab: one to learn its looks from, one to make again."""

    shown: SimulatedEpisode
    wanted: SimulatedEpisode
    plate: Plate

    @property
    def path_px(self) -> Float[Tensor, "t 2"]:
        """The tool's path in the wanted episode, in pixels."""
        transform = self.wanted.world_to_camera
        points = self.wanted.tool_positions_m @ transform[:3, :3].T + transform[:3, 3]
        pixels = points @ self.wanted.intrinsics.T
        return torch.from_numpy(pixels[:, :2] / pixels[:, 2:]).float()


@dataclass(frozen=True)
class Stages:
    """Both networks."""

    trajectory: TrajectoryModel
    video: VideoModel


def measure_episodes(
    config: GenerationBenchmarkConfig, robot: str, segmenter: Segmenter, skipped: list[dict]
) -> SetResults:
    """The control figures of one robot's episodes; without weights those of the real ones alone (`skipped` says so)."""
    paths = (shipped(config.weights_trajectory, "trajectory"), shipped(config.weights_ours, "video"))
    missing = [str(path) for path in paths if not path.is_file()]
    modes = (REAL,) if missing else (REAL, *MODES)
    if missing:
        skipped += [{"row": f"{mode}, {robot}", "why": f"{missing[0]} is not there"} for mode in MODES]
    device = torch.device(config.device)
    stages = None if missing else Stages(load_trajectory(str(paths[0]), device), load_video(str(paths[1]), device))
    versions = () if missing else (code_hash(), *(weights_hash(path) for path in paths))
    found: dict[str, dict[str, Result]] = {mode: {} for mode in modes}
    for number in tqdm(range(config.episodes), desc=f"episodes, {robot}", disable=None):
        lab = None
        for mode in modes:
            key = (mode, str(config.seed), *(() if mode == REAL else versions))
            path = result_path(Path(config.folder), mode, f"episode_{robot}_{number:04d}", key)
            result = load_result(path)
            if result is None:
                lab = lab or simulate_lab(robot, number)
                result = measure(lab, mode, stages, segmenter, config.seed)
                save_result(path, result)
            found[mode][f"{number:04d}"] = result
    return SetResults(f"episodes_{robot}", found, config.seed)


def simulate_lab(robot: str, number: int) -> Lab:
    """A lab that no training has seen."""
    settings = replace(preset(SimulationConfig, "simulation", robot), fps=10, wrist_width=0)
    for attempt in range(10):
        lab = replace(settings, scene_seed=FIRST_LAB + 100 * attempt + number)
        try:
            shown, wanted = (simulate_episode(lab, lab.scene_seed + seed) for seed in (0, 10_000))
        except PlanError:  # a lab in which the operator finds no way
            continue
        return Lab(shown, wanted, build_plate([shown.episode.frames], [shown.masks]))
    raise PlanError(f"simulation={robot}: in ten labs no episode succeeded; is the preset changed?")


def measure(lab: Lab, mode: str, stages: Stages | None, segmenter: Segmenter, seed: int) -> Result:
    """Make the wanted episode and see what is in it."""
    started = time.perf_counter()
    wanted = lab.wanted
    frames, masks, carry = wanted.episode.frames, wanted.masks, torch.zeros(wanted.episode.length, dtype=torch.bool)
    carry[wanted.grasp_frame : wanted.release_frame] = True
    if mode != REAL:
        frames, masks = generate(lab, mode, stages, seed)
        carry = carry if mode == "guided" else carried(masks.object)
    seconds = time.perf_counter() - started
    request = Request(frames[0], masks, carry, lab.plate)
    return Result(control_scores(frames, request, segmenter), None, strip_of(frames), seconds)


def generate(lab: Lab, mode: str, stages: Stages, seed: int) -> tuple[UInt8[Tensor, "t 3 h w"], MaskTrajectory]:
    """Frames and masks of the wanted episode."""
    episode, truth = lab.wanted.episode, lab.wanted.masks
    first = torch.zeros(episode.length, dtype=torch.bool)
    first[0] = True
    ends = first.clone()
    ends[-1] = True
    guided = mode == "guided"
    path = lab.path_px if guided else torch.full((episode.length, 2), torch.nan)
    object_given = torch.ones_like(ends) if guided else ends
    hidden = object_given[:, None, None]
    asked = WantedMasks(
        episode.frames[0], truth.actor & first[:, None, None], first, truth.object & hidden, object_given, path
    )
    masks = generate_masks(stages.trajectory, asked, seed)
    frames = torch.where(first[:, None, None, None], episode.frames, 0)
    scene = SourceScene(lab.shown.episode.frames, lab.shown.masks, lab.plate)
    return generate_frames(stages.video, scene, WantedVideo(episode.frames[0], masks, frames, first), seed), masks
