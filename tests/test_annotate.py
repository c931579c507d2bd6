"""Annotating a dataset: grouping, plates, resuming, edited masks, failures and the page."""

import shutil
from dataclasses import replace

import cv2
import pytest
import torch
from drawn_scene import HEIGHT, HELD, LENGTH, WIDTH, draw, table

from m2iv_robot import masks
from m2iv_robot.annotate import AnnotationConfig, AnnotationTask, annotate_dataset, write_annotation_page
from m2iv_robot.cli import main
from m2iv_robot.data.lerobot_io import DatasetConfig, open_dataset
from m2iv_robot.data.mask_store import MaskStore
from m2iv_robot.errors import ConfigError, DatasetError, PromptError, SegmentationError
from m2iv_robot.segmentation.prompts import PromptConfig

FRONT = "observation.images.front"


@pytest.fixture(scope="module")
def drawn_dataset(tmp_path_factory):
    """Two episodes with a carried block and one in which nothing is carried; no state."""
    from lerobot.configs import RGBEncoderConfig
    from lerobot.datasets.lerobot_dataset import LeRobotDataset

    root = tmp_path_factory.mktemp("annotate") / "drawn"
    features = {
        FRONT: {"dtype": "video", "shape": (HEIGHT, WIDTH, 3), "names": ["height", "width", "channels"]},
        "action": {"dtype": "float32", "shape": (1,), "names": None},
    }
    encoder = RGBEncoderConfig(vcodec="h264", crf=10)
    dataset = LeRobotDataset.create("drawn", 10, features, root=root, use_videos=True, rgb_encoder=encoder)
    for moves in (True, True, False):
        episode, _ = draw(moves=moves)
        for frame in episode.frames.permute(0, 2, 3, 1).numpy():
            dataset.add_frame({FRONT: frame, "action": torch.zeros(1).numpy(), "task": "move the block"})
        dataset.save_episode()
    dataset.finalize()
    return root


class KnowingSegmenter:
    """Returns the drawn truth and refuses the episode in which nothing moves; counts how often it is asked."""

    def __init__(self):
        self.asked = []

    def segment(self, episode, plate=None, prompt=None, phases=()):
        self.asked.append((episode.index, plate is not None))
        if episode.index == 2:
            raise SegmentationError("drawn episode 2, front: nothing that is moved can be told; give a prompt")
        return draw()[1]


