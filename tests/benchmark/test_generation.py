"""The generation benchmark on drawn clips: what its methods may see, its figures, and that it can be continued."""

import json
import math
from dataclasses import replace

import pytest
import torch

from m2iv_robot.benchmark.generation import run
from m2iv_robot.benchmark.generation.cache import Result, load_result, result_path, save_result
from m2iv_robot.benchmark.generation.cases import CaseFile, load_case, store_files
from m2iv_robot.benchmark.generation.config import GenerationBenchmarkConfig
from m2iv_robot.benchmark.generation.rows import known_scene, network, pasted, plate_alone, repeat_first
from m2iv_robot.benchmark.generation.scores import Request, carried, control_scores, frame_scores
from m2iv_robot.benchmark.generation.summary import (
    SetResults,
    comparison_table,
    control_table,
    mean_interval,
    quality_table,
)
from m2iv_robot.data.clip_store import Clip, save_clip
from m2iv_robot.diffusion import DiffusionConfig
from m2iv_robot.errors import ConfigError, DatasetError
from m2iv_robot.masks import dilate
from m2iv_robot.metrics.features import PerceptualMetric
from m2iv_robot.models.unet import UNetConfig
from m2iv_robot.models.video import VideoConfig, VideoModel
from m2iv_robot.types import MaskTrajectory

HEIGHT, WIDTH, FRAMES, SIDE = 48, 64, 32, 12
ABSOLUTE = PerceptualMetric("absolute", lambda one, other: (one - other).abs().mean(1))


def drawn_clip(group: str) -> Clip:
    """An object (red) that a bar (green) from above pushes to the right over a grey ramp."""
    ramp = torch.linspace(60, 200, WIDTH)[None, None].expand(3, HEIGHT, WIDTH).to(torch.uint8)
    actor, thing = (torch.zeros(FRAMES, HEIGHT, WIDTH, dtype=torch.bool) for _ in range(2))
    for frame in range(FRAMES):
        x = 6 + min(max(frame - 6, 0), 20) * 2
        thing[frame, 26 : 26 + SIDE, x : x + SIDE] = True
        actor[frame, :26, x + 3 : x + 9] = True
    frames = ramp.expand(FRAMES, -1, -1, -1).clone()
    for mask, colour in ((actor, (20, 180, 20)), (thing, (220, 30, 30))):
        for channel, value in enumerate(colour):
            frames[:, channel][mask] = value
    known, path = torch.ones(HEIGHT, WIDTH, dtype=torch.bool), torch.full((FRAMES, 2), torch.nan)
    none = torch.zeros_like(frames), torch.zeros_like(actor)
    return Clip(frames, actor, thing, ramp.contiguous(), known, path, *none, group)


@pytest.fixture(scope="module")
def store(tmp_path_factory):
    folder = tmp_path_factory.mktemp("clips") / "drawn"
    for name, group in (("0", "train"), ("1", "one"), ("2", "one"), ("3", "two"), ("4", "one")):
        save_clip(folder / f"{name}.npz", drawn_clip(group))
    return folder


@pytest.fixture(scope="module")
def case(store):
    return load_case(CaseFile("drawn", store / "1.npz", "one"), WIDTH)


def test_only_held_out_groups_are_measured_in_turn(store):
    assert [file.name for file in store_files(store, ["one", "two"], 3)] == ["1", "3", "2"]
    with pytest.raises(DatasetError, match="no clip of the held-out groups"):
        store_files(store, ["three"], 3)


def test_a_case_is_16_frames_over_the_whole_clip(case, store):
    clip = drawn_clip("one")
    assert torch.equal(case.frames[0], clip.frames[0])
    assert torch.equal(case.frames[-1], clip.frames[-1])
    assert len(case.frames) == 16
    small = load_case(CaseFile("drawn", store / "1.npz", "one"), 32)
    assert small.frames.shape == (16, 3, 32, 32)  # 24 rows are brought to the nearest multiple of 16


def test_no_exemplar_is_nearer_than_a_quarter_of_the_clip(case):
    times = torch.linspace(0, FRAMES - 1, 16).round()
    used = torch.stack([case.exemplar.actor_frame, case.exemplar.object_frame])
    assert ((used - times).abs() >= 0.25 * (FRAMES - 1)).all()


