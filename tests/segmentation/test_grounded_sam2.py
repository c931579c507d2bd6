"""Grounding DINO and SAM 2 with tiny random networks saved the way the hub keeps them, and the rules around them."""

import pytest
import torch
from drawn_scene import LENGTH, draw

from m2iv_robot.errors import CheckpointError, ConfigError, PromptError, SegmentationError
from m2iv_robot.segmentation import Prompt
from m2iv_robot.segmentation.grounded_sam2 import (
    GroundedSam2Config,
    GroundedSam2Segmenter,
    Tracks,
    moved_thing,
    temporal_iou,
    without_duplicates,
)
from m2iv_robot.types import Episode

WORDS = [
    "[PAD]",
    "[UNK]",
    "[CLS]",
    "[SEP]",
    "[MASK]",
    ".",
    "?",
    "robot",
    "arm",
    "object",
    "block",
    "robotic",
    "gripper",
]


@pytest.fixture(scope="module")
def hub_folders(tmp_path_factory):
    """Folders with random weights, configurations, processors and a word list."""
    transformers = pytest.importorskip("transformers")
    root = tmp_path_factory.mktemp("hub")
    torch.manual_seed(0)
    return save_detector(transformers, root / "detector"), save_tracker(transformers, root / "tracker")


def save_detector(transformers, folder):
    folder.mkdir()
    (folder / "vocab.txt").write_text("\n".join(WORDS))
    config = transformers.GroundingDinoConfig(
        backbone_config=transformers.SwinConfig(
            image_size=64,
            embed_dim=8,
            depths=[1, 1, 1, 1],
            num_heads=[1, 1, 2, 2],
            window_size=4,
            out_features=["stage2", "stage3", "stage4"],
        ),
        text_config=transformers.BertConfig(
            vocab_size=len(WORDS), hidden_size=16, num_hidden_layers=1, num_attention_heads=2, intermediate_size=16
        ),
        num_queries=6,
        encoder_layers=1,
        decoder_layers=2,
        encoder_ffn_dim=16,
        decoder_ffn_dim=16,
        encoder_attention_heads=2,
        decoder_attention_heads=2,
        d_model=32,
        disable_custom_kernels=True,
    )
    transformers.GroundingDinoForObjectDetection(config).save_pretrained(folder)
    images = transformers.GroundingDinoImageProcessor(size={"shortest_edge": 64, "longest_edge": 96})
    words = transformers.BertTokenizerFast(str(folder / "vocab.txt"))
    transformers.GroundingDinoProcessor(images, words).save_pretrained(folder)
    return folder


def save_tracker(transformers, folder):
    vision = {
        "backbone_config": {
            "model_type": "sam2_hiera_det_model",
            "hidden_size": 8,
            "num_attention_heads": 1,
            "image_size": [64, 64],
            "blocks_per_stage": [1, 1, 2, 1],
            "embed_dim_per_stage": [8, 16, 32, 64],
            "num_attention_heads_per_stage": [1, 1, 1, 1],
            "window_size_per_stage": [4, 2, 2, 2],
            "global_attention_blocks": [3],
        },
        "backbone_channel_list": [64, 32, 16, 8],
        "backbone_feature_sizes": [[16, 16], [8, 8], [4, 4]],
        "fpn_hidden_size": 128,
    }
    config = transformers.Sam2VideoConfig(
        vision_config=transformers.Sam2VisionConfig(**vision),
        prompt_encoder_config={"hidden_size": 128, "image_size": 64, "patch_size": 16, "mask_input_channels": 4},
        mask_decoder_config={
            "hidden_size": 128,
            "mlp_dim": 16,
            "num_attention_heads": 2,
            "iou_head_hidden_dim": 16,
        },
        memory_attention_hidden_size=128,
        memory_attention_num_layers=1,
        memory_attention_feed_forward_hidden_size=16,
        memory_attention_rope_feat_sizes=[4, 4],
        memory_encoder_hidden_size=128,
        memory_encoder_output_channels=64,
        mask_downsampler_embed_dim=128,
        memory_fuser_embed_dim=128,
        memory_fuser_intermediate_dim=16,
        image_size=64,
    )
    transformers.Sam2VideoModel(config).save_pretrained(folder)
    size = {"height": 64, "width": 64}
    transformers.Sam2VideoProcessor(
        transformers.Sam2ImageProcessor(size=size, mask_size={"height": 16, "width": 16}),
        transformers.Sam2VideoVideoProcessor(size=size),
        target_size=64,
    ).save_pretrained(folder)
    return folder


@pytest.fixture(scope="module")
def segmenter(hub_folders):
    detector, tracker = hub_folders
    config = GroundedSam2Config(
        detector=str(detector),
        tracker=str(tracker),
        box_threshold=0.0,
        text_threshold=0.0,
        max_box_share=1.0,
        max_objects=2,
        still_iou=1.0,
    )
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("HF_HUB_OFFLINE", "1")
        return GroundedSam2Segmenter(config)


@pytest.fixture(scope="module")
def short_episode():
    episode = draw()[0]
    return Episode(**{**vars(episode), "frames": episode.frames[::8].contiguous()})


@pytest.mark.parametrize(
    "prompt",
    [
        Prompt(text="block"),
        Prompt(click=(30.0, 70.0)),
        Prompt(frame=2, box=(20.0, 60.0, 40.0, 80.0)),
        Prompt(frame=1, mask=draw()[1].object[8]),
    ],
)
def test_each_kind_of_prompt_goes_through_both_networks(segmenter, short_episode, prompt):
    found = segmenter.segment(short_episode, None, prompt)
    assert found.actor.shape == found.object.shape == short_episode.frames[:, 0].shape
    assert not (found.actor & found.object).any()
    assert 0 <= found.confidence.min() <= found.confidence.max() <= 1


def test_a_prompt_outside_the_frame_is_refused(segmenter, short_episode):
    with pytest.raises(PromptError, match="outside the frame"):
        segmenter.segment(short_episode, None, Prompt(click=(300.0, 70.0)))


def test_missing_weights_are_named(hub_folders, tmp_path, monkeypatch):
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    with pytest.raises(CheckpointError, match="nothing-here"):
        GroundedSam2Segmenter(GroundedSam2Config(detector=str(tmp_path / "nothing-here")))


def test_the_lowest_temporal_iou_tells_the_moved_thing_from_the_still_one():
    truth = draw()[1]
    still = torch.zeros_like(truth.object)
    still[:, 78:88, 60:70] = True
    things = Tracks(torch.stack([still, truth.object]), torch.ones(2, LENGTH))
    assert temporal_iou(still, 5, 4) == 1
    assert temporal_iou(truth.object, 5, 4) < 0.6
    assert moved_thing(things, truth.actor, GroundedSam2Config(), False, "here") == 1


def test_where_nothing_moves_the_object_is_not_guessed():
    truth = draw()[1]
    still = torch.zeros(1, *truth.object.shape, dtype=torch.bool)
    still[:, :, 78:88, 60:70] = True
    with pytest.raises(SegmentationError, match="none of 1 things moves"):
        moved_thing(Tracks(still, torch.ones(1, LENGTH)), truth.actor, GroundedSam2Config(), False, "here")


def test_of_two_boxes_around_one_thing_the_surer_stays():
    boxes = torch.tensor([[0.0, 0, 10, 10], [1, 0, 10, 10], [20, 20, 30, 30]])
    assert torch.equal(without_duplicates(boxes), boxes[[0, 2]])


def test_thresholds_outside_their_range_are_refused():
    with pytest.raises(ConfigError, match="box_threshold"):
        GroundedSam2Config(box_threshold=1.5)
