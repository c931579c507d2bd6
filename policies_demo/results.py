"""What the rows say together: results.json, a table, a plot, and videos of rollouts."""

import json
import os
import platform
import shutil
import subprocess
from datetime import UTC, datetime
from importlib import metadata
from pathlib import Path

from policies_demo.claims import claims
from policies_demo.config import HALVES, DemoConfig
from policies_demo.plot import draw_rows
from policies_demo.rows import ROWS, Row
from policies_demo.statistics import Rate, wilson, worth

ALL = "all"
PACKAGES = ("m2iv_robot", "lerobot", "torch", "mujoco")


def row_record(config: DemoConfig, row: Row, runs: list[dict], data: dict) -> dict:
    """One row's figures; `runs` has successes by half and commands with their seconds, one entry per seed."""
    tried = {half: [run["successes"][half] for run in runs] for half in HALVES}
    pooled = {half: Rate(*(sum(column) for column in zip(*pairs, strict=True))) for half, pairs in tried.items()}
    pooled[ALL] = pooled["seen"] + pooled["unseen"]
    return {
        "row": row.letter,
        "title": row.title,
        "rates": {name: _rate(rate) for name, rate in pooled.items()},
        "data": data,
        "runs": runs,
        "made_on": facts(),
    }


def _rate(rate: Rate) -> dict:
    low, high = wilson(rate)
    return {"successes": rate.successes, "attempts": rate.attempts, "low": round(low, 4), "high": round(high, 4)}


def rate_of(record: dict, part: str) -> Rate:
    """A row's successes in "seen", "unseen" or "all"."""
    return Rate(record["rates"][part]["successes"], record["rates"][part]["attempts"])


def collect(config: DemoConfig) -> dict[str, dict]:
    """The records of the rows that were run so far."""
    paths = {letter: config.root / "rows" / letter / "row.json" for letter in ROWS}
    return {letter: json.loads(path.read_text()) for letter, path in paths.items() if path.is_file()}


def write_results(config: DemoConfig) -> Path:
    """Write results.json, results.md, results.svg and the videos to the folder; returns the first."""
    records = collect(config)
    values = worth_of(records, config.taught)
    verdicts = claims(records)
    text = {"rows": records, "worth_in_real_episodes": values, "claims": verdicts}
    path = config.root / "results.json"
    path.write_text(json.dumps(text, indent=1) + "\n")
    (config.root / "results.md").write_text(as_markdown(records, values, verdicts))
    (config.root / "results.svg").write_text(draw_rows({letter: one["rates"] for letter, one in records.items()}))
    for letter in records:
        _keep_videos(config, letter)
    return path


def worth_of(records: dict[str, dict], taught: int) -> dict[str, dict]:
    """What each generated set is worth in real episodes, on the unseen half and on all, between rows a and h."""
    if "a" not in records or "h" not in records:
        return {}
    return {
        letter: {part: worth(*(rate_of(records[one], part) for one in ("a", "h", letter)), taught)
                 for part in ("unseen", ALL)}
        for letter in "cdfg" if letter in records
    }  # fmt: skip


def as_markdown(records: dict[str, dict], values: dict[str, dict], verdicts: list[dict]) -> str:
    """The table, what generated sets are worth, the claims, and what it was made on."""
    lines = ["| row | training data | episodes | seen half | unseen half | all | minutes |", "|" + " --- |" * 7]
    for letter, record in records.items():
        cells = [_cell(record["rates"][part]) for part in (*HALVES, ALL)]
        minutes = sum(command["seconds"] for run in record["runs"] for command in run["commands"].values()) / 60
        shown = record["data"]["episodes"]
        lines.append(f"| {letter} | {record['title']} | {shown} | {' | '.join(cells)} | {minutes:.0f} |")
    lines += ["", "Successes of attempts; in brackets the 95 % confidence interval (Wilson).", ""]
    lines += [_told(letter, parts["unseen"]) for letter, parts in values.items()]
    if verdicts:
        lines += ["", "| claim | measured | holds |", "| --- | --- | --- |"]
        lines += [f"| {one['claim']} | {one['measured']} | {'yes' if one['holds'] else 'no'} |" for one in verdicts]
    places = dict.fromkeys(_made_on(record["made_on"]) for record in records.values())
    return "\n".join([*lines, "", *places]) + "\n"


def _told(letter: str, told: dict) -> str:
    if told["episodes"] is None:
        return f"Row {letter}: cannot be told in real episodes, as row h is not above row a."
    more = " or more" if told["episodes"] >= told["at_most_told"] else ""
    return (
        f"Row {letter}, unseen half: its generated set is worth {told['episodes']:.0f}{more} real episodes "
        f"(90 % interval {told['low']:.0f} to {told['high']:.0f}; at most {told['at_most_told']:.0f} can be told)."
    )


def _made_on(made_on: dict) -> str:
    packages = ", ".join(f"{name} {version}" for name, version in made_on["packages"].items())
    machine = f"{made_on['cpu']}, {made_on['cores']} cores, GPU: {made_on['gpu']}"
    return f"Commit {made_on['commit']}; {machine}; {packages}."


def _cell(rate: dict) -> str:
    share = 100 * rate["successes"] / rate["attempts"]
    return f"{share:.0f} % ({rate['successes']}/{rate['attempts']}; {100 * rate['low']:.0f}-{100 * rate['high']:.0f})"


def _keep_videos(config: DemoConfig, letter: str) -> None:
    """Copy the first rollouts of the row's first policy."""
    folder = config.root / "videos"
    for half in HALVES:
        found = sorted((config.root / "rows" / letter / "seed_0" / half / "videos").rglob("*.mp4"))
        for number, path in enumerate(found[: config.videos]):
            folder.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(path, folder / f"row_{letter}_{half}_{number}.mp4")


def facts() -> dict:
    """Commit, machine and versions."""
    return {
        "date": datetime.now(UTC).strftime("%Y-%m-%d %H:%M UTC"),
        "commit": _commit(),
        "cpu": _cpu_name(),
        "cores": os.cpu_count(),
        "gpu": _gpu_name(),
        "packages": {name: metadata.version(name) for name in PACKAGES},
    }


def _commit() -> str:
    command = ["git", "-C", str(Path(__file__).parent), "describe", "--always", "--dirty", "--abbrev=12"]
    try:
        return subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()
    except (OSError, subprocess.CalledProcessError):
        return "unknown"


def _cpu_name() -> str:
    information = Path("/proc/cpuinfo")
    lines = information.read_text(encoding="utf-8").splitlines() if information.exists() else []
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.processor() or platform.machine()


def _gpu_name() -> str:
    import torch

    return torch.cuda.get_device_name() if torch.cuda.is_available() else "none"
