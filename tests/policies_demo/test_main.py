import dataclasses
import json

import pytest

pytest.importorskip("mujoco")

from m2iv_robot.errors import ConfigError
from policies_demo.__main__ import check_unchanged, configuration, main
from policies_demo.config import HALVES, DemoConfig
from policies_demo.results import row_record
from policies_demo.rows import ROWS


def test_settings_are_applied_and_checked():
    assert configuration("cpu", ["steps=7", "wrist=true"]) == dataclasses.replace(
        configuration("cpu", []), steps=7, wrist=True
    )
    with pytest.raises(ConfigError, match="stepz"):
        configuration("cpu", ["stepz=7"])
    with pytest.raises(ConfigError, match="key=value"):
        configuration("cpu", ["steps"])


def test_both_sizes_ship_and_are_valid():
    assert configuration("gpu", []).seeds == 3
    assert configuration("cpu", []).rollouts == 50


def test_rows_with_other_settings_are_not_mixed(tmp_path):
    config = DemoConfig(folder=str(tmp_path))
    check_unchanged(config)
    check_unchanged(config)
    with pytest.raises(ConfigError, match="steps"):
        check_unchanged(dataclasses.replace(config, steps=1))


def test_an_unknown_row_is_refused(tmp_path, caplog):
    assert main(["z", f"folder={tmp_path}"]) == 2
    assert "'z'" in caplog.text


def test_a_report_is_made_of_the_rows_that_were_run(tmp_path):
    config = DemoConfig(folder=str(tmp_path / "cpu"))
    runs = {"a": (20, 2), "c": (20, 12), "h": (20, 22)}
    for letter, (seen, unseen) in runs.items():
        commands = {name: {"command": "lerobot-train", "seconds": 60.0} for name in ("train", *HALVES)}
        run = {"seed": 0, "successes": {"seen": [seen, 25], "unseen": [unseen, 25]}, "commands": commands}
        path = config.root / "rows" / letter / "row.json"
        path.parent.mkdir(parents=True)
        path.write_text(json.dumps(row_record(config, ROWS[letter], [run], {"episodes": 10})))
    assert main(["report", f"folder={config.folder}"]) == 0
    results = json.loads((config.root / "results.json").read_text())
    assert results["rows"]["c"]["rates"]["all"]["successes"] == 32
    assert results["worth_in_real_episodes"]["c"]["unseen"]["episodes"] == pytest.approx(10)
    table = (config.root / "results.md").read_text()
    assert "| c | real + generated, 1:1 | 10 | 80 % (20/25; 61-91) | 48 % (12/25; 30-66) |" in table
    assert "worth 10 real episodes" in table
    assert (config.root / "results.svg").read_text().startswith("<svg")
