"""Does a policy gain from generated episodes? `python -m policies_demo ROW`.

One command per row: it makes the episodes that the row needs, trains its policies and tries them out. A command that
was stopped goes on where it was. Results of all rows run so far: results.json, results.md and results.svg.
"""

import argparse
import dataclasses
import json
import logging
import sys
from pathlib import Path

import yaml

from m2iv_robot.config import parse, preset
from m2iv_robot.data.lerobot_io import DatasetConfig, open_dataset
from m2iv_robot.errors import ConfigError, M2IVError
from policies_demo.assemble import assemble
from policies_demo.commands import note_of
from policies_demo.config import HALVES, DemoConfig
from policies_demo.labels import check_labels
from policies_demo.learning import evaluate, train
from policies_demo.results import row_record, write_results
from policies_demo.rows import ROWS, Row, row_of
from policies_demo.sets import make_set

logger = logging.getLogger("policies_demo")


def main(arguments: list[str] | None = None) -> int:
    """Run one row, all rows, or put the results together; 0 done, 1 failed, 2 not understood."""
    logging.basicConfig(level=logging.WARNING, format="%(message)s")
    logger.setLevel(logging.INFO)
    try:
        given = _parser().parse_args(arguments)
        config = configuration(given.size, given.settings)
        if given.row == "labels":
            path = check_labels(config)
            logger.info("%s", json.dumps(json.loads(path.read_text())["summary"], indent=1))
            logger.info("labels: %s", path)
            return 0
        for letter in ROWS if given.row == "all" else [] if given.row == "report" else [given.row]:
            run_row(config, row_of(letter))
        path = write_results(config)
    except ConfigError as error:
        logger.error("%s", error)
        return 2
    except M2IVError as error:
        logger.error("%s: %s", type(error).__name__, error)
        return 1
    logger.info("%s", path.with_suffix(".md").read_text())
    logger.info("results: %s", path)
    return 0


def configuration(size: str, settings: list[str]) -> DemoConfig:
    """The shipped configuration of that size with `key=value` settings applied.

    Raises:
        ConfigError: an unknown key or a bad value.
    """
    given = {}
    for setting in settings:
        key, equals, value = setting.partition("=")
        if not equals:
            raise ConfigError(f"{setting!r} is not understood; write key=value")
        given[key] = yaml.safe_load(value)
    return parse(DemoConfig, dataclasses.asdict(preset(DemoConfig, "policies_demo", size)) | given, "policies_demo")


def run_row(config: DemoConfig, row: Row) -> Path:
    """Data, training, rollouts; returns the row's record."""
    folder = config.root / "rows" / row.letter
    check_unchanged(config)
    logger.info("row %s: %s", row.letter, row.title)
    sets = [make_set(config, name) for name in row.sets]
    dataset = assemble(config, row, sets, folder / "dataset")
    runs = [_run(config, row, dataset, seed) for seed in range(config.seeds)]
    made = open_dataset(DatasetConfig(root=str(dataset)))
    data = {
        "sets": {name: open_dataset(DatasetConfig(root=str(path))).episode_count
                 for name, path in zip(row.sets, sets, strict=True)},
        "episodes": made.episode_count,
    }  # fmt: skip
    path = folder / "row.json"
    path.write_text(json.dumps(row_record(config, row, runs, data), indent=1) + "\n")
    return path


def check_unchanged(config: DemoConfig) -> None:
    """Refuse to mix settings: all rows in one folder are compared.

    Raises:
        ConfigError: the folder was begun with other settings.
    """
    path = config.root / "settings.json"
    settings = dataclasses.asdict(config)
    if not path.is_file():
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps(settings, indent=1) + "\n")
        return
    before = json.loads(path.read_text())
    changed = [name for name in settings if before.get(name) != settings[name]]
    if changed:
        name = changed[0]
        raise ConfigError(
            f"{config.root} was begun with {name}={before.get(name)!r}, not {settings[name]!r}; "
            "give another folder: folder=OTHER"
        )


def _run(config: DemoConfig, row: Row, dataset: Path, seed: int) -> dict:
    folder = config.root / "rows" / row.letter / f"seed_{seed}"
    logger.info("row %s, seed %d: training %d steps; log: %s", row.letter, seed, config.steps, folder / "train.log")
    weights = train(config, row, dataset, seed, folder)
    logger.info("row %s, seed %d: %d rollouts", row.letter, seed, config.rollouts)
    rates = evaluate(config, weights, folder)
    commands = {name: note_of(folder / f"{name}.log") for name in ("train", *HALVES)}
    successes = {half: [rate.successes, rate.attempts] for half, rate in rates.items()}
    return {"seed": seed, "successes": successes, "commands": commands}


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m policies_demo", description=__doc__)
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.epilog = "rows:\n" + "\n".join(f"  {row.letter}  {row.title}" for row in ROWS.values())
    parser.add_argument(
        "row", help="a letter, `all`, `report` to put together what was run, or `labels`: are row c's right?"
    )
    parser.add_argument("--size", default="cpu", help="cpu: an hour a row on two cores; gpu: three seeds of full ACT")
    parser.add_argument("settings", nargs="*", help="key=value, see configs/policies_demo/cpu.yaml")
    return parser


if __name__ == "__main__":
    sys.exit(main())
