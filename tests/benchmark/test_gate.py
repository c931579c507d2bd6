import torch
from drawn_candidate import ColourSegmenter, source

from m2iv_robot.benchmark.gate.benchmark import CALIBRATION, GOOD, HELD_OUT, scene_rows, summary
from m2iv_robot.benchmark.gate.sources import Scene
from m2iv_robot.quality import QualityConfig


def test_the_drawn_episode_passes_and_all_its_bad_variants_are_rejected():
    rows = scene_rows(Scene("drawn", "simulated", (source(),)), ColourSegmenter(), QualityConfig())
    verdicts = {row["variant"]: row["failed"] for row in rows}
    assert verdicts.pop(GOOD) == []
    assert set(verdicts) >= {"frames shuffled", "object erased", "labels 1 s late", "gripper inverted"}
    assert all(verdicts.values())


def test_the_table_counts_each_part_by_itself():
    good = {"kind": "simulated", "scene": "a", "episode": 0, "variant": GOOD, "values": {"order": 1.0}, "failed": []}
    bad = {**good, "variant": "object erased", "values": {"order": 0.1}, "failed": ["order"]}
    slipped = {**bad, "failed": []}
    rows = [{**good, "part": CALIBRATION}, {**bad, "part": HELD_OUT}, {**slipped, "part": HELD_OUT}]
    figures = summary(rows)
    erased = next(line for line in figures["verdicts"] if line["variant"] == "object erased")
    assert (erased["held out, %"], erased["held out, of"], erased["calibration, of"]) == (50.0, 2, 0)
    assert erased["by"] == "order 1"
    assert [row["variant"] for row in figures["accepted_bad"]] == ["object erased"]
    assert figures["rejected_real"] == []


def test_a_request_for_another_place_is_examined_anew():
    asked = []

    class Watching(ColourSegmenter):
        def segment(self, episode, plate=None, prompt=None, phases=()):
            asked.append(prompt.rest)
            return super().segment(episode, plate, prompt, phases)

    scene_rows(Scene("drawn", "simulated", (source(),)), Watching(), QualityConfig())
    assert any(not torch.equal(rest, asked[0]) for rest in asked[1:])
