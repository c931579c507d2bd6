"""Reading: what comes out of any LeRobot v3.0 dataset is what was recorded."""

import json
import shutil

import numpy as np
import pytest
import torch

from m2iv_robot.data.lerobot_io import (
    DatasetConfig,
    feature_names,
    open_dataset,
    read_episode,
    read_frames,
    read_labels,
)
from m2iv_robot.errors import ConfigError, DatasetError


def opened(root, **keys):
    return open_dataset(DatasetConfig(root=str(root), **keys))


def worst_difference(frames, wanted):
    return int((frames.permute(0, 2, 3, 1).int() - torch.from_numpy(wanted).int()).abs().amax())


def test_metadata_is_read_without_decoding(small_dataset):
    dataset = opened(small_dataset)
    assert (dataset.name, dataset.fps, dataset.robot_type, dataset.episode_count) == ("small", 10.0, "so101", 3)
    assert dataset.cameras == ("observation.images.front", "observation.images.wrist")
    assert [dataset.length(index) for index in range(3)] == [5, 8, 6]
    assert [dataset.task(index) for index in range(3)] == ["put the cup on the plate", "", "put the cup on the plate"]


@pytest.mark.parametrize("codec", ["h264", "libsvtav1"])
def test_each_episode_of_a_shared_video_comes_out_frame_by_frame(make_dataset, tmp_path, codec, made_frames):
    dataset = opened(make_dataset(tmp_path / "set", codec=codec))
    for index, length in enumerate((5, 8, 6)):
        for number, camera in enumerate(dataset.cameras):
            frames = read_frames(dataset, index, camera)
            assert frames.shape == (length, 3, 48, 64)
            wanted = made_frames(index, length, (48, 64), number)
            for band in (slice(0, 10), slice(14, 34), slice(38, 48)):  # away from the edges, which codecs blur
                mean = frames[:, :, band].double().mean((2, 3))
                assert (mean - torch.from_numpy(wanted[:, band].mean((1, 2)))).abs().max() < 6


def test_frames_equal_those_of_lerobots_own_reader(small_dataset):
    from lerobot.datasets.lerobot_dataset import LeRobotDataset

    dataset, camera = opened(small_dataset), "observation.images.wrist"
    reference = LeRobotDataset("small", root=small_dataset, video_backend="pyav", return_uint8=True)
    wanted = torch.stack([reference[row][camera] for row in range(5, 13)])
    assert torch.equal(read_frames(dataset, 1, camera), wanted.to(torch.uint8))


def test_image_features_are_read_exactly(make_dataset, tmp_path, made_frames):
    dataset = opened(make_dataset(tmp_path / "set", kind="image"))
    for index, length in enumerate((5, 8, 6)):
        frames = read_frames(dataset, index, dataset.cameras[1])
        assert worst_difference(frames, made_frames(index, length, (48, 64), 1)) == 0


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_labels_of_any_size_are_bit_equal(make_dataset, tmp_path, dtype, made_labels):
    extra = {
        "observation.joints": {"dtype": dtype, "shape": (2, 3), "names": None},
        "next.success": {"dtype": "bool", "shape": (1,), "names": None},
    }
    root = make_dataset(
        tmp_path / "set", state=("observation.state", 1, dtype), action=("action", 9, dtype), extra=extra, cameras=()
    )
    for index, length in enumerate((5, 8, 6)):
        labels = read_labels(opened(root), index)
        assert torch.equal(labels.state, torch.from_numpy(made_labels(index, length, 1, dtype)))
        assert torch.equal(labels.action, torch.from_numpy(made_labels(index, length, 9, dtype)))
        joints = made_labels(index, length, 6, dtype).reshape(length, 2, 3)
        assert torch.equal(labels.extra["observation.joints"], torch.from_numpy(joints))
        assert labels.extra["next.success"].dtype == torch.bool


def test_whole_numbers_as_action_become_float64_without_loss(make_dataset, tmp_path, made_labels):
    root = make_dataset(tmp_path / "set", action=("action", 2, "int64"), cameras=())
    action = read_labels(opened(root), 2).action
    assert action.dtype == torch.float64
    assert np.array_equal(action.numpy(), made_labels(2, 6, 2, "int64"))


def test_a_dataset_without_state_gives_none(make_dataset, tmp_path):
    dataset = opened(make_dataset(tmp_path / "set", state=None, lengths=(4,)))
    episode = read_episode(dataset, 0, dataset.cameras[0])
    assert episode.state is None
    assert episode.state_names == ()
    assert episode.action.shape == (4, 3)


def test_labels_under_other_names_are_found_by_configuration(make_dataset, tmp_path):
    root = make_dataset(
        tmp_path / "set", state=("robot.pose", 6, "float64"), action=("command", 2, "float32"), cameras=()
    )
    dataset = opened(root, state_key="robot.pose", action_key="command")
    assert read_labels(dataset, 0).state.shape == (5, 6)
    with pytest.raises(DatasetError, match=r"no feature 'pose'; its features are .*robot.pose"):
        opened(root, state_key="pose")


def test_missing_tasks_read_as_empty(small_dataset, tmp_path):
    import pyarrow.parquet as pq

    root = shutil.copytree(small_dataset, tmp_path / "set")
    (root / "meta" / "tasks.parquet").unlink()
    path = next((root / "meta" / "episodes").glob("*/*.parquet"))
    pq.write_table(pq.read_table(path).drop_columns(["tasks"]), path)
    assert [opened(root).task(index) for index in range(3)] == ["", "", ""]


