"""Writing: the output is a LeRobot dataset like its source, which LeRobot reads, merges and trains on."""

import json
import subprocess
import sys

import numpy as np
import pytest
import torch

from m2iv_robot.data.lerobot_io import (
    PROVENANCE_FILE,
    REJECTED_FILE,
    DatasetConfig,
    EpisodeRecord,
    EpisodeWriter,
    WriterConfig,
    episode_key,
    format_like,
    open_dataset,
    read_episode,
    read_frames,
    read_labels,
)
from m2iv_robot.errors import ConfigError, WriteError
from m2iv_robot.types import (
    Candidate,
    CheckResult,
    Episode,
    MaskTrajectory,
    Placement,
    Provenance,
    QualityReport,
)

FRONT, WRIST = "observation.images.front", "observation.images.wrist"
PASSED = QualityReport((CheckResult("object_iou", 0.8, 0.5, True),))
FAILED = QualityReport((CheckResult("object_iou", 0.2, 0.5, False),))


def opened(root):
    return open_dataset(DatasetConfig(root=str(root)))


def candidate_from(dataset, index, seed, cameras=(FRONT, WRIST), **changes):
    """A generated episode: the source's frames upside down, its labels plus the seed."""
    source = read_episode(dataset, index, FRONT)
    values = {
        "dataset": source.dataset,
        "index": index,
        "camera": FRONT,
        "frames": source.frames.flip(2),
        "state": source.state + seed,
        "action": source.action - seed,
        "state_names": source.state_names,
        "action_names": source.action_names,
        "fps": source.fps,
        "task": source.task,
        "robot_type": source.robot_type,
        "extra": source.extra,
    }
    blank = torch.zeros(source.length, 48, 64, dtype=torch.bool)
    placement = Placement("start", blank[0], blank[0], (3.0, 4.0), 1.0, None, 5.0, None)
    provenance = Provenance(dataset.name, index, FRONT, "start", (3.0, 4.0), None, seed, {"video": "abc"})
    others = {camera: read_frames(dataset, index, camera) for camera in cameras if camera != FRONT}
    masks = MaskTrajectory(blank, blank, torch.ones(source.length))
    return Candidate(Episode(**values | changes), masks, placement, None, provenance, others)


def write_generated(root, dataset, seeds=(1, 2), config=None, cameras=None):
    output = format_like(dataset, cameras=cameras)
    with EpisodeWriter(root, output, config, dataset) as writer:
        for seed in seeds:
            writer.write(candidate_from(dataset, seed % 3, seed, cameras or (FRONT, WRIST)), PASSED)
    return opened(root)


def psnr_db(frames, wanted):
    error = (frames.double() - wanted.double()).square().mean()
    return float(10 * torch.log10(255**2 / error))


def test_written_episodes_read_back(small_dataset, tmp_path):
    source = opened(small_dataset)
    result = write_generated(tmp_path / "out", source, (1, 2, 3))
    assert (result.fps, result.robot_type, result.cameras) == (source.fps, source.robot_type, source.cameras)
    assert result.features == source.features | {
        key: {**source.features[key], "info": result.features[key]["info"]} for key in source.cameras
    }
    for index, seed in enumerate((1, 2, 3)):
        wanted, got = candidate_from(source, seed % 3, seed), read_episode(result, index, FRONT)
        assert torch.equal(got.state, wanted.episode.state)
        assert torch.equal(got.action, wanted.episode.action)
        assert got.task == wanted.episode.task
        assert psnr_db(got.frames, wanted.episode.frames) > 37
        assert psnr_db(read_frames(result, index, WRIST), wanted.other_cameras[WRIST]) > 37


def test_statistics_are_those_of_the_written_numbers(small_dataset, tmp_path):
    result = write_generated(tmp_path / "out", opened(small_dataset), (1, 2, 3))
    stats = json.loads((result.root / "meta" / "stats.json").read_text())
    states = torch.cat([read_labels(result, index).state for index in range(3)]).double().numpy()
    np.testing.assert_allclose(stats["observation.state"]["mean"], states.mean(0), rtol=1e-5)
    np.testing.assert_allclose(stats["observation.state"]["std"], states.std(0), rtol=1e-4)
    np.testing.assert_allclose(stats["observation.state"]["max"], states.max(0), rtol=1e-6)
    pixels = torch.cat([read_frames(result, index, FRONT) for index in range(3)]).double() / 255
    np.testing.assert_allclose(np.ravel(stats[FRONT]["mean"]), pixels.mean((0, 2, 3)), atol=0.02)


