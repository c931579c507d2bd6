"""The table of the quality gate: good episodes pass, known-bad ones do not.

Episodes are recorded ones. Where a scene has several, each is judged as if it had been generated from another one of
them: it shows the same object, robot and camera, with another start, goal and motion. Thresholds belong to the first
half of the scenes; the second half, which they were never set on, is what counts.
"""

import logging
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import torch

from m2iv_robot.background import spread
from m2iv_robot.benchmark.gate.remembered import Remembered
from m2iv_robot.benchmark.gate.sources import Scene, clip_scene, real_scenes, simulated_scene
from m2iv_robot.benchmark.gate.variants import made_variants
from m2iv_robot.config import preset
from m2iv_robot.data.clip_store import group_of
from m2iv_robot.errors import ConfigError, PlanError
from m2iv_robot.models.checkpoint import segmenter_path, weights_hash
from m2iv_robot.quality import QualityConfig, SourceContext, recorded_candidate
from m2iv_robot.quality.evidence import case_of, examine
from m2iv_robot.quality.gate import judge, judge_quickly
from m2iv_robot.segmentation import Segmenter, load_segmenter, parse_segmentation
from m2iv_robot.types import Candidate, CheckResult

logger = logging.getLogger(__name__)

PARTS = CALIBRATION, HELD_OUT = "calibration", "held out"
GOOD = "real"


@dataclass(frozen=True)
class GateBenchmarkConfig:
    """configs/benchmark/gate.yaml: which episodes are judged."""

    labs: int = 4  # simulated ones
    episodes: int = 4  # recorded in each
    true_masks: bool = True  # of the sources: the simulator's; false: the segmenter's, as a user has them
    datasets: list[str] = field(default_factory=list)  # folders of LeRobot datasets that have masks
    masks: str = ""  # folder of those masks, made by m2iv annotate
    clips: str = ""  # folder of a clip store
    clip_count: int = 24
    segmentation: str = "learned"  # by which the candidates are segmented again
    folder: str = "outputs/gate"  # for recordings and masks
    seed: int = 820  # of the first lab

    def __post_init__(self) -> None:
        if self.labs < 0 or self.episodes < 2:
            raise ConfigError("benchmark.gate: labs must be at least 0, episodes at least 2")


def run(config: GateBenchmarkConfig) -> dict:
    """Shares that pass and that are rejected, what rejected them, and how close the good ones came."""
    segmenter = own_segmenter(config)
    settings = preset(QualityConfig, "quality", "default")
    rows = []
    for kind, scenes in all_scenes(config, segmenter).items():
        for number, scene in enumerate(scenes):
            part = CALIBRATION if number < len(scenes) / 2 else HELD_OUT
            made = scene_rows(scene, segmenter, settings)
            wrong = [
                f"{row['variant']} {row['failed']}" for row in made if bool(row["failed"]) == (row["variant"] == GOOD)
            ]
            logger.info("%s: %d verdicts, wrong: %s", scene.name, len(made), ", ".join(wrong) or "none")
            rows += [{"part": part, "kind": kind, **row} for row in made]
    return summary(rows)


def own_segmenter(config: GateBenchmarkConfig) -> Remembered:
    """The segmenter by which candidates are segmented again; what it saw stays in the folder, by its weights."""
    segmenter = load_segmenter(parse_segmentation({"name": config.segmentation}))
    weights = weights_hash(segmenter_path("")) if config.segmentation == "learned" else config.segmentation
    return Remembered(segmenter, Path(config.folder) / f"seen_{weights}")


def all_scenes(config: GateBenchmarkConfig, segmenter: Segmenter) -> dict[str, list[Scene]]:
    """What the configuration asks for, by kind."""
    folder = Path(config.folder)
    own = None if config.true_masks else segmenter
    labs = [simulated_scene(folder, config.seed + lab, config.episodes, own) for lab in range(config.labs)]
    recorded = [scene for root in config.datasets for scene in real_scenes(Path(root), Path(config.masks))]
    paths = chosen_clips(Path(config.clips), config.clip_count) if config.clips else []
    return {"simulated": labs, "datasets": recorded, "clips": [clip_scene(path) for path in paths]}


def chosen_clips(folder: Path, count: int) -> list[Path]:
    """So many clips of a store, ordered by group: both halves hardly share one."""
    paths = sorted(folder.glob("*.npz"))
    chosen = [paths[place] for place in spread(len(paths), count)]
    return sorted(chosen, key=lambda path: (group_of(path), path.name))


