"""Planning a whole dataset: a few simulated episodes with true masks, at a small size."""

import dataclasses
import shutil

import numpy as np
import pytest
import torch

from m2iv_robot.data.lerobot_io import DatasetConfig, open_dataset, read_labels
from m2iv_robot.data.mask_store import MaskStore
from m2iv_robot.data.simulation import SimulationConfig, load_truth, record_all, replay
from m2iv_robot.errors import DatasetError, PlanError
from m2iv_robot.kinematics import RobotConfig
from m2iv_robot.masks import centroid
from m2iv_robot.placement import PlacementConfig
from m2iv_robot.plan import (
    PlanConfig,
    PlanReport,
    PlanTask,
    plan_dataset,
    read_plans,
    write_drawings,
    write_plan_page,
    write_plans,
)
from m2iv_robot.plan.dataset import kinematics_of

CAMERA = "observation.images.front"
EPISODES, PLANS = 3, 12
ROLL, MOST_ROLL_DEG = 4, 15.0  # the wrist's column; how far it may be from the recorded grasp's


@pytest.fixture(scope="module")
def task(tmp_path_factory) -> PlanTask:
    root = tmp_path_factory.mktemp("plan") / "lab"
    config = SimulationConfig(width=160, height=120, wrist_width=0, fps=10, scene_seed=3, shape="cube", start_y_max=0.0)
    record_all(config, root, EPISODES, 20)
    store = MaskStore(root.parent / "masks")
    truths = [load_truth(root, index) for index in range(EPISODES)]
    for index, truth in enumerate(truths):
        store.save("lab", index, CAMERA, truth.masks, {"plate": "pose_00"})
    store.save_plate("lab", CAMERA, "pose_00", truths[0].plate)
    dataset = open_dataset(DatasetConfig(root=str(root)))
    return PlanTask(dataset, CAMERA, store, config=PlanConfig(count=PLANS, seed=1))


@pytest.fixture(scope="module")
def report(task) -> PlanReport:
    return plan_dataset(task)


def test_plans_from_pixels_and_logs_work_in_the_simulator(task, report):
    successes = []
    for plan in report.plans:
        truth = load_truth(task.dataset.root, plan.source_episode)
        start = (plan.placement.motion_m @ [*truth.start_xy, 0, 1])[:2]
        actions = plan.motion.action.double().numpy()
        yaw = truth.start_yaw_rad + plan.placement.turn_rad
        successes.append(replay(truth.config, truth.seed, tuple(start.tolist()), actions, yaw).success)
    assert len(successes) == PLANS
    assert all(successes)


def test_the_object_is_turned_with_the_arm_so_that_it_is_grasped_as_recorded(task, report):
    robot, rolled = kinematics_of(task), []
    for plan in report.plans:
        source = read_labels(task.dataset, plan.source_episode)
        truth = load_truth(task.dataset.root, plan.source_episode)
        base = robot.joint_poses(source.state[:1])[0, 0, :2, 3]
        old = np.asarray(truth.start_xy) - base
        new = old + plan.placement.shift_m
        turn = np.arctan2(old[0] * new[1] - old[1] * new[0], old @ new)
        assert plan.placement.turn_rad == pytest.approx(turn, abs=np.radians(5))
        grasp = int(plan.motion.source_time[plan.motion.grasp_frame])
        rolled.append(abs(float(plan.motion.state[plan.motion.grasp_frame, ROLL] - source.state[grasp, ROLL])))
    assert np.mean(np.array(rolled) < MOST_ROLL_DEG) > 0.8  # not where the arm is stretched
    assert max(abs(plan.placement.turn_rad) for plan in report.plans) > np.radians(20)


def test_objects_lie_as_they_lay_where_that_is_asked_for(task):
    kept = dataclasses.replace(task, placement=PlacementConfig(turn="never"), config=PlanConfig(count=3))
    assert all(plan.placement.motion_m is None for plan in plan_dataset(kept).plans)


def test_every_episode_takes_its_turn_and_places_are_apart(report):
    sources = [plan.source_episode for plan in report.plans]
    assert sources[:EPISODES] == list(range(EPISODES))
    shifts = {plan.placement.shift_px for plan in report.plans}
    assert len(shifts) == PLANS
    assert not report.failures
    assert not report.notes


def test_plans_come_back_from_their_files_as_they_were(report, tmp_path):
    write_plans(tmp_path, report)
    for before, after in zip(report.plans, read_plans(tmp_path), strict=True):
        assert before.source_episode == after.source_episode
        for part in ("placement", "motion"):
            old, new = getattr(before, part), getattr(after, part)
            for field in dataclasses.fields(old):
                value, read = getattr(old, field.name), getattr(new, field.name)
                same = np.array_equal(value, read) if isinstance(value, np.ndarray | torch.Tensor) else value == read
                assert same, field.name