class RoughlyWrongSegmenter(KnowingSegmenter):
    """Without a plate it takes the lower right corner for the object, in every frame."""

    def segment(self, episode, plate=None, prompt=None, phases=()):
        found = super().segment(episode, plate, prompt, phases)
        if plate is not None:
            return found
        object_ = found.object.clone()
        object_[:, HEIGHT // 2 :, WIDTH // 2 :] = True
        return masks.trajectory(found.actor & ~object_, object_, found.confidence)


def task_for(root, store, settings="a", **changes):
    dataset = open_dataset(DatasetConfig(root=str(root)))
    return AnnotationTask(dataset, FRONT, KnowingSegmenter(), MaskStore(store), settings, **changes)


@pytest.fixture(scope="module")
def annotated(drawn_dataset, tmp_path_factory):
    task = task_for(drawn_dataset, tmp_path_factory.mktemp("masks"))
    seen = []
    return task, annotate_dataset(task, lambda *step: seen.append(step)), seen


def test_every_episode_is_annotated_or_listed_with_its_reason(annotated):
    _, report, _ = annotated
    assert [entry.index for entry in report.annotations] == [0, 1]
    assert [index for index, _ in report.failures] == [2]
    assert "nothing that is moved" in str(report.failures[0][1])


def test_what_is_found_is_where_it_was_drawn(annotated):
    _, report, _ = annotated
    truth = draw()[1]
    entry = report.annotations[0]
    assert entry.verdict == "good"
    assert entry.start_px == pytest.approx(masks.centroid(truth.object[0]).tolist(), abs=0.5)
    assert entry.goal_px == pytest.approx(masks.centroid(truth.object[-1]).tolist(), abs=0.5)


def test_episodes_of_one_pose_share_a_plate_without_actor_and_object(annotated):
    _, report, _ = annotated
    assert [pose.episodes for pose in report.poses] == [(0, 1, 2)]
    plate = report.poses[0].plate
    assert plate.known.float().mean() > 0.98
    difference = (plate.image.float() - torch.from_numpy(table()).permute(2, 0, 1)).abs().mean(0)
    assert difference[plate.known].mean() < 5  # codec and noise


def test_rough_masks_make_the_plate_and_the_plate_makes_the_masks(annotated):
    task, _, _ = annotated
    assert task.segmenter.asked[:6] == [(0, False), (1, False), (2, False), (0, True), (1, True), (2, True)]


def test_the_plate_that_is_kept_is_made_of_the_final_masks(drawn_dataset, tmp_path):
    task = replace(task_for(drawn_dataset, tmp_path), segmenter=RoughlyWrongSegmenter())
    plate = annotate_dataset(task).poses[0].plate
    assert plate.known[HEIGHT // 2 :, WIDTH // 2 :].float().mean() > 0.98
    assert torch.equal(task.store.load_plate(task.dataset.name, FRONT, "pose_00").image, plate.image)


def test_a_second_run_segments_only_what_is_missing(annotated, drawn_dataset):
    task, report, _ = annotated
    again = task_for(drawn_dataset, task.store.root)
    second = annotate_dataset(again)
    assert again.segmenter.asked == [(2, False), (2, True)]
    assert torch.equal(second.annotations[1].masks.actor, report.annotations[1].masks.actor)


def test_an_edited_mask_is_kept_when_other_settings_make_the_rest_anew(annotated, drawn_dataset, tmp_path):
    shutil.copytree(annotated[0].store.root, tmp_path / "masks")
    task = task_for(drawn_dataset, tmp_path / "masks")
    path = task.store.folder(task.dataset.name, 0, FRONT) / "000003.png"
    cv2.imwrite(str(path), cv2.imread(str(path), cv2.IMREAD_GRAYSCALE) * 0)
    again = task_for(drawn_dataset, task.store.root, settings="b")
    entry = annotate_dataset(again).annotations[0]
    assert (0, True) in again.segmenter.asked
    assert entry.edited_frames == 1
    assert not entry.masks.actor[3].any()
    assert entry.masks.actor[4].any()


def test_progress_reaches_the_end_of_each_stage(annotated):
    _, _, seen = annotated
    for stage in ("camera", "plate", "masks"):
        counts = [done for name, done, _ in seen if name == stage]
        assert counts == sorted(counts)
    assert ("camera", 3, 3) in seen
    assert seen[-1] == ("masks", 3, 3)


def test_the_page_shows_every_episode_and_refers_to_nothing_outside_itself(annotated, tmp_path):
    task, report, _ = annotated
    text = write_annotation_page(tmp_path / "page.html", task, report).read_text()
    assert "episode 0" in text
    assert "episode 1" in text
    assert "nothing that is moved can be told" in text
    assert 'src="http' not in text
    assert 'href="http' not in text


def test_a_prompt_outside_the_frame_stops_the_run_before_anything_is_done(drawn_dataset, tmp_path):
    task = task_for(drawn_dataset, tmp_path, prompt=PromptConfig(click=[500.0, 20.0]))
    with pytest.raises(PromptError, match="outside the frame"):
        annotate_dataset(task)
    assert not task.segmenter.asked


def test_an_unknown_camera_is_refused(drawn_dataset, tmp_path):
    task = task_for(drawn_dataset, tmp_path)
    with pytest.raises(DatasetError, match="no camera 'side'"):
        annotate_dataset(AnnotationTask(**{**vars(task), "camera": "side"}))


def test_bad_settings_are_refused():
    with pytest.raises(ConfigError, match="poor_confidence"):
        AnnotationConfig(good_confidence=0.2, poor_confidence=0.5)


def test_the_command_annotates_reports_failures_in_its_status_and_writes_the_page(drawn_dataset, tmp_path, caplog):
    arguments = ["annotate", f"dataset.root={drawn_dataset}", "segmentation=motion", f"output.root={tmp_path}"]
    assert main([*arguments, "annotation.episodes=1"]) == 0
    assert (tmp_path / "masks.html").is_file()
    found = MaskStore(tmp_path).load("drawn", 0, FRONT, (LENGTH, HEIGHT, WIDTH))
    assert masks.iou(found.object, draw()[1].object)[[0, HELD.grasp - 6, LENGTH - 1]].min() > 0.6


def test_the_command_refuses_a_prompt_with_two_kinds(drawn_dataset, tmp_path, capsys):
    arguments = ["annotate", f"dataset.root={drawn_dataset}", "segmentation=motion", f"output.root={tmp_path}"]
    assert main([*arguments, "prompt.click=[3,4]", "prompt.text=cup"]) == 2
    assert "click and text" in capsys.readouterr().err
