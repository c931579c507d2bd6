"""A writer killed at any moment leaves no dataset or a whole one, and the same command ends in the same dataset."""

import hashlib
import json
import signal
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from m2iv_robot.data.lerobot_io import (
    PROVENANCE_FILE,
    DatasetConfig,
    EpisodeRecord,
    EpisodeWriter,
    format_like,
    open_dataset,
    read_frames,
    read_labels,
)

CAMERA = "observation.images.front"
NAMES = ("first", "second", "third")


@pytest.fixture(scope="module")
def write(source_root, tmp_path_factory):
    """write(output, names, kill_at): the command in its own process; returns its exit status and what it changed."""
    log = tmp_path_factory.mktemp("log") / "events.txt"
    server = subprocess.Popen(
        [sys.executable, Path(__file__).parent / "writer_process.py"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )

    def run(output: Path, names=NAMES, kill_at=-1) -> tuple[int, list[str]]:
        log.unlink(missing_ok=True)
        request = {"source": str(source_root), "output": str(output), "names": list(names), "kill_at": kill_at}
        server.stdin.write(json.dumps({**request, "log": str(log)}) + "\n")
        server.stdin.flush()
        status = int(server.stdout.readline())
        return status, log.read_text().splitlines() if log.exists() else []

    yield run
    server.stdin.close()
    server.wait(30)


@pytest.fixture(scope="module")
def source_root(make_dataset, tmp_path_factory):
    return make_dataset(
        tmp_path_factory.mktemp("crash") / "in",
        lengths=(4, 3),
        cameras=(CAMERA,),
        size=(32, 48),
        state=("observation.state", 2, "float32"),
        action=("action", 2, "float32"),
    )


def contents(root: Path) -> list:
    """Everything of a dataset that must not depend on how it came about, read anew."""
    dataset = open_dataset(DatasetConfig(root=str(root)))
    lines = [json.loads(text) for text in (root / PROVENANCE_FILE).read_text().splitlines()]
    result = [dataset.features, lines, json.loads((root / "meta" / "stats.json").read_text())]
    for index in range(dataset.episode_count):
        labels = read_labels(dataset, index)
        frames = read_frames(dataset, index, CAMERA).contiguous()
        result.append((labels.task, labels.state.tolist(), labels.action.tolist()))
        result.append(hashlib.sha256(frames.numpy().tobytes()).hexdigest())
    return result


def chosen_moments(events: list[str]) -> list[int]:
    """Every commit (a rename out of the folder for unfinished work), moments after some, and a spread over the rest."""
    renames = [number for number, event in enumerate(events) if event.startswith("os.rename")]
    commits = [number for number in renames if ".m2iv/work/" not in events[number].rpartition(" ")[2]]
    spread = [len(events) * share // 5 for share in range(1, 5)]
    return sorted({0, *commits, commits[2] + 1, commits[-1] + 1, *spread})


def test_a_writer_killed_at_any_moment_is_continued_to_the_same_dataset(write, tmp_path):
    (tmp_path / "whole").mkdir()
    status, events = write(tmp_path / "whole" / "out")
    assert status == 0
    wanted = contents(tmp_path / "whole" / "out")
    assert len(wanted) == 3 + 2 * (2 + len(NAMES))
    moments = chosen_moments(events)
    assert len(moments) >= 12
    for moment in moments:
        output = tmp_path / f"killed_{moment}" / "out"
        output.parent.mkdir()
        assert write(output, kill_at=moment)[0] == -signal.SIGKILL
        if output.exists():
            assert contents(output) == wanted, f"killed before {events[moment]}"
        assert write(output)[0] == 0
        assert contents(output) == wanted, f"continued after {events[moment]}"
        assert sorted(path.name for path in output.parent.iterdir()) == ["out"]


def test_an_output_stays_whole_while_more_is_appended(write, tmp_path):
    reference, output = tmp_path / "a" / "out", tmp_path / "b" / "out"
    reference.parent.mkdir()
    output.parent.mkdir()
    for root in (reference, output):
        assert write(root, NAMES[:1])[0] == 0
    before = contents(output)
    assert write(reference)[0] == 0
    wanted = contents(reference)
    states = {40: before, ".m2iv/old": before, ".m2iv/ready /": None, ".m2iv-done": wanted}
    for moment, state in states.items():
        assert write(output, kill_at=moment)[0] == -signal.SIGKILL
        assert (contents(output) if output.exists() else None) == state
    assert write(output)[0] == 0
    assert contents(output) == wanted


def test_an_error_in_the_caller_publishes_nothing_and_loses_nothing(source_root, tmp_path):
    source = open_dataset(DatasetConfig(root=str(source_root)))
    output = tmp_path / "out"
    frames = torch.zeros(3, 3, 32, 48, dtype=torch.uint8)
    labels = {"observation.state": torch.zeros(3, 2), "action": torch.zeros(3, 2)}

    def interrupted() -> None:
        with EpisodeWriter(output, format_like(source)) as writer:
            for name in NAMES:
                writer.append(EpisodeRecord(name, "", {CAMERA: frames}, labels))
            writer.wait()
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        interrupted()
    assert not output.exists()
    with EpisodeWriter(output, format_like(source)) as writer:
        assert [writer.has(name) for name in (*NAMES, "fourth")] == [True, True, True, False]
    assert open_dataset(DatasetConfig(root=str(output))).episode_count == 3
