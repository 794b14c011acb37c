"""Training resumes, and what is written as ONNX is what was trained."""

from __future__ import annotations

import numpy as np
import onnxruntime
import pytest
import torch
from samcolloid_edge import ModelError
from samcolloid_edge.engine.session import open_model
from samcolloid_edge.export import bundle, train
from samcolloid_edge.export.colloid import Colloid

pytestmark = pytest.mark.filterwarnings("default")  # torch's own deprecations are not ours to mend


@pytest.fixture(scope="module")
def state(tmp_path_factory):
    folder = tmp_path_factory.mktemp("training")
    train.train(folder, 2, 1e-3, 0)
    return folder


def test_an_example_is_true_to_its_scene_and_repeats():
    one, two = train.example(train.FIRST_SEED + 5), train.example(train.FIRST_SEED + 5)
    assert (one.image == two.image).all()
    assert (one.targets == two.targets).all()
    assert one.targets.shape == (one.on_lobe.sum(), 3, one.cells.shape[1])
    lobe, particle, cluster = one.targets.sum(2).T
    assert (lobe <= particle + 1e-3).all()
    assert (particle <= cluster + 1e-3).all()
    # The cell under the prompt belongs to the lobe, at least in part.
    row, col = (one.points[one.on_lobe] // train.STRIDE).astype(int).T[::-1]
    here = row * (train.SIDE // train.STRIDE) + col
    for cells, target, cell in zip(one.cells, one.targets[:, 0], here, strict=True):
        assert target[cells == cell].max() > 0


def test_cells_stand_for_the_whole_map():
    points = np.array([[5.0, 5.0], [300.0, 200.0], [511.0, 511.0]])
    cells, weights = train._cells(points, np.random.default_rng(0))
    np.testing.assert_allclose(weights.sum(1), (train.SIDE // train.STRIDE) ** 2, rtol=1e-5)
    assert cells.min() >= 0
    assert cells.max() < (train.SIDE // train.STRIDE) ** 2


def test_training_resumes_where_it_stopped(state):
    before = torch.load(state / "state.pt", weights_only=True)
    assert before["step"] == 2
    train.train(state, 3, 1e-3, 0)
    after = torch.load(state / "state.pt", weights_only=True)
    assert after["step"] == 3
    assert after["seconds"] > before["seconds"]


def test_what_is_bundled_is_what_was_trained(state, tmp_path):
    card = bundle.bundle(state / "state.pt", tmp_path)
    session = open_model(tmp_path)
    assert session.card == card
    assert max(card.parity["largest difference, share of range"].values()) <= bundle.TOLERANCE
    prompts = np.zeros((7, 1, 2), np.float32)
    maps = session.encode(np.zeros((40, 50, 3), np.uint8))
    found = session.decode({**maps, "point_coords": prompts, "point_labels": np.ones((7, 1), np.float32),
                            "iou_threshold": np.array(0, np.float32), "window": np.array(8)})  # fmt: skip
    assert found["low_res_masks"].shape == (7, 3, 8, 8)


def test_graphs_that_differ_from_torch_are_not_bundled(state, tmp_path, monkeypatch):
    monkeypatch.setattr(bundle, "TOLERANCE", -1.0)
    with pytest.raises(ModelError, match="differ by more than"):
        bundle.bundle(state / "state.pt", tmp_path)
    assert not (tmp_path / "card.json").exists()


def test_a_window_shows_what_the_whole_map_shows(tmp_path):
    net = Colloid()
    bundle.write_onnx(net, tmp_path)
    encoder, decoder = (
        onnxruntime.InferenceSession(str(tmp_path / name), providers=["CPUExecutionProvider"])
        for name in ("encoder.onnx", "decoder.onnx")
    )
    image = np.random.default_rng(0).integers(0, 255, (256, 192, 3), np.uint8)
    maps = dict(zip(bundle.EMBEDDINGS, encoder.run(None, {"image": image}), strict=True))
    prompts = {"point_coords": np.array([[[3.0, 250.0]], [[100.0, 90.0]]], np.float32),
               "point_labels": np.ones((2, 1), np.float32), "iou_threshold": np.array(0, np.float32)}  # fmt: skip
    _, _, small, origin = decoder.run(None, {**maps, **prompts, "window": np.array(16)})
    _, _, whole, zero = decoder.run(None, {**maps, **prompts, "window": np.array(1000)})
    assert not zero.any()
    assert whole.shape == (2, 3, 64, 48)
    for mask, part, (x, y) in zip(whole, small, origin, strict=True):
        np.testing.assert_allclose(part, mask[:, y : y + 16, x : x + 16], rtol=1e-4, atol=1e-4)
