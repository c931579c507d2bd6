"""Labs whose goal moves between episodes, with a segmenter that knows the truth: what is left is the plates."""

import pytest

from m2iv_robot.benchmark import scenes
from m2iv_robot.benchmark.scenes import ScenesConfig
from m2iv_robot.data.simulation import load_truth
from m2iv_robot.errors import ConfigError


def test_an_episodes_own_plate_shows_the_goal_that_the_common_one_lost(monkeypatch):
    class Knowing:
        def segment(self, episode, plate=None, prompt=None, phases=()):
            return load_truth(recorded[0], episode.index).masks

    def recording(settings, root, *rest):
        recorded.append(root)
        return record_all(settings, root, *rest)

    recorded, record_all = [], scenes.record_all
    monkeypatch.setattr(scenes, "load_segmenter", lambda config: Knowing())
    monkeypatch.setattr(scenes, "record_all", recording)
    figures = scenes.run(ScenesConfig(labs=1, episodes=3))
    assert figures["object_iou_own_mean"] == figures["object_iou_common_mean"] == 1.0
    assert figures["wrong_share_own_mean"] < 0.7 * figures["wrong_share_common_mean"]
    assert len(figures["episodes"]) == 6


def test_one_episode_has_no_other_to_differ_from():
    with pytest.raises(ConfigError, match="two episodes"):
        ScenesConfig(episodes=1)