def test_a_run_that_goes_on_keeps_what_was_found_before(small_dataset, tmp_path):
    """What was rejected once stays out, and the writer says so."""
    dataset = opened(small_dataset)
    first, second = (candidate_from(dataset, 0, seed) for seed in (1, 2))
    writer = EpisodeWriter(tmp_path / "new", format_like(dataset)).__enter__()
    writer.write(first, FAILED)
    writer.write(second, PASSED)
    writer.__exit__(KeyboardInterrupt, KeyboardInterrupt(), None)
    with EpisodeWriter(tmp_path / "new", format_like(dataset)) as writer:
        assert not writer.write(first, PASSED)
        assert not writer.holds(episode_key(first.provenance))
        writer.write(second, PASSED)
        assert writer.holds(episode_key(second.provenance))
    assert opened(tmp_path / "new").episode_count == 1


def test_each_generated_episode_has_its_provenance_and_rejected_ones_are_only_counted(small_dataset, tmp_path):
    source = opened(small_dataset)
    with EpisodeWriter(tmp_path / "out", format_like(source), WriterConfig(include_source=True), source) as writer:
        assert writer.write(candidate_from(source, 0, 1), FAILED)
        assert writer.write(candidate_from(source, 1, 2), PASSED)
        assert not writer.write(candidate_from(source, 1, 2), PASSED)
    result = opened(tmp_path / "out")
    assert result.episode_count == 4
    (line,) = [json.loads(text) for text in (result.root / PROVENANCE_FILE).read_text().splitlines()]
    assert (line["episode_index"], line["source_episode"], line["seed"], line["shift_px"]) == (3, 1, 2, [3.0, 4.0])
    assert line["weights"] == {"video": "abc"}
    assert line["checks"] == [{"name": "object_iou", "value": 0.8, "threshold": 0.5, "passed": True}]
    (rejected,) = [json.loads(text) for text in (result.root / REJECTED_FILE).read_text().splitlines()]
    assert (rejected["seed"], rejected["accepted"]) == (1, False)
    assert "3 recorded, 1 generated" in (result.root / "README.md").read_text()


def test_recorded_episodes_come_first_with_every_bit_of_their_video(small_dataset, tmp_path):
    source = opened(small_dataset)
    result = write_generated(tmp_path / "out", source, (1,), WriterConfig(include_source=True))
    for index in range(3):
        assert torch.equal(read_labels(result, index).state, read_labels(source, index).state)
        assert torch.equal(read_frames(result, index, WRIST), read_frames(source, index, WRIST))


def test_a_camera_left_out_is_left_out_of_recorded_and_generated_episodes(small_dataset, tmp_path):
    source = opened(small_dataset)
    result = write_generated(tmp_path / "out", source, (1,), WriterConfig(include_source=True), cameras=(FRONT,))
    assert result.cameras == (FRONT,)
    assert not (result.root / "videos" / WRIST).exists()
    assert result.episode_count == 4
    assert torch.equal(read_frames(result, 2, FRONT), read_frames(source, 2, FRONT))
    assert psnr_db(read_frames(result, 3, FRONT), read_frames(source, 1, FRONT).flip(2)) > 37


def test_another_codec_encodes_the_recorded_episodes_again(small_dataset, tmp_path):
    source = opened(small_dataset)
    config = WriterConfig(include_source=True, codec="av1", crf=10)
    result = write_generated(tmp_path / "out", source, (1,), config)
    assert {result.features[key]["info"]["video.codec"] for key in result.cameras} == {"av1"}
    for index in range(3):
        assert torch.equal(read_labels(result, index).action, read_labels(source, index).action)
        assert psnr_db(read_frames(result, index, FRONT), read_frames(source, index, FRONT)) > 35


@pytest.mark.parametrize("kind", ["image", "video"])
def test_image_features_and_double_precision_survive(make_dataset, tmp_path, kind):
    extra = {"observation.joints": {"dtype": "float64", "shape": (5,), "names": None}}
    source = opened(make_dataset(tmp_path / "in", kind=kind, state=("observation.state", 1, "float64"), extra=extra))
    config = WriterConfig(include_source=True, batch_episodes=2)
    result = write_generated(tmp_path / "out", source, (1, 2, 3), config)
    for index, seed in ((3, 1), (4, 2), (5, 3)):
        got, wanted = read_episode(result, index, FRONT), candidate_from(source, seed % 3, seed).episode
        assert torch.equal(got.frames, wanted.frames) if kind == "image" else psnr_db(got.frames, wanted.frames) > 37
        assert torch.equal(got.state, wanted.state)
        assert torch.equal(got.extra["observation.joints"], wanted.extra["observation.joints"])


