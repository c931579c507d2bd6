"""The live frame: where the object is in it now, with and without a click, and views that are refused."""

from dataclasses import replace

import cv2
import numpy as np
import pytest
import torch

from m2iv_robot.annotate import AnnotationTask
from m2iv_robot.data.lerobot_io import DatasetConfig, open_dataset, read_frames
from m2iv_robot.data.mask_store import MaskStore
from m2iv_robot.data.simulation import SimulationConfig, load_truth, record_all
from m2iv_robot.errors import PromptError, RequestError
from m2iv_robot.masks import centroid
from m2iv_robot.requests.live import place_now
from m2iv_robot.requests.request import AugmentRequest, RequestLimits, check_request
from m2iv_robot.segmentation.motion import MotionSegmenter

CAMERA = "observation.images.front"


@pytest.fixture(scope="module")
def lab(tmp_path_factory):
    """Two episodes of one lab with the object at two places, and true masks."""
    root = tmp_path_factory.mktemp("live") / "lab"
    config = SimulationConfig(width=320, height=240, wrist_width=0, fps=10, scene_seed=3, shape="cube", start_y_max=0.0)
    record_all(config, root, 2, 20)
    store = MaskStore(root.parent / "masks")
    for index in range(2):
        store.save("lab", index, CAMERA, load_truth(root, index).masks, {"plate": "pose_00"})
    return AnnotationTask(open_dataset(DatasetConfig(root=str(root))), CAMERA, MotionSegmenter(), store, "")


def request(lab, **given):
    return AugmentRequest(dataset="lab", output="out", camera=CAMERA, **given)


def picture(path, frame):
    """The frame of a video as an image file; returns its name."""
    cv2.imwrite(str(path), frame.permute(1, 2, 0).numpy()[:, :, ::-1])
    return str(path)


@pytest.mark.parametrize("enlarged", [1, 2])
@pytest.mark.parametrize("pointing", ["nothing", "click", "box", "mask"])
def test_the_object_is_found_where_it_is_now(lab, tmp_path, pointing, enlarged):
    truth = load_truth(lab.dataset.root, 1).masks.object[0]  # the live frame is the first of the other episode
    place = centroid(truth)
    frame = read_frames(lab.dataset, 1, CAMERA)[0].repeat_interleave(enlarged, 1).repeat_interleave(enlarged, 2)
    mask = truth.repeat_interleave(enlarged, 0).repeat_interleave(enlarged, 1)
    rows, columns = (torch.nonzero(mask.any(axis))[:, 0] for axis in (1, 0))
    around = [columns[0] - 4, rows[0] - 4, columns[-1] + 4, rows[-1] + 4]
    given = {
        "nothing": {},
        "click": {"object_xy": (place * enlarged).tolist()},
        "box": {"object_box": [float(side) for side in around]},
        "mask": {"object_mask": picture(tmp_path / "mask.png", 255 * mask.byte().expand(3, -1, -1))},
    }[pointing]
    live = request(lab, live_frame=picture(tmp_path / "live.png", frame), **given)
    found = place_now(lab, live)
    assert np.hypot(*(np.asarray(found) - place.numpy())) < 0.35 * float(truth.sum()) ** 0.5


def test_another_view_an_empty_table_and_a_click_on_the_table_are_refused(lab, tmp_path):
    frames = read_frames(lab.dataset, 0, CAMERA)
    turned = request(lab, live_frame=picture(tmp_path / "turned.png", frames[0].roll((30, 40), (1, 2))))
    with pytest.raises(RequestError, match="does not stand where"):
        place_now(lab, turned)
    plate = load_truth(lab.dataset.root, 0).plate
    empty = request(lab, live_frame=picture(tmp_path / "empty.png", plate.image))
    with pytest.raises(RequestError, match="nothing like the object"):
        place_now(lab, empty)
    with pytest.raises(PromptError):
        place_now(lab, replace(empty, object_xy=[160.0, 200.0]))


def test_a_live_request_is_checked_in_live_pixels(lab, tmp_path):
    limits = RequestLimits(str(lab.dataset.root.parent), str(tmp_path))
    live = picture(tmp_path / "live.png", torch.zeros(3, 480, 640, dtype=torch.uint8))
    wide = picture(tmp_path / "wide.png", torch.zeros(3, 360, 640, dtype=torch.uint8))
    check_request(request(lab, live_frame=live, object_xy=[600.0, 400.0]), limits)
    for bad, why in (
        ({"live_frame": live, "object_xy": [650.0, 10.0]}, "outside the image, which is 640x480"),
        ({"object_xy": [600.0, 200.0]}, "outside the image, which is 320x240"),
        ({"live_frame": wide}, "not the same shape"),
        ({"live_frame": live, "kind": "goal"}, "the start that moves"),
        ({"live_frame": live, "goal_xy": [10.0, 10.0]}, "the start that moves"),
        ({"live_frame": live, "count": 2}, "makes one episode"),
        ({"live_frame": str(tmp_path / "none.png")}, "no image that can be read"),
    ):
        with pytest.raises(RequestError, match=why):
            check_request(request(lab, **bad), limits)
