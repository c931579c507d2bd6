"""The augmenter over real DDS: its lifecycle, what it refuses, cancelling, and an episode from request to dataset."""

import json
import os
import shutil
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest
from augmenter_client import ACTIVATE, CLEANUP, CONFIGURE, DEACTIVATE, NODE, SAMPLE, AugmenterClient
from ros_processes import TIMEOUT_S, interrupt, node_parameters, wait_until

from m2iv_robot.data.lerobot_io import DatasetConfig, open_dataset, read_frames
from m2iv_robot.data.mask_store import MaskStore
from m2iv_robot.masks import centroid

FRONT = "observation.images.front"
MOST_S = 25 * TIMEOUT_S  # for annotating, planning and making on a busy machine


@pytest.fixture
def augmenter(client):
    return AugmenterClient(client)


@pytest.fixture
def folders(tmp_path):
    """A data folder with the sample that ships, and an output folder."""
    shutil.copytree(SAMPLE, tmp_path / "data" / "cups")
    (tmp_path / "out").mkdir()
    return {"data_root": str(tmp_path / "data"), "output_root": str(tmp_path / "out"), "dataset": "cups"}


def test_bad_requests_are_refused_the_node_lives_and_a_good_one_can_be_cancelled(processes, augmenter, folders):
    node = processes.start(
        "ros_nodes.augmenter_node",
        *node_parameters(
            **folders, load_timeout_s=TIMEOUT_S, segmentation="motion", renderer="cut_and_paste", device="cpu"
        ),
    )
    assert "configure and activate" in augmenter.call("augment").message
    assert augmenter.change(CONFIGURE)
    assert "configure and activate" in augmenter.call("augment").message
    assert augmenter.change(ACTIVATE)
    for name, value in (
        ("count", 0),
        ("kind", "middle"),
        ("source", "dream"),
        ("episode", -1),
        ("object_text", "x" * 2000),
        ("queue_limit", 9),
    ):
        assert augmenter.set(**{name: value}), name
    for name, bad, good, why in (
        ("dataset", "plates", "cups", "no such folder"),
        ("dataset", "../out", "cups", "only folders below"),
        ("output", "../data/cups", "synthetic", "only folders below"),
        ("output", "/etc", "synthetic", "only folders below"),
        ("camera", "observation.images.side", "observation.images.front", "its cameras are"),
        ("episode", 999, 0, "no episode 999"),
        ("count", 101, 1, "1 to 100 episodes"),
    ):
        assert augmenter.set(**{name: bad}) == ""
        answer = augmenter.call("augment")
        assert not answer.success and why in answer.message, answer.message
        assert augmenter.set(**{name: good}) == ""
    assert augmenter.set(source="live") == ""
    assert "no image came on /image" in augmenter.call("augment").message
    assert augmenter.set(source="recorded") == ""
    augmenter.point_at_goal(5000.0, 10.0)
    assert "outside the image" in augmenter.call("augment").message
    assert not augmenter.call("cancel").success

    augmenter.point_at_goal(40.0, 40.0)
    assert augmenter.call("augment").message == "request 1"
    assert augmenter.call("augment").message == "request 2"
    assert augmenter.call("cancel").success
    wait_until(lambda: augmenter.status("request 1").startswith("cancelled"))
    assert augmenter.status("request 2").startswith("cancelled")
    assert augmenter.change(DEACTIVATE) and augmenter.change(CLEANUP)
    assert "configure and activate" in augmenter.call("augment").message
    assert augmenter.change(CONFIGURE) and augmenter.change(ACTIVATE)
    assert interrupt(node) == 0
    assert list(Path(folders["output_root"]).glob("synthetic")) == []


def test_weights_that_are_missing_fail_the_configuration_with_their_name(processes, augmenter, folders, tmp_path):
    node = processes.start(
        "ros_nodes.augmenter_node",
        *node_parameters(
            **folders, load_timeout_s=TIMEOUT_S, segmentation="motion", video_weights=str(tmp_path / "none.safetensors")
        ),
    )
    assert not augmenter.change(CONFIGURE)
    assert "none.safetensors" in processes.said("ros_nodes.augmenter_node")
    assert node.poll() is None
    assert interrupt(node) == 0


