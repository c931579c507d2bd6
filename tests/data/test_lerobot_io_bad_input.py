"""Bad input: each error says where, what, and what to do."""

import json
import shutil
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from m2iv_robot.data.lerobot_io import DatasetConfig, open_dataset, read_episode, read_frames, read_labels
from m2iv_robot.errors import DatasetError

FRONT = "observation.images.front"


@pytest.fixture
def broken(small_dataset, tmp_path) -> Path:
    """A copy to break."""
    return shutil.copytree(small_dataset, tmp_path / "broken")


def opened(root):
    return open_dataset(DatasetConfig(root=str(root)))


def change_info(root: Path, **changes) -> None:
    path = root / "meta" / "info.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | changes))


def change_column(path: Path, name: str, change) -> None:
    table = pq.read_table(path)
    values = change(table.column(name).to_pylist())
    position, kind = table.schema.get_field_index(name), table.schema.field(name).type
    pq.write_table(table.set_column(position, name, pa.array(values, type=kind)), path)


def only_file(root: Path, pattern: str) -> Path:
    (path,) = root.glob(pattern)
    return path


def test_missing_folder(tmp_path):
    with pytest.raises(DatasetError, match=r"nowhere: no such folder; check dataset.root"):
        opened(tmp_path / "nowhere")


def test_a_folder_that_is_no_dataset(tmp_path):
    with pytest.raises(DatasetError, match=r"not a LeRobot dataset \(no meta/info.json\); give the folder"):
        opened(tmp_path)


def test_damaged_info(broken):
    (broken / "meta" / "info.json").write_text('{"fps": 10, ')
    with pytest.raises(DatasetError, match=r"info.json: not valid JSON .*again"):
        opened(broken)
    (broken / "meta" / "info.json").write_text('{"fps": 10}')
    with pytest.raises(DatasetError, match=r"info.json: no 'codebase_version'"):
        opened(broken)


@pytest.mark.parametrize("version", ["v1.6", "v4.0"])
def test_wrong_version(broken, version):
    change_info(broken, codebase_version=version)
    with pytest.raises(DatasetError, match=rf"broken: LeRobot format {version}; .*v2.x"):
        opened(broken)


@pytest.mark.parametrize("version", ["v2.0", "v2.1"])
def test_a_version_2_that_does_not_convert_names_the_converter(broken, tmp_path, version):
    change_info(broken, codebase_version=version)
    with pytest.raises(DatasetError, match=r"broken: LeRobot's v2 converter failed"):
        open_dataset(DatasetConfig(root=str(broken), cache_folder=str(tmp_path / "cache")))


def test_a_dataset_that_was_never_finalized(broken):
    shutil.rmtree(broken / "meta" / "episodes")
    with pytest.raises(DatasetError, match=r"no meta/episodes.* never finalized"):
        opened(broken)


def test_episodes_that_do_not_count_up(broken):
    change_column(only_file(broken, "meta/episodes/*/*.parquet"), "episode_index", lambda values: [0, 1, 1])
    with pytest.raises(DatasetError, match=r"does not list episodes 0 to 2 once each"):
        opened(broken)


def test_an_episode_that_is_not_there(small_dataset):
    with pytest.raises(DatasetError, match=r"small: no episode 3; it has episodes 0 to 2"):
        read_labels(opened(small_dataset), 3)


def test_an_episode_of_no_frames(broken):
    change_column(only_file(broken, "meta/episodes/*/*.parquet"), "length", lambda values: [5, 0, 6])
    dataset = opened(broken)
    assert read_labels(dataset, 0).length == 5
    with pytest.raises(DatasetError, match=r"broken, episode 1: it has no frames; leave it out"):
        read_episode(dataset, 1, FRONT)


def test_unknown_camera_lists_those_there_are(small_dataset):
    with pytest.raises(DatasetError, match=r"no camera 'top'; its cameras are observation.images.front, .*wrist"):
        read_episode(opened(small_dataset), 0, "top")


def test_missing_video(broken):
    only_file(broken, f"videos/{FRONT}/*/*.mp4").unlink()
    with pytest.raises(DatasetError, match=r"file-000.mp4: the file is missing; copy or download"):
        read_frames(opened(broken), 0, FRONT)


@pytest.mark.parametrize("damage", ["truncated", "overwritten", "empty"])
def test_corrupt_video(broken, damage):
    path = only_file(broken, f"videos/{FRONT}/*/*.mp4")
    content = bytearray(path.read_bytes())
    if damage == "truncated":
        content = content[: len(content) // 2]
    elif damage == "overwritten":
        content[: len(content) // 2] = bytes(len(content) // 2)
    else:
        content = b""
    path.write_bytes(content)
    with pytest.raises(DatasetError, match=r"file-000.mp4: .*(damaged|missing).*again"):
        read_frames(opened(broken), 2, FRONT)


def test_a_video_shorter_than_its_metadata(broken):
    change_column(only_file(broken, "meta/episodes/*/*.parquet"), "length", lambda values: [5, 8, 9])
    with pytest.raises(DatasetError, match=r"frame 6 of 9 is missing after 1.300 s at 10 fps"):
        read_frames(opened(broken), 2, FRONT)


@pytest.mark.parametrize("pattern", ["data/*/*.parquet", "meta/episodes/*/*.parquet"])
def test_truncated_parquet(broken, pattern):
    path = only_file(broken, pattern)
    path.write_bytes(path.read_bytes()[:200])
    with pytest.raises(DatasetError, match=r"file-000.parquet: not a readable parquet file.*again"):
        read_labels(opened(broken), 0)


def test_missing_rows(broken):
    path = only_file(broken, "data/*/*.parquet")
    pq.write_table(pq.read_table(path).slice(0, 10), path)
    with pytest.raises(DatasetError, match=r"episode 1: 5 rows do not make frames 0 to 7"):
        read_labels(opened(broken), 1)


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_numbers_that_are_none_in_the_state(broken, value):
    def spoil(rows):
        rows[7][3] = value
        return rows

    change_column(only_file(broken, "data/*/*.parquet"), "observation.state", spoil)
    dataset = opened(broken)
    assert read_labels(dataset, 0).length == 5
    with pytest.raises(DatasetError, match=r"episode 1, frame 2: observation.state \(state_3\) is (nan|inf); leave"):
        read_labels(dataset, 1)


def test_a_state_of_another_size_than_described(broken):
    info = json.loads((broken / "meta" / "info.json").read_text())
    info["features"]["observation.state"]["shape"] = [7]
    change_info(broken, features=info["features"])
    with pytest.raises(DatasetError, match=r"'observation.state' does not hold float32 of shape \(7,\)"):
        read_labels(opened(broken), 0)


def test_a_damaged_image(make_dataset, tmp_path):
    root = make_dataset(tmp_path / "images", kind="image", lengths=(3,))

    def spoil(cells):
        cells[1]["bytes"] = cells[1]["bytes"][:50]
        return cells

    change_column(only_file(root, "data/*/*.parquet"), FRONT, spoil)
    with pytest.raises(DatasetError, match=r"episode 0: damaged image"):
        read_frames(opened(root), 0, FRONT)
