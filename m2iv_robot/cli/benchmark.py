"""`m2iv benchmark benchmark=NAME`: run one benchmark, print its figures, and keep them with what they were made on."""

import importlib
import json
import logging
import os
import platform
import sys
import time
import typing
from datetime import UTC, datetime
from importlib import metadata
from pathlib import Path
from types import ModuleType

from omegaconf import DictConfig, OmegaConf

from m2iv_robot import config
from m2iv_robot.errors import M2IVError, WriteError

PACKAGES = ("m2iv_robot", "torch", "lerobot", "diffusers", "numpy", "scipy", "opencv-python-headless", "mujoco", "av")

logger = logging.getLogger(__name__)


def run(node: DictConfig) -> int:
    """Run the chosen benchmark; figures go to stdout, and as JSON and Markdown into `node.output`."""
    settings = settings_of(node)
    started = time.perf_counter()
    figures = _module(node.name).run(settings)
    record = {
        "benchmark": node.name,
        "figures": figures,
        "settings": OmegaConf.to_container(node.benchmark, resolve=True),
        "seconds": round(time.perf_counter() - started, 1),
        "made_on": facts(),
    }
    sys.stdout.write(as_text(figures) + "\n")
    for path in save(record, Path(node.output)):
        logger.info("%s", path)
    return 0


def settings_of(node: DictConfig) -> object:
    """The benchmark's own configuration, checked: an instance of the dataclass that its `run` takes."""
    schema = next(iter(typing.get_type_hints(_module(node.name).run).values()))
    return config.parse(schema, node.benchmark, f"benchmark.{node.name}")


def facts() -> dict:
    """The machine, the versions and the date, for whoever compares figures later."""
    return {
        "date": datetime.now(UTC).strftime("%Y-%m-%d %H:%M UTC"),
        "cpu": _cpu_name(),
        "cores": os.cpu_count(),
        "system": platform.platform(),
        "python": platform.python_version(),
        "packages": {name: version for name in PACKAGES if (version := _version(name))},
    }


def save(record: dict, folder: Path) -> tuple[Path, Path]:
    """Write `NAME.json` and `NAME.md`.

    Raises:
        WriteError: the folder cannot be written to.
    """
    paths = (folder / f"{record['benchmark']}.json", folder / f"{record['benchmark']}.md")
    try:
        text = json.dumps(record, indent=2, allow_nan=False)
    except (TypeError, ValueError) as error:
        raise M2IVError(f"benchmark {record['benchmark']}: its figures are not plain JSON: {error}") from error
    try:
        folder.mkdir(parents=True, exist_ok=True)
        paths[0].write_text(text + "\n", encoding="utf-8")
        paths[1].write_text(as_markdown(record), encoding="utf-8")
    except OSError as error:
        raise WriteError(f"{folder}: cannot be written ({error.strerror}); give another: output=FOLDER") from error
    return paths


def as_text(figures: dict) -> str:
    """Aligned lines "name  value"; a list of records becomes a table of its own."""
    values, tables = _split(figures)
    width = max((len(name) for name, _ in values), default=0)
    blocks = ["\n".join(f"{name:<{width}}  {value}" for name, value in values)] if values else []
    for name, rows in tables:
        widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
        lines = ["  ".join(cell.ljust(size) for cell, size in zip(row, widths, strict=True)).rstrip() for row in rows]
        blocks.append("\n".join([name, *(f"  {line}" for line in lines)]))
    return "\n\n".join(blocks)


def as_markdown(record: dict) -> str:
    """The same figures as Markdown tables."""
    values, tables = _split(record["figures"])
    made_on = record["made_on"]
    versions = ", ".join(f"{name} {version}" for name, version in made_on["packages"].items())
    parts = [
        f"# {record['benchmark']}",
        f"{made_on['date']}, {record['seconds']} s on {made_on['cpu']}, {made_on['cores']} cores; "
        f"Python {made_on['python']}, {versions}",
        _markdown_table([("figure", "value"), *values]) if values else "",
        *(f"## {name}\n\n{_markdown_table(rows)}" for name, rows in tables),
    ]
    return "\n\n".join(part for part in parts if part) + "\n"


def _markdown_table(rows: list[tuple[str, ...]]) -> str:
    header, *body = ["| " + " | ".join(row) + " |" for row in rows]
    return "\n".join([header, "|" + " --- |" * len(rows[0]), *body])


def _split(figures: dict, prefix: str = "") -> tuple[list[tuple[str, str]], list[tuple[str, list[tuple[str, ...]]]]]:
    """Single values by dotted name, and lists of records as rows with a header."""
    values, tables = [], []
    for key, value in figures.items():
        name = f"{prefix}{key}"
        if isinstance(value, dict):
            inner_values, inner_tables = _split(value, f"{name}.")
            values += inner_values
            tables += inner_tables
        elif isinstance(value, list) and value and all(isinstance(row, dict) for row in value):
            header = tuple(dict.fromkeys(column for row in value for column in row))
            rows = [tuple(_shown(row.get(column, "")) for column in header) for row in value]
            tables.append((name, [header, *rows]))
        else:
            values.append((name, _shown(value)))
    return values, tables


def _shown(value: object) -> str:
    """A number with four significant digits; whole numbers, text and lists as they are."""
    if isinstance(value, bool) or value is None:
        return {True: "yes", False: "no", None: "-"}[value]
    if isinstance(value, float):
        return f"{value:.4g}"
    if isinstance(value, list):
        return ", ".join(_shown(entry) for entry in value)
    return str(value)


def _module(name: str) -> ModuleType:
    return importlib.import_module(f"m2iv_robot.benchmark.{name}")


def _version(package: str) -> str | None:
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return None


def _cpu_name() -> str:
    """The processor's marketing name where the system tells it."""
    information = Path("/proc/cpuinfo")
    lines = information.read_text(encoding="utf-8").splitlines() if information.exists() else []
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.processor() or platform.machine()
