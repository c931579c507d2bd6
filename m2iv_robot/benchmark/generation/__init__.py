"""How good generated video is: held-out clips made again from their first frame and masks, by us and by others.

Each clip is made by every row (a baseline without a network, a network with fewer conditions, ours), compared with the
real frames where things move, and segmented again to see where the object went. Finished clips are kept: a run that was
stopped continues.
"""

import logging
import time
from pathlib import Path

from tqdm import tqdm

from m2iv_robot.benchmark.generation.cache import Result, load_result, result_path, save_result, strip_of
from m2iv_robot.benchmark.generation.cases import Case, CaseFile, case_files, digest_of, load_case
from m2iv_robot.benchmark.generation.config import GenerationBenchmarkConfig
from m2iv_robot.benchmark.generation.episodes import measure_episodes
from m2iv_robot.benchmark.generation.pipeline import measure_pipeline
from m2iv_robot.benchmark.generation.rows import REAL, Row, build_rows
from m2iv_robot.benchmark.generation.scores import Tools, control_scores, embedding, frame_scores, request_of
from m2iv_robot.benchmark.generation.sheets import write_sheets
from m2iv_robot.benchmark.generation.summary import (
    SetResults,
    comparison_table,
    control_table,
    interval_table,
    quality_table,
    worst_table,
)
from m2iv_robot.config import preset
from m2iv_robot.data.clip_dataset import ClipConfig
from m2iv_robot.errors import CheckpointError
from m2iv_robot.metrics import i3d_checkpoint, st_lpips
from m2iv_robot.metrics.features import load_perceptual_metric
from m2iv_robot.segmentation import load_segmenter, parse_segmentation

logger = logging.getLogger(__name__)


def run(config: GenerationBenchmarkConfig) -> dict:
    """Tables of every row that can be measured; writes contact sheets beside the finished clips.

    Raises:
        DatasetError: no held-out clips.
    """
    files = case_files(config, config.held_out_groups or preset(ClipConfig, "clips", "crop").held_out_groups)
    rows, skipped = build_rows(config)
    names = list(dict.fromkeys(file.set_name for file in files))
    tools = load_tools(config)
    found = [measure_set(config, [file for file in files if file.set_name == name], rows, tools) for name in names]
    figures: dict = {
        "perceptual_metric": tools.perceptual.name,
        "independent_metric": tools.independent.name if tools.independent else "not measured",
        "fvd": "I3D, Kinetics-400" if tools.i3d else "not measured",
        "clips": {one.name: len(one.rows[REAL]) for one in found},
        "collectors": {name: sorted({file.group for file in files if file.set_name == name}) for name in names},
        "rows": [{"row": row.name, "what": row.what, "version": row.version} for row in rows],
        "skipped_rows": skipped,
    }
    tables = {"quality": quality_table, "ours_against": comparison_table, "intervals_95_percent": interval_table}
    figures |= {name: [line for one in found for line in table(one)] for name, table in tables.items()}
    for robot in config.simulated_robots:
        if config.episodes:
            found.append(measure_episodes(config, robot, tools.segmenter, skipped))
        if config.pipeline_episodes:
            found.append(measure_pipeline(config, robot, tools.segmenter, skipped))
    figures["control"] = [line for one in found for line in control_table(one)]
    figures["worst"] = [line for one in found for line in worst_table(one)]
    if config.sheet_clips:
        for path in (path for one in found for path in write_sheets(Path(config.folder), one, config.sheet_clips)):
            logger.info("%s", path)
    return figures


def load_tools(config: GenerationBenchmarkConfig) -> Tools:
    """The measuring networks; where weights are not at hand the log says how to get them."""
    network = independent = None
    try:
        independent = st_lpips.load_st_lpips()
    except CheckpointError as error:
        logger.warning("no ST-LPIPS: %s", error)
    if config.fvd_clips:
        try:
            network = i3d_checkpoint.load(config.device)
        except CheckpointError as error:
            logger.warning("no FVD: %s", error)
    segmenter = None
    if config.control_clips or config.episodes or config.pipeline_episodes:
        segmenter = load_segmenter(parse_segmentation({"name": "learned", "device": config.device}))
    return Tools(load_perceptual_metric(), independent, network, segmenter)


def measure_set(config: GenerationBenchmarkConfig, files: list[CaseFile], rows: list[Row], tools: Tools) -> SetResults:
    """Every row's result on every clip of a set, kept ones taken as they are."""
    found: dict[str, dict[str, Result]] = {row.name: {} for row in rows}
    for number, file in enumerate(tqdm(files, desc=files[0].set_name, disable=None)):
        used = Tools(
            tools.perceptual,
            tools.independent,
            tools.i3d if number < config.fvd_clips else None,
            tools.segmenter if number < config.control_clips else None,
        )
        for row, result in measure_clip(config, file, rows, used).items():
            found[row][file.name] = result
    return SetResults(files[0].set_name, found, config.seed)


def measure_clip(config: GenerationBenchmarkConfig, file: CaseFile, rows: list[Row], tools: Tools) -> dict[str, Result]:
    """Every row's result on one clip."""
    measured = (tools.independent is not None, tools.i3d is not None, tools.segmenter is not None)
    parts = f"{tools.perceptual.name} independent, i3d, control: {measured}"
    common = (digest_of(file), parts, str(config.width), str(config.seed))
    results, case = {}, None
    for row in rows:
        path = result_path(Path(config.folder), row.name, f"{file.set_name}_{file.name}", (row.version, *common))
        result = load_result(path)
        if result is None:
            case = case or load_case(file, config.width)
            result = measure(case, row, tools, config.seed)
            save_result(path, result)
        results[row.name] = result
    return results


def measure(case: Case, row: Row, tools: Tools, seed: int) -> Result:
    """Make one clip and score it."""
    started = time.perf_counter()
    frames = row.generate(case, seed)
    seconds = time.perf_counter() - started
    scores = {} if row.name == REAL else frame_scores(case, frames, tools.perceptual, tools.independent)
    if tools.segmenter is not None:
        scores |= control_scores(frames, request_of(case), tools.segmenter)
    features = None if tools.i3d is None else embedding(frames, tools.i3d)
    return Result(scores, features, strip_of(frames), seconds)
