import pytest
import torch
from lerobot.configs import FeatureType, PolicyFeature
from lerobot.configs.policies import PreTrainedConfig
from lerobot.policies import get_policy_class, make_pre_post_processors
from torch import nn

from policies_demo.keypoint_act import KeypointActConfig
from policies_demo.keypoint_act.modeling_keypoint_act import KeypointActPolicy, KeypointEncoder

HEIGHT, WIDTH = 24, 32


@pytest.fixture
def config() -> KeypointActConfig:
    return KeypointActConfig(
        input_features={
            "observation.state": PolicyFeature(FeatureType.STATE, (6,)),
            "observation.images.front": PolicyFeature(FeatureType.VISUAL, (3, HEIGHT, WIDTH)),
        },
        output_features={"action": PolicyFeature(FeatureType.ACTION, (6,))},
        chunk_size=5, n_action_steps=3, dim_model=16, n_heads=2, dim_feedforward=32, n_encoder_layers=1,
        use_vae=False, keypoints=4, encoder_width=8, device="cpu",
    )  # fmt: skip


def test_the_keypoint_of_a_lone_bright_pixel_is_its_place(config):
    encoder = KeypointEncoder(config)
    encoder.layers = nn.Identity()
    images = torch.zeros(1, 3, 7, 11)
    images[0, 0, 2, 10] = images[0, 1, 6, 0] = images[0, 2, 3, 5] = 100.0
    places = encoder(images)["feature_map"][0, :, 0, 0]
    assert places.tolist() == pytest.approx([1, -1, 0, -1 / 3, 1, 0], abs=1e-5)  # columns, then rows


def test_between_two_equal_pixels_lies_their_middle(config):
    encoder = KeypointEncoder(config)
    encoder.layers = nn.Identity()
    images = torch.zeros(1, 1, 5, 9)
    images[0, 0, 0, 0] = images[0, 0, 2, 4] = 100.0
    assert encoder(images)["feature_map"].flatten().tolist() == pytest.approx([-0.5, -0.5], abs=1e-5)


def test_lerobot_finds_policy_and_processors_by_name():
    assert PreTrainedConfig.get_choice_class("keypoint_act") is KeypointActConfig
    assert get_policy_class("keypoint_act") is KeypointActPolicy


def test_the_loss_reaches_the_encoder_and_a_chunk_comes_out(config, generator):
    policy = KeypointActPolicy(config)
    batch = {
        "observation.state": torch.randn(2, 6, generator=generator),
        "observation.images.front": torch.rand(2, 3, HEIGHT, WIDTH, generator=generator),
        "action": torch.randn(2, 5, 6, generator=generator),
        "action_is_pad": torch.zeros(2, 5, dtype=torch.bool),
    }
    loss, _ = policy.forward(batch)
    loss.backward()
    assert all(parameter.grad is not None for parameter in policy.model.backbone.parameters())
    assert policy.predict_action_chunk(batch).shape == (2, 5, 6)


def test_the_learning_rate_ends_at_a_hundredth_after_any_number_of_steps(config):
    for steps in (50, 400):
        optimizer = torch.optim.SGD([nn.Parameter(torch.zeros(()))], lr=config.optimizer_lr)
        scheduler = config.get_scheduler_preset().build(optimizer, num_training_steps=steps)
        rates = []
        for _ in range(steps):
            optimizer.step()
            scheduler.step()
            rates.append(optimizer.param_groups[0]["lr"])
        assert max(rates) == pytest.approx(config.optimizer_lr, rel=0.01)
        assert rates[-1] == pytest.approx(config.optimizer_lr / 100)


def test_saved_and_loaded_it_acts_alike(config, generator, tmp_path):
    policy = KeypointActPolicy(config)
    policy.save_pretrained(tmp_path)
    statistics = {"action": {"mean": torch.zeros(6), "std": torch.ones(6)}}
    before, _ = make_pre_post_processors(config, dataset_stats=statistics)
    seen = before(
        {
            "observation.state": torch.randn(6, generator=generator),
            "observation.images.front": torch.rand(3, HEIGHT, WIDTH, generator=generator),
        }
    )
    loaded = KeypointActPolicy.from_pretrained(tmp_path)
    assert torch.equal(loaded.predict_action_chunk(seen), policy.predict_action_chunk(seen))