def test_a_damaged_plan_file_is_named(report, tmp_path):
    write_plans(tmp_path, report)
    (tmp_path / "plans" / "plan_000002.npz").write_bytes(b"nothing")
    with pytest.raises(PlanError, match="plan_000002"):
        read_plans(tmp_path)
    with pytest.raises(PlanError, match="no such file"):
        read_plans(tmp_path / "elsewhere")


def test_the_page_and_the_drawing_show_all_plans(task, report, tmp_path):
    page = write_plan_page(tmp_path / "plans.html", task, report).read_text()
    assert f"{PLANS} plans" in page
    (drawing,) = write_drawings(tmp_path, report, "start")
    assert drawing.stat().st_size > 10_000


def test_without_kinematics_placements_stay_in_the_image_and_the_cost_is_said(task):
    config = PlanConfig(count=3)
    found = plan_dataset(dataclasses.replace(task, robot=RobotConfig(name="none", kind="none"), config=config))
    assert len(found.plans) == 3
    assert all(plan.motion is None and plan.placement.shift_m is None for plan in found.plans)
    assert "image plane only" in found.notes[0]


def test_episodes_without_masks_are_listed_with_what_to_do(task, tmp_path):
    found = plan_dataset(dataclasses.replace(task, store=MaskStore(tmp_path)))
    assert not found.plans
    assert [index for index, _ in found.failures] == list(range(EPISODES))
    assert "m2iv annotate" in str(found.failures[0][1])


def test_an_unknown_camera_is_refused(task):
    with pytest.raises(DatasetError, match="top"):
        plan_dataset(dataclasses.replace(task, camera="top"))


def test_a_chosen_place_makes_one_plan_of_the_one_episode(task, report):
    known = report.plans[0]
    place = centroid(known.placement.start).tolist()
    config = PlanConfig(count=3, only=known.source_episode)
    found = plan_dataset(dataclasses.replace(task, config=config, placement=PlacementConfig(at_px=place)))
    assert [plan.source_episode for plan in found.plans] == [known.source_episode]
    np.testing.assert_allclose(found.plans[0].placement.shift_m, known.placement.shift_m, atol=0.03)
    assert found.plans[0].motion is not None


def test_a_polygon_bounds_the_places(task):
    polygon = PlacementConfig(polygon_px=[80.0, 50.0, 159.0, 50.0, 159.0, 119.0, 80.0, 119.0])
    flat = dataclasses.replace(task, robot=RobotConfig(name="none", kind="none"), config=PlanConfig(count=3))
    found = plan_dataset(dataclasses.replace(flat, placement=polygon))
    assert len(found.plans) == 3
    for plan in found.plans:
        columns = torch.nonzero(plan.placement.start.any(dim=0))
        assert int(columns.min()) >= 76


def test_places_keep_off_what_stands_there_in_their_episode_alone(task, tmp_path):
    shutil.copytree(task.store.root, tmp_path / "masks")
    store = MaskStore(tmp_path / "masks")
    before = plan_dataset(dataclasses.replace(task, store=store, config=PlanConfig(count=1, seed=1, only=0)))
    outline = before.plans[0].placement.start
    plate = store.load_plate("lab", CAMERA, "pose_00")
    own = dataclasses.replace(plate, image=torch.where(outline, 255 - plate.image, plate.image))
    store.save_episode_plate("lab", CAMERA, "pose_00", 0, own)
    after = plan_dataset(dataclasses.replace(task, store=store, config=PlanConfig(count=4, seed=1, only=0)))
    assert after.plans
    assert not any((plan.placement.start & outline).any() for plan in after.plans)


def test_what_could_not_be_shown_is_refused_and_another_place_is_tried(task):
    asked = []

    def drawable(plan, recorded, camera, kinematics):
        asked.append(plan)
        assert len(recorded) == EPISODES
        if len(asked) <= 2:
            raise PlanError("the arm was never seen so")

    found = plan_dataset(dataclasses.replace(task, drawable=drawable, config=PlanConfig(count=1, seed=1, only=1)))
    assert len(found.plans) == 1
    assert [entry.reason for entry in found.refusals].count("the arm was never seen so") == 2


def test_what_one_camera_pose_cannot_give_is_planned_from_the_others(task, tmp_path):
    shutil.copytree(task.store.root, tmp_path / "masks")
    store = MaskStore(tmp_path / "masks")
    store.save("lab", 2, CAMERA, store.load("lab", 2, CAMERA), {"plate": "pose_01"})  # which has no plate
    found = plan_dataset(dataclasses.replace(task, store=store))
    assert [index for index, _ in found.failures] == [2]
    assert [plan.source_episode for plan in found.plans] == [0, 1] * (PLANS // 2)