@contextmanager
def showing(client, pixels):
    """A camera that shows a still picture (h w 3) on /image."""
    from sensor_msgs.msg import Image
    from std_msgs.msg import Header

    from ros_nodes.conversions import image_message

    publisher = client.node.create_publisher(Image, "/image", 10)
    timer = client.node.create_timer(0.1, lambda: publisher.publish(image_message(pixels, Header())))
    yield
    client.node.destroy_timer(timer)


def test_a_camera_of_full_size_is_heard_before_any_model_is_loaded(processes, client, augmenter, folders):
    node = processes.start("ros_nodes.augmenter_node", *node_parameters(**folders))
    with showing(client, np.random.default_rng(0).integers(0, 255, (480, 640, 3), dtype=np.uint8)):
        wait_until(lambda: float(augmenter.status("camera Hz") or 0) > 0, what="pictures that are sent in many parts")
    assert interrupt(node) == 0


@pytest.mark.skipif("M2IV_LONG_TESTS" not in os.environ, reason="takes minutes; set M2IV_LONG_TESTS to run it")
def test_a_request_becomes_frames_on_topics_and_an_episode_in_a_dataset(processes, client, augmenter, folders):
    from sensor_msgs.msg import Image, JointState

    topics = {"image_raw": Image, "masks": Image, "joint_states": JointState}
    for name, kind in topics.items():
        client.listen(kind, f"{NODE}/synthetic/{name}", 100)
    node = processes.start(
        "ros_nodes.augmenter_node",
        *node_parameters(**folders, load_timeout_s=TIMEOUT_S, renderer="cut_and_paste", device="cpu", gate=False),
    )
    assert augmenter.change(CONFIGURE) and augmenter.change(ACTIVATE)
    assert augmenter.call("augment").message == "request 1"
    wait_until(lambda: augmenter.status("request 1").split(";")[0] in ("done", "failed"), MOST_S)
    assert augmenter.status("request 1").startswith("done; 1 written"), augmenter.status("request 1")
    source = open_dataset(DatasetConfig(root=f"{folders['data_root']}/cups"))
    made = open_dataset(DatasetConfig(root=f"{folders['output_root']}/synthetic"))
    assert (made.episode_count, made.fps, made.robot_type) == (1, source.fps, source.robot_type)
    heard = {name: client.heard[f"{NODE}/synthetic/{name}"] for name in topics}
    wait_until(lambda: all(len(messages) == made.length(0) for messages in heard.values()))
    stamps = [message.header.stamp.sec + message.header.stamp.nanosec / 1e9 for message in heard["image_raw"]]
    assert (stamps[-1] - stamps[0]) == pytest.approx((made.length(0) - 1) / made.fps, rel=0.1)
    assert set(heard["masks"][0].data) <= {0, 100, 200}
    assert list(heard["joint_states"][0].name) == list(source.features["observation.state"]["names"])

    # the other request: the object stands where it stood at the beginning of episode 1, the motion is that of episode 0
    assert augmenter.set(source="live") == ""
    with showing(client, read_frames(source, 1, FRONT)[0].permute(1, 2, 0).numpy()):
        wait_until(lambda: augmenter.call("augment").success, what="a live picture")
    wait_until(lambda: augmenter.status("request 2").split(";")[0] in ("done", "failed"), MOST_S)
    assert augmenter.status("request 2").startswith("done; 1 written"), augmenter.status("request 2")
    lines = (Path(folders["output_root"]) / "synthetic" / "meta" / "m2iv_provenance.jsonl").read_text().splitlines()
    store = MaskStore(Path(folders["output_root"]) / "synthetic_masks")
    starts = [store.load(source.name, index, FRONT).object[0] for index in (0, 1)]
    shift = (centroid(starts[1]) - centroid(starts[0])).numpy()
    made_shift = json.loads(lines[1])["shift_px"]
    np.testing.assert_allclose(made_shift, shift, atol=0.3 * float(starts[0].sum()) ** 0.5)
    assert interrupt(node) == 0