def test_carried_frames_are_those_away_from_both_ends():
    mask = torch.zeros(5, 8, 40, dtype=torch.bool)
    for frame, x in enumerate((4, 5, 15, 27, 28)):
        mask[frame, 2:6, x : x + 8] = True
    assert carried(mask).tolist() == [False, False, True, False, False]
    mask[2] = False
    assert not carried(mask).any()


def test_baselines_begin_with_the_real_frame(case):
    assert torch.equal(plate_alone(case, 0)[0], case.frames[0])
    assert torch.equal(plate_alone(case, 0)[5], case.plate.image)
    assert torch.equal(repeat_first(case, 0)[9], case.frames[0])
    assert torch.equal(pasted(case, 0)[0], case.frames[0])


def test_paste_of_a_rigid_scene_is_the_scene(case):
    scores = frame_scores(case, pasted(case, 0), ABSOLUTE)
    assert scores["psnr_region"] > frame_scores(case, plate_alone(case, 0), ABSOLUTE)["psnr_region"] + 5
    real = frame_scores(case, case.frames, ABSOLUTE)
    assert (real["lpips_region"], real["psnr"], real["ssim"], real["sharpness_region"]) == (0, math.inf, 1, 1)


def test_scores_leave_the_given_frame_out(case):
    damaged = case.frames.clone()
    damaged[0] = 0
    assert frame_scores(case, damaged, ABSOLUTE)["psnr"] == math.inf


class ByColour:
    """A segmenter that is right about drawn clips: the object is red, the actor green."""

    def segment(self, episode, plate=None, prompt=None, phases=()):
        frames = episode.frames.int()
        red = (frames[:, 0] > 200) & (frames[:, 1] < 60)
        green = (frames[:, 1] > 150) & (frames[:, 0] < 60)
        return MaskTrajectory(green, red, torch.ones(len(frames)))


def request_for(case):
    return Request(case.frames[0], case.masks, carried(case.masks.object), case.plate)


def test_control_of_real_frames_is_perfect(case):
    scores = control_scores(case.frames, request_for(case), ByColour())
    assert (scores["place_error_percent"], scores["contact_percent"], scores["final_iou"]) == (0, 100, 1)
    assert (scores["left_behind_percent"], scores["ghost"]) == (0, 0)


def test_control_of_a_repeated_frame_shows_the_whole_way_as_error(case):
    scores = control_scores(repeat_first(case, 0), request_for(case), ByColour())
    assert scores["place_error_percent"] == pytest.approx(100 * 40 / SIDE)
    assert (scores["left_behind_percent"], scores["ghost"]) == (100, pytest.approx(1))


def test_control_of_the_plate_loses_the_object(case):
    scores = control_scores(plate_alone(case, 0), request_for(case), ByColour())
    assert scores["place_error_percent"] == math.inf
    assert scores["contact_percent"] == 0


def tiny_video_model():
    """Untrained, but with an output layer that is not zero."""
    torch.manual_seed(0)
    unet = UNetConfig(channels=[32, 32], head_channels=32, context_channels=8)
    model = VideoModel(VideoConfig(unet=unet, sampler=DiffusionConfig(steps=1)))
    torch.nn.init.normal_(model.unet.unet.conv_out.weight, std=0.1)
    return model.eval()


@pytest.mark.parametrize("name", ["paper", "ours", "ours_without_plate", "ours_without_exemplar"])
def test_no_network_sees_a_real_frame_but_the_first(case, name):
    model = tiny_video_model()
    blind = replace(case, frames=torch.cat([case.frames[:1], 255 - case.frames[1:]]))
    made = network(name, model, case, 3)
    assert torch.equal(made, network(name, model, blind, 3))
    assert torch.equal(made[0], case.frames[0])


def test_withheld_conditions_do_not_reach_the_network(case):
    model = tiny_video_model()
    assert not known_scene(case, "ours_without_plate").plate_known.any()
    others = replace(case, pool=255 - case.pool)  # other exemplars
    assert torch.equal(
        network("ours_without_exemplar", model, case, 3), network("ours_without_exemplar", model, others, 3)
    )
    assert not torch.equal(network("ours", model, case, 3), network("ours", model, others, 3))