def test_labels_of_two_dimensions_are_left_out_everywhere(make_dataset, tmp_path, caplog):
    extra = {"observation.grid": {"dtype": "float32", "shape": (2, 3), "names": None}}
    source = opened(make_dataset(tmp_path / "in", lengths=(4,), extra=extra))
    with EpisodeWriter(tmp_path / "out", format_like(source), WriterConfig(include_source=True), source) as writer:
        writer.write(candidate_from(source, 0, 1), PASSED)
    assert "observation.grid" in caplog.text
    result = opened(tmp_path / "out")
    assert (result.episode_count, "observation.grid" in result.features) == (2, False)


def test_many_batches_and_small_video_files_keep_every_episode_at_its_place(make_dataset, tmp_path):
    source = opened(make_dataset(tmp_path / "in", size=(96, 128), lengths=(9, 4, 7)))
    output = format_like(source)
    config = WriterConfig(batch_episodes=2, video_file_mb=1, crf=4)
    noise = np.random.default_rng(0).integers(0, 256, (20, 1, 96, 128), dtype=np.uint8)
    heavy = torch.from_numpy(noise).expand(-1, 3, -1, -1)  # does not compress: fills files
    with EpisodeWriter(tmp_path / "out", output, config) as writer:
        for number in range(5):
            frames = heavy.roll(number, 3)[: 20 - number]
            labels = {"observation.state": torch.full((len(frames), 4), number), "action": torch.zeros(len(frames), 3)}
            writer.append(
                EpisodeRecord(f"episode {number}", f"task {number % 2}", {FRONT: frames, WRIST: frames}, labels)
            )
    result = opened(tmp_path / "out")
    assert len({row.videos[FRONT].path for row in result.rows}) > 1
    assert [result.length(number) for number in range(5)] == [20 - number for number in range(5)]
    for number in range(5):
        labels = read_labels(result, number)
        assert (labels.state == number).all()
        assert labels.task == f"task {number % 2}"
        frames = read_frames(result, number, WRIST)
        own = psnr_db(frames, heavy.roll(number, 3)[: 20 - number])
        assert own > psnr_db(frames, heavy.roll(number + 1, 3)[: 20 - number]) + 10


def test_more_episodes_are_appended_to_a_finished_output(small_dataset, tmp_path):
    source = opened(small_dataset)
    config = WriterConfig(include_source=True)
    write_generated(tmp_path / "out", source, (1,), config)
    before = {path: path.stat().st_mtime_ns for path in (tmp_path / "out").rglob("*")}
    write_generated(tmp_path / "out", source, (1,), config)
    assert {path: path.stat().st_mtime_ns for path in (tmp_path / "out").rglob("*")} == before
    result = write_generated(tmp_path / "out", source, (1, 2), config)
    lines = [json.loads(text) for text in (result.root / PROVENANCE_FILE).read_text().splitlines()]
    assert [(line["episode_index"], line["seed"]) for line in lines] == [(3, 1), (4, 2)]
    assert torch.equal(read_labels(result, 4).state, read_labels(source, 2).state + 2)


def test_lerobot_merges_the_output_with_its_source(small_dataset, tmp_path):
    from lerobot.datasets.dataset_tools import merge_datasets
    from lerobot.datasets.lerobot_dataset import LeRobotDataset

    source = opened(small_dataset)
    generated = write_generated(tmp_path / "out", source, (1, 2))
    parts = [LeRobotDataset(one.name, root=one.root, video_backend="pyav") for one in (source, generated)]
    merge_datasets(parts, "merged", tmp_path / "merged", concatenate_videos=False)
    merged = opened(tmp_path / "merged")
    assert merged.episode_count == 5
    assert torch.equal(read_frames(merged, 4, WRIST), read_frames(generated, 1, WRIST))
    assert torch.equal(read_frames(merged, 1, WRIST), read_frames(source, 1, WRIST))
    assert torch.equal(read_labels(merged, 3).state, read_labels(generated, 0).state)