def scene_rows(scene: Scene, segmenter: Segmenter, config: QualityConfig) -> list[dict]:
    """One row per judged variant of every episode of a scene."""
    rows = []
    good: list[Candidate | None] = []
    for source in scene.sources:
        try:
            good.append(recorded_candidate(source))
        except PlanError:
            good.append(None)
    for number, candidate in enumerate(good):
        if candidate is None:
            continue
        after = (number + 1) % len(good)
        other = good[after] if after != number else None
        context = scene.sources[after]
        generator = torch.Generator().manual_seed(number)
        where = {"scene": scene.name, "episode": number}
        rows += [{**where, **row} for row in judged(candidate, context, other, generator, (segmenter, config))]
    return rows


def judged(
    candidate: Candidate,
    context: SourceContext,
    other: Candidate | None,
    generator: torch.Generator,
    judge_with: tuple[Segmenter, QualityConfig],
) -> list[dict]:
    """The verdicts on an episode and on its known-bad variants; the same frames with the same request are seen once."""
    segmenter, config = judge_with
    rows, seen = [], examine(candidate, context, segmenter, config)
    for name, variant in {GOOD: candidate, **made_variants(candidate, context, other, generator)}.items():
        results = judge_quickly(variant, context, config)
        if variant.episode.frames is candidate.episode.frames and variant.placement is candidate.placement:
            results += judge(case_of(variant, context, seen.frames, seen.seen), config)
        elif all(result.passed for result in results):
            results += judge(examine(variant, context, segmenter, config), config)
        rows.append({"variant": name, "values": values_of(results), "failed": failed_of(results)})
    return rows


def values_of(results: tuple[CheckResult, ...]) -> dict[str, float]:
    """What was measured, by check."""
    return {result.name: round(result.value, 4) for result in results}


def failed_of(results: tuple[CheckResult, ...]) -> list[str]:
    """The checks that were not passed."""
    return [result.name for result in results if not result.passed]


def summary(rows: list[dict]) -> dict:
    """Plain figures."""
    table = []
    for kind in dict.fromkeys(row["kind"] for row in rows):
        for name in dict.fromkeys(row["variant"] for row in rows):
            chosen = [row for row in rows if row["kind"] == kind and row["variant"] == name]
            if chosen:
                table.append(table_row(kind, name, chosen))
    good = [row for row in rows if row["variant"] == GOOD]
    return {
        "verdicts": table,
        "checks_on_real": check_rows(good),
        "rejected_real": [plain(row) for row in good if row["failed"]],
        "accepted_bad": [plain(row) for row in rows if row["variant"] != GOOD and not row["failed"]],
    }


def table_row(kind: str, name: str, rows: list[dict]) -> dict:
    """One line of the verdicts: what passes where it should pass, what is rejected where it should be rejected."""
    line = {"episodes": kind, "variant": name, "should": "pass" if name == GOOD else "be rejected"}
    for part in PARTS:
        own = [row for row in rows if row["part"] == part]
        right = sum(bool(row["failed"]) != (name == GOOD) for row in own)
        line |= {f"{part}, %": 100.0 * right / len(own) if own else None, f"{part}, of": len(own)}
    reasons: dict[str, int] = {}
    for row in rows:
        for check in row["failed"]:
            reasons[check] = reasons.get(check, 0) + 1
    most = sorted(reasons.items(), key=lambda entry: -entry[1])[:3]
    return line | {"by": ", ".join(f"{check} {count}" for check, count in most)}


def check_rows(good: list[dict]) -> list[dict]:
    """How real episodes measure in the half that thresholds are set on, and what share passes in the other."""
    names = dict.fromkeys(name for row in good for name in row["values"])
    lines = []
    for name in names:
        made = {part: [row for row in good if row["part"] == part and name in row["values"]] for part in PARTS}
        line: dict = {"check": name}
        if values := [row["values"][name] for row in made[CALIBRATION]]:
            line |= dict(zip(("least", "median", "most"), map(float, np.quantile(values, (0, 0.5, 1))), strict=True))
        for part, rows in made.items():
            passed = sum(name not in row["failed"] for row in rows)
            line |= {f"{part}, %": 100.0 * passed / len(rows) if rows else None, f"{part}, of": len(rows)}
        lines.append(line)
    return lines


def plain(row: dict) -> dict:
    """A row of one verdict for a table."""
    failed = ", ".join(f"{name} {row['values'][name]}" for name in row["failed"])
    return {name: row[name] for name in ("part", "scene", "episode", "variant")} | {"failed": failed or "nothing"}