def test_ours_leaves_pixels_away_from_the_masks_as_they_are(case):
    frames = network("ours", tiny_video_model(), case, 3)
    far = ~dilate(case.masks.actor | case.masks.object, 21)[1:]
    differs = (frames[1:] != case.plate.image).any(1)
    assert far.any()
    assert not differs[far].any()


def results(errors, contact=100.0):
    strip = torch.zeros(3, 4, 8, dtype=torch.uint8)
    return {
        str(index): Result(
            {"lpips_region": error / 100, "place_error_percent": error, "contact_percent": contact}, None, strip
        )
        for index, error in enumerate(errors)
    }


def test_tables_hold_numbers_that_json_knows():
    rows = {"real": results([0.0] * 3), "ours": results([10.0, 20.0, math.inf]), "plate": results([math.inf] * 3)}
    found = SetResults("drawn", rows, 0)
    control = {line["row"]: line for line in control_table(found)}
    assert control["ours"]["place_error_percent_median"] == 20
    assert control["ours"]["object_lost"] == 1
    assert control["ours"]["within_25_percent"] == pytest.approx(66.7)
    assert control["plate"]["place_error_percent_median"] is None
    json.dumps([control_table(found), quality_table(found), comparison_table(found)], allow_nan=False)


def test_ours_is_compared_clip_by_clip():
    found = SetResults("drawn", {"ours": results([10.0, 20.0, 40.0]), "plate": results([20.0, 50.0, 30.0])}, 0)
    (line,) = comparison_table(found)
    assert line["row"] == "ours - plate"
    assert line["lpips_region"] == pytest.approx((-0.1 - 0.3 + 0.1) / 3)
    assert line["lpips_region_clips_won_percent"] == pytest.approx(66.7)
    assert mean_interval([1.0, 3.0]) == [pytest.approx(2 - 1.96, abs=1e-3), pytest.approx(2 + 1.96, abs=1e-3)]


def test_kept_results_come_back_whole(tmp_path):
    strip = torch.full((3, 8, 16), 128, dtype=torch.uint8)
    path = result_path(tmp_path, "ours", "clip", ("weights",))
    assert path != result_path(tmp_path, "ours", "clip", ("other weights",))
    assert load_result(path) is None
    save_result(path, Result({"psnr": 20.5, "place_error_percent": math.inf}, torch.arange(4.0), strip, 1.5))
    kept = load_result(path)
    assert kept.scores == {"psnr": 20.5, "place_error_percent": math.inf}
    assert kept.features.tolist() == [0, 1, 2, 3]
    assert kept.seconds == 1.5
    assert torch.equal(kept.strip, strip)
    path.write_bytes(path.read_bytes()[:200])
    assert load_result(path) is None


def test_a_run_continues_and_names_the_rows_it_could_not_measure(store, tmp_path):
    config = GenerationBenchmarkConfig(
        stores=[str(store)], held_out_groups=["one"], clips=2, simulated_robots=[], width=WIDTH, fvd_clips=0,
        control_clips=0, episodes=0, pipeline_episodes=0,
        folder=str(tmp_path), sheet_clips=2, rows=["repeat_first", "plate", "paper"], weights_paper="",
    )  # fmt: skip
    figures = run(config)
    assert [line["row"] for line in figures["skipped_rows"]] == ["paper"]
    assert {line["row"]: line["clips"] for line in figures["quality"]} == {"repeat_first": 2, "plate": 2}
    json.dumps(figures, allow_nan=False)
    assert (tmp_path / "sheets" / "drawn_plate.png").is_file()
    kept = {path: path.stat().st_mtime_ns for path in tmp_path.rglob("*.npz")}
    assert len(kept) == 6
    assert run(replace(config, clips=3))["clips"] == {"drawn": 3}
    assert all(path.stat().st_mtime_ns == time for path, time in kept.items())


def test_unknown_rows_are_refused():
    with pytest.raises(ConfigError, match="unknown row 'hours'"):
        GenerationBenchmarkConfig(rows=["hours"])