def test_lerobot_train_takes_two_steps_of_act(small_dataset, tmp_path):
    write_generated(tmp_path / "out", opened(small_dataset), (1,), WriterConfig(include_source=True))
    sizes = ["dim_model=32", "n_heads=2", "dim_feedforward=32", "n_encoder_layers=1", "n_vae_encoder_layers=1"]
    command = [
        *(sys.executable, "-m", "lerobot.scripts.lerobot_train"),
        *("--dataset.repo_id=out", f"--dataset.root={tmp_path / 'out'}", "--dataset.video_backend=pyav"),
        *("--policy.type=act", "--policy.push_to_hub=false", "--policy.pretrained_backbone_weights=null"),
        *("--policy.device=cpu", "--policy.chunk_size=4", "--policy.n_action_steps=4", "--wandb.enable=false"),
        *(f"--policy.{size}" for size in sizes),
        *("--batch_size=2", "--steps=2", "--num_workers=0", "--save_checkpoint=false", "--log_freq=1"),
        f"--output_dir={tmp_path / 'train'}",
    ]
    done = subprocess.run(command, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr[-3000:]
    assert "step:2" in done.stderr + done.stdout


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"fps": 30.0}, r"30 fps, the output has 10"),
        ({"state": torch.zeros(8, 5)}, r"observation.state has shape \(8, 5\)"),
        ({"action": None}, r"no values for 'action'"),
        ({"state": torch.full((8, 4), torch.nan)}, r"observation.state is not finite"),
        ({"frames": torch.zeros(8, 3, 24, 32, dtype=torch.uint8)}, r"shape \(8, 3, 24, 32\), not \(8, 3, 48, 64\)"),
    ],
)
def test_a_candidate_that_does_not_fit_is_refused_by_name(small_dataset, tmp_path, changes, message):
    source = opened(small_dataset)
    with pytest.raises(WriteError, match=message), EpisodeWriter(tmp_path / "out", format_like(source)) as writer:
        writer.write(candidate_from(source, 1, 1, **changes), PASSED)
    assert not (tmp_path / "out").exists()


def test_a_missing_second_camera_is_named(small_dataset, tmp_path):
    source = opened(small_dataset)
    with pytest.raises(WriteError, match=WRIST), EpisodeWriter(tmp_path / "out", format_like(source)) as writer:
        writer.write(candidate_from(source, 1, 1, cameras=(FRONT,)), PASSED)


def test_outputs_that_cannot_be_written_are_refused_before_any_work(small_dataset, tmp_path):
    output = format_like(opened(small_dataset))
    (tmp_path / "file").write_text("")
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "holiday.jpg").write_text("")
    places = {
        tmp_path / "file": "the output is a file",
        tmp_path / "file" / "out": "cannot be written",
        "/proc/out": "cannot be written",
        tmp_path / "full": "holds something else",
        small_dataset: "holds something else",
    }
    for place, message in places.items():
        with pytest.raises(WriteError, match=message), EpisodeWriter(place, output):
            pass


def test_an_output_made_with_other_settings_is_not_mixed(small_dataset, tmp_path):
    source = opened(small_dataset)
    write_generated(tmp_path / "out", source, (1,))
    with pytest.raises(WriteError, match=r"made with crf=18, now asked for 30"):
        write_generated(tmp_path / "out", source, (2,), WriterConfig(crf=30))


def test_a_second_writer_of_the_same_output_is_refused(small_dataset, tmp_path):
    output = format_like(opened(small_dataset))
    with EpisodeWriter(tmp_path / "out", output):
        with pytest.raises(WriteError, match="another process"), EpisodeWriter(tmp_path / "out", output):
            pass


def test_an_unknown_codec_is_refused(small_dataset, tmp_path):
    source = opened(small_dataset)
    with pytest.raises(WriteError, match=r"writer.codec=mpeg7"):
        write_generated(tmp_path / "out", source, (1,), WriterConfig(codec="mpeg7"))
    with pytest.raises(ConfigError, match=r"writer.crf must be in"):
        WriterConfig(crf=99)


def test_real_frames_keep_37_db_and_labels_every_bit(real_data, tmp_path):
    source = opened(real_data / "droid_blocks")
    labels = read_labels(source, 0)
    values = {"observation.state": labels.state, "action": labels.action, **labels.extra}
    cameras = {camera: read_frames(source, 0, camera) for camera in source.cameras}
    with EpisodeWriter(tmp_path / "out", format_like(source)) as writer:
        writer.append(EpisodeRecord("real", labels.task, cameras, values))
    result = opened(tmp_path / "out")
    for camera in source.cameras:
        frames = read_frames(result, 0, camera)
        assert min(psnr_db(got, wanted) for got, wanted in zip(frames, cameras[camera], strict=True)) > 37
    assert torch.equal(read_labels(result, 0).state, labels.state)
    assert torch.equal(read_labels(result, 0).action, labels.action)
    assert torch.equal(read_labels(result, 0).extra["observation.joints"], labels.extra["observation.joints"])
