import pytest
import torch

from m2iv_robot.errors import CheckpointError
from m2iv_robot.models.checkpoint import (
    load_model,
    load_tensors,
    save_model,
    save_tensors,
    segmenter_path,
    weights_hash,
)
from m2iv_robot.models.segmenter import Segmenter, SegmenterConfig

TINY = SegmenterConfig(8, [8, 8, 8, 8, 8, 8, 16], [1, 1, 1, 1, 1, 1, 1], decoder_channels=8, embedding_channels=4)


def test_a_network_comes_back_with_its_sizes_and_weights(tmp_path):
    network = Segmenter(TINY)
    save_model(tmp_path / "a.safetensors", network, {"note": "x"}, half=False)
    again = load_model(tmp_path / "a.safetensors", Segmenter, SegmenterConfig)
    assert again.config == TINY
    for name, value in network.state_dict().items():
        torch.testing.assert_close(again.state_dict()[name], value, atol=0, rtol=0)


def test_half_precision_keeps_three_digits_in_half_the_space(tmp_path):
    network = Segmenter(TINY)
    save_model(tmp_path / "full", network, {}, half=False)
    save_model(tmp_path / "half", network, {}, half=True)
    again = load_model(tmp_path / "half", Segmenter, SegmenterConfig)
    torch.testing.assert_close(again.cue_stem.weight, network.cue_stem.weight, atol=1e-4, rtol=1e-3)
    tensors = [load_tensors(tmp_path / name)[0] for name in ("full", "half")]
    sizes = [sum(t.numel() * t.element_size() for t in each.values()) for each in tensors]
    assert sizes[0] == 2 * sizes[1]


def test_missing_and_damaged_files_are_named(tmp_path):
    with pytest.raises(CheckpointError, match="nowhere"):
        load_model(tmp_path / "nowhere", Segmenter, SegmenterConfig)
    (tmp_path / "bad").write_bytes(b"not weights at all")
    with pytest.raises(CheckpointError, match="bad"):
        load_tensors(tmp_path / "bad")
    with pytest.raises(CheckpointError, match="nowhere"):
        weights_hash(tmp_path / "nowhere")


def test_weights_of_something_else_are_refused(tmp_path):
    save_tensors(tmp_path / "a", {"x": torch.zeros(2)}, {"network": "Other"})
    with pytest.raises(CheckpointError, match="Other"):
        load_model(tmp_path / "a", Segmenter, SegmenterConfig)


def test_an_interrupted_write_leaves_the_old_file(tmp_path, monkeypatch):
    path = tmp_path / "a"
    save_tensors(path, {"x": torch.zeros(2)}, {})
    monkeypatch.setattr("os.replace", lambda *_: (_ for _ in ()).throw(KeyboardInterrupt))
    with pytest.raises(KeyboardInterrupt):
        save_tensors(path, {"x": torch.ones(2)}, {})
    assert float(load_tensors(path)[0]["x"].sum()) == 0


def test_the_hash_tells_files_apart(tmp_path):
    save_tensors(tmp_path / "a", {"x": torch.zeros(2)}, {})
    save_tensors(tmp_path / "b", {"x": torch.ones(2)}, {})
    assert weights_hash(tmp_path / "a") != weights_hash(tmp_path / "b")


def test_the_shipped_weights_are_small_and_load():
    path = segmenter_path("")
    assert path.stat().st_size < 8 * 2**20
    network = load_model(path, Segmenter, SegmenterConfig)
    assert sum(parameter.numel() for parameter in network.parameters()) < 8_000_000
