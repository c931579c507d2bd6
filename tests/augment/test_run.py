"""The whole run on a small simulated dataset with true masks, without networks."""

import json
from dataclasses import replace

import pytest
import torch

from m2iv_robot.annotate import AnnotationTask
from m2iv_robot.augment import AugmentConfig, AugmentTask, Networks, run_augmentation, write_augment_page
from m2iv_robot.augment.footage import Library
from m2iv_robot.augment.handles import picture_motion
from m2iv_robot.augment.run import plan_task
from m2iv_robot.augment.wrist import ToolCameras
from m2iv_robot.data.lerobot_io import DatasetConfig, WriterConfig, open_dataset, read_frames, read_labels
from m2iv_robot.data.mask_store import MaskStore
from m2iv_robot.data.simulation import SimulationConfig, load_truth, record_all
from m2iv_robot.errors import PlanError
from m2iv_robot.kinematics import RobotConfig
from m2iv_robot.plan import plan_dataset
from m2iv_robot.plan.dataset import kinematics_of
from m2iv_robot.types import Episode, MaskTrajectory

CAMERA, WRIST = "observation.images.front", "observation.images.wrist"
EPISODES, COUNT = 2, 2


class TrueSegmenter:
    """Never asked: the masks are there."""

    def segment(self, episode: Episode, plate=None, prompt=None, phases=()) -> MaskTrajectory:
        raise AssertionError("the stored masks are used")


@pytest.fixture(scope="module")
def annotation(tmp_path_factory) -> AnnotationTask:
    root = tmp_path_factory.mktemp("augment") / "lab"
    config = SimulationConfig(width=160, height=120, fps=10, scene_seed=3, shape="cube", start_y_max=0.0)
    record_all(config, root, EPISODES, 20)
    task = AnnotationTask(
        open_dataset(DatasetConfig(root=str(root))), CAMERA, TrueSegmenter(), MaskStore(root.parent / "masks"), "true"
    )
    truths = [load_truth(root, index) for index in range(EPISODES)]
    note = {"plate": "pose_00", "pose_episodes": "0 1", "settings": task.settings_hash}
    for index, truth in enumerate(truths):
        task.store.save("lab", index, CAMERA, truth.masks, note)
    task.store.save_plate("lab", CAMERA, "pose_00", truths[0].plate)
    return task


@pytest.fixture(scope="module")
def task(annotation) -> AugmentTask:
    config = AugmentConfig(
        count=COUNT,
        renderer="cut_and_paste",
        spare=0.0,
        preview=1,
        most_bend_share=1.0,
        most_turn_deg=180.0,
        most_unseen_share=1.0,
    )
    root = annotation.store.root.parent / "new"
    return AugmentTask(annotation, root, Networks(), writer=WriterConfig(include_source=True), config=config)


@pytest.fixture(scope="module")
def report(task):
    return run_augmentation(task)


def test_the_new_dataset_holds_recorded_and_new_episodes(task, report):
    made = open_dataset(DatasetConfig(root=str(task.root)))
    assert len(report.written) == COUNT
    assert made.episode_count == EPISODES + COUNT
    assert set(made.cameras) == {CAMERA, WRIST}
    lines = [json.loads(line) for line in (task.root / "meta" / "m2iv_provenance.jsonl").read_text().splitlines()]
    assert [line["episode_index"] for line in lines] == [EPISODES, EPISODES + 1]
    assert any(WRIST in note and "made anew" in note for note in lines[0]["notes"])


def test_without_a_posed_arm_the_log_says_why_wrist_frames_are_re_timed(task, report, caplog):
    plans = plan_task(task, COUNT)
    planned, kinematics = plan_dataset(plans), kinematics_of(plans)
    plan, scene = planned.plans[0], planned.scenes[0]
    footage = Library(task, plans, kinematics, {}).footage(plan.source_episode, scene)
    picture, _ = picture_motion(plan, footage, kinematics, scene.camera)
    cameras, bent = ToolCameras(plans, kinematics), replace(footage, film=None)
    with caplog.at_level("WARNING"):
        assert cameras.remade(WRIST, plan, picture, bent, scene) is None
        assert cameras.remade(WRIST, plan, picture, bent, scene) is None
    assert ["re-timed" in record.message for record in caplog.records] == [True]
    retimed, real = cameras.retimed(WRIST, plan), read_frames(task.annotation.dataset, plan.source_episode, WRIST)
    assert torch.equal(retimed[-1], real[-1])
    assert len(retimed) == len(plan.motion.state)


def test_labels_are_the_plans(task, report):
    made = open_dataset(DatasetConfig(root=str(task.root)))
    plan = plan_dataset(plan_task(task, COUNT)).plans[0]
    labels = read_labels(made, EPISODES)
    assert torch.allclose(labels.state, plan.motion.state.to(labels.state.dtype))
    assert torch.allclose(labels.action, plan.motion.action.to(labels.action.dtype))


def test_the_same_command_again_changes_nothing(task, report):
    before = (task.root / "meta" / "info.json").stat().st_mtime_ns
    again = run_augmentation(task)
    assert again.outcomes == report.outcomes
    assert (task.root / "meta" / "info.json").stat().st_mtime_ns == before


def test_the_page_shows_the_episodes_and_how_to_train_on_them(task, report):
    page = write_augment_page(task, report).read_text()
    assert page.count("<video") == COUNT
    assert "lerobot-train --dataset.repo_id=local/new" in page
    assert "HF_HUB_OFFLINE=1" in page


def test_without_kinematics_it_says_so_and_stops_or_makes_videos_alone(task, report, tmp_path):
    flat = replace(task.annotation, robot=RobotConfig(name="none", kind="none"))
    with pytest.raises(PlanError, match="labels=video_only"):
        run_augmentation(replace(task, annotation=flat, root=tmp_path / "none"))
    videos = replace(task.config, labels="video_only", count=1)
    only = replace(task, annotation=flat, root=tmp_path / "videos", config=videos)
    made = run_augmentation(only)
    assert len(made.written) == 1
    assert not only.root.exists()
    assert len(list((only.report_folder / "videos").glob("*.mp4"))) == 1