@pytest.mark.parametrize(
    ("names", "wanted"),
    [
        (["x", "y"], ("x", "y")),
        ({"motors": ["a", "b"]}, ("a", "b")),
        ({"b": 1, "a": 0}, ("a", "b")),
        (None, ("state_0", "state_1")),
        (["only one"], ("state_0", "state_1")),
    ],
)
def test_feature_names_in_every_form(names, wanted):
    features = {"observation.state": {"dtype": "float32", "shape": (2,), "names": names}}
    assert feature_names(features, "observation.state") == wanted


@pytest.mark.parametrize("version", ["v2.0", "v2.1"])
def test_version_2_is_converted_in_the_cache_and_its_source_is_untouched(small_dataset, tmp_path, version):
    source = as_version_2(small_dataset, tmp_path / "old", version)
    before = {path: path.read_bytes() for path in source.rglob("*") if path.is_file()}
    dataset = opened(source, cache_folder=str(tmp_path / "cache"))
    assert {path: path.read_bytes() for path in source.rglob("*") if path.is_file()} == before
    assert dataset.root.is_relative_to(tmp_path / "cache")
    reference = opened(small_dataset)
    for index in range(3):
        assert torch.equal(read_labels(dataset, index).state, read_labels(reference, index).state)
        camera = dataset.cameras[1]
        assert torch.equal(read_frames(dataset, index, camera), read_frames(reference, index, camera))
    assert opened(source, cache_folder=str(tmp_path / "cache")).root == dataset.root
    stats = json.loads((dataset.root / "meta" / "stats.json").read_text())
    states = torch.cat([read_labels(dataset, index).state for index in range(3)]).double()
    assert stats["observation.state"]["max"] == pytest.approx(states.amax(0).tolist())
    assert stats["observation.state"]["mean"] == pytest.approx(states.mean(0).tolist())
    pixels = torch.cat([read_frames(dataset, index, dataset.cameras[0]) for index in range(3)]).double() / 255
    assert np.ravel(stats[dataset.cameras[0]]["mean"]) == pytest.approx(pixels.mean((0, 2, 3)).tolist(), abs=0.02)


def as_version_2(source, root, version):
    """Lay a v3.0 dataset out as v2: one data and one video file per episode, JSON lines as metadata."""
    import av
    import pyarrow.parquet as pq

    dataset = opened(source)
    info = json.loads((source / "meta" / "info.json").read_text())
    (root / "meta").mkdir(parents=True)
    stats = json.loads((source / "meta" / "stats.json").read_text())
    lines = {"episodes": [], "episodes_stats": []}
    for row in dataset.rows:
        table = pq.read_table(row.data_path, filters=[("episode_index", "=", row.index)])
        path = root / f"data/chunk-000/episode_{row.index:06d}.parquet"
        path.parent.mkdir(parents=True, exist_ok=True)
        pq.write_table(table, path)
        lines["episodes"].append({"episode_index": row.index, "tasks": [row.task], "length": row.length})
        lines["episodes_stats"].append({"episode_index": row.index, "stats": stats})
        for camera, video in row.videos.items():
            path = root / f"videos/chunk-000/{camera}/episode_{row.index:06d}.mp4"
            path.parent.mkdir(parents=True, exist_ok=True)
            with av.open(str(video.path)) as old, av.open(str(path), "w") as new:
                stream = new.add_stream_from_template(old.streams.video[0])
                for packet in old.demux(video=0):
                    time = float((packet.pts or 0) * packet.time_base)
                    if packet.size and video.start_s - 1e-6 <= time < video.stop_s - 1e-6:
                        packet.pts -= round(video.start_s / packet.time_base)
                        packet.dts -= round(video.start_s / packet.time_base)
                        packet.stream = stream
                        new.mux(packet)
    tasks = sorted({row.task for row in dataset.rows}, reverse=True)
    lines["tasks"] = [{"task_index": number, "task": task} for number, task in enumerate(tasks)]
    if version == "v2.0":
        del lines["episodes_stats"]
    for name, records in lines.items():
        (root / "meta" / f"{name}.jsonl").write_text("".join(json.dumps(record) + "\n" for record in records))
    info |= {
        "codebase_version": version,
        "data_path": "data/chunk-{episode_chunk:03d}/episode_{episode_index:06d}.parquet",
        "video_path": "videos/chunk-{episode_chunk:03d}/{video_key}/episode_{episode_index:06d}.mp4",
        "total_chunks": 1,
        "total_videos": 6,
    }
    (root / "meta" / "info.json").write_text(json.dumps(info))
    return root


def test_the_hub_without_a_network_is_a_clear_error(monkeypatch, tmp_path):
    import huggingface_hub.constants

    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_OFFLINE", True)
    with pytest.raises(DatasetError, match=r"nobody/nothing.*cannot be had.*give dataset.root=FOLDER"):
        open_dataset(DatasetConfig(repo_id="nobody/nothing"))


def test_a_config_without_a_dataset_is_refused():
    with pytest.raises(ConfigError, match=r"dataset.root=FOLDER or dataset.repo_id"):
        DatasetConfig()


@pytest.mark.parametrize("name", ["droid_blocks", "bridge_v2", "droid_scenes", "droid_tabletop"])
def test_real_recordings_open_and_their_last_episode_reads(real_data, name):
    dataset = opened(real_data / name)
    index = dataset.episode_count - 1
    for camera in dataset.cameras:
        episode = read_episode(dataset, index, camera)
        assert episode.length == dataset.length(index)
        assert episode.frames.float().std() > 10
