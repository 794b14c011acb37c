"""The encoder that is written is SAM's, at every image size, and int8 stays near it."""

from __future__ import annotations

from functools import partial
from types import SimpleNamespace

import numpy as np
import onnx
import onnxruntime
import pytest
import torch
from samcolloid_edge.engine import machine
from samcolloid_edge.export import graph, vit
from samcolloid_edge.export.quantise import products, quantise, sensitive_order
from samcolloid_edge.models.errors import ModelError
from segment_anything.modeling import ImageEncoderViT, Sam

pytestmark = pytest.mark.filterwarnings("default")  # torch's own deprecations are not ours to mend

SIDE = 208
SIZES = ((208, 156), (156, 208), (208, 208), (208, 61), (3, 208))
MEAN, STD = (123.675, 116.28, 103.53), (58.395, 57.12, 57.375)


def reduced(**changes):
    """SAM's encoder with four small blocks, of which two see the whole 13 × 13 grid and two windows of 5 × 5."""
    torch.manual_seed(1)
    sizes = {"img_size": SIDE, "embed_dim": 48, "depth": 4, "num_heads": 3, "out_chans": 32, "window_size": 5,
             "global_attn_indexes": (1, 3), "use_rel_pos": True}  # fmt: skip
    norm = partial(torch.nn.LayerNorm, eps=1e-6)
    encoder = ImageEncoderViT(norm_layer=norm, **{**sizes, **changes}).eval()
    for name, parameter in encoder.named_parameters():
        if "rel_pos" in name or "pos_embed" in name:
            torch.nn.init.normal_(parameter, std=0.3)
    mean, std = (torch.tensor(v).reshape(3, 1, 1) for v in (MEAN, STD))
    return SimpleNamespace(image_encoder=encoder, pixel_mean=mean, pixel_std=std)


def image_of(shape, seed=0):
    return np.random.default_rng(seed).integers(0, 255, (*shape, 3), np.uint8)


@torch.no_grad()
def as_sam(sam, image):
    """What segment_anything's predictor computes."""
    prepared = Sam.preprocess(sam, torch.from_numpy(image).permute(2, 0, 1))
    return sam.image_encoder(prepared[None]).numpy()


def run(path, image):
    session = onnxruntime.InferenceSession(str(path), machine.options(None), providers=["CPUExecutionProvider"])
    return session.run(None, {"image": image})[0]


def difference(ours, theirs):
    """Largest, as a share of the range."""
    assert ours.shape == theirs.shape
    return float(np.abs(ours - theirs).max() / np.ptp(theirs))


@pytest.fixture(scope="module")
def sam():
    return reduced()


@pytest.fixture(scope="module")
def encoder(sam, tmp_path_factory):
    path = tmp_path_factory.mktemp("encoder") / "encoder.onnx"
    vit.write_encoder(sam, path)
    return path


@pytest.mark.parametrize("shape", SIZES)
def test_the_graph_is_sams_encoder_with_its_preprocessing(sam, encoder, shape):
    image = image_of(shape)
    assert difference(run(encoder, image), as_sam(sam, image)) < 1e-4


@pytest.mark.parametrize("changes", [
    {"use_rel_pos": False},
    {"qkv_bias": False, "num_heads": 2},
    {"window_size": 13, "use_abs_pos": False},
    {"window_size": 20, "num_heads": 1, "global_attn_indexes": ()},
    {"window_size": 0},
])  # fmt: skip
def test_other_sizes_are_the_same_function_too(changes):
    sam, image = reduced(**changes), image_of((208, 140))
    net = vit.VitEncoder(sam.image_encoder, sam.pixel_mean, sam.pixel_std).requires_grad_(False)
    assert difference(net(torch.from_numpy(image)).numpy(), as_sam(sam, image)) < 1e-4


def test_attention_in_parts_is_the_same(sam, monkeypatch, tmp_path):
    monkeypatch.setattr(vit, "SCORES", 5 * 13**3)  # 13 rows of queries in parts of 5, 5 and 3
    image = image_of((208, 140))
    vit.write_encoder(sam, tmp_path / "encoder.onnx")
    assert difference(run(tmp_path / "encoder.onnx", image), as_sam(sam, image)) < 1e-4


def test_the_reference_is_left_as_it_was(sam, encoder):
    fresh = reduced().image_encoder.state_dict()
    assert all((value == fresh[name]).all() for name, value in sam.image_encoder.state_dict().items())


def test_positions_of_another_grid_are_refused():
    sam = reduced()
    sam.image_encoder.blocks[1].attn.rel_pos_h = torch.nn.Parameter(torch.zeros(9, 16))
    with pytest.raises(ModelError, match="9 rows where 25 belong"):
        vit.VitEncoder(sam.image_encoder, sam.pixel_mean, sam.pixel_std)


def test_the_slow_shapes_are_gone(encoder):
    model = onnx.shape_inference.infer_shapes(onnx.load(encoder))
    assert {i.domain for i in model.opset_import} <= {"", "ai.onnx"}
    assert max(len(v.type.tensor_type.shape.dim) for v in model.graph.value_info) <= 4


def test_large_weights_lie_in_one_file_beside_the_graph(sam, encoder, tmp_path):
    path = tmp_path / "encoder.onnx"
    vit.write_encoder(sam, path, large=100_000)
    assert sorted(p.name for p in tmp_path.iterdir()) == ["encoder.onnx", "encoder.onnx.data"]
    assert path.stat().st_size < encoder.stat().st_size / 3
    for tensor in onnx.load(path, load_external_data=False).graph.initializer:
        place = {e.key: e.value for e in tensor.external_data}
        assert not place or place["location"] == "encoder.onnx.data"
        if int(place.get("length", 0)) >= graph.PAGE:
            assert int(place["offset"]) % graph.PAGE == 0
    image = image_of((208, 156))
    assert (run(path, image) == run(encoder, image)).all()


def test_the_exporters_many_files_become_one(sam, encoder, tmp_path):
    model, path = onnx.load(encoder), tmp_path / "encoder.onnx"
    onnx.save(model, path, save_as_external_data=True, all_tensors_to_one_file=False, size_threshold=0)
    assert len(list(tmp_path.iterdir())) > 30
    assert graph.one_external_file(path)
    assert sorted(p.name for p in tmp_path.iterdir()) == ["encoder.onnx", "encoder.onnx.data"]
    first = (tmp_path / "encoder.onnx.data").read_bytes()
    assert graph.one_external_file(path)
    assert (tmp_path / "encoder.onnx.data").read_bytes() == first
    image = image_of((208, 156))
    assert (run(path, image) == run(encoder, image)).all()


def test_a_small_graph_has_no_file_beside_it(encoder):
    assert [p.name for p in encoder.parent.iterdir()] == ["encoder.onnx"]
    assert not graph.one_external_file(encoder)


def test_weights_that_end_early_are_refused(encoder, tmp_path):
    path = tmp_path / "encoder.onnx"
    onnx.save(onnx.load(encoder), path, save_as_external_data=True, location="weights")
    (tmp_path / "weights").write_bytes((tmp_path / "weights").read_bytes()[:1000])
    with pytest.raises(ModelError, match="shorter than its graph says"):
        graph.one_external_file(path)


def test_int8_stays_near_and_keeps_what_it_is_told_to(sam, encoder, tmp_path):
    path = tmp_path / "encoder.onnx"
    names = products(encoder)
    assert len(names) == 2 + 4 * 4
    quantise(encoder, path, keep=(names[0], names[5]))
    assert [p.name for p in tmp_path.iterdir()] == ["encoder.onnx"]
    nodes = onnx.load(path).graph.node
    assert sum(node.op_type == "MatMulInteger" for node in nodes) == len(names) - 2
    assert {names[0], names[5]} <= {node.name for node in nodes if node.op_type == "MatMul"}
    image = image_of((208, 156))
    assert 1e-4 < difference(run(path, image), as_sam(sam, image)) < 0.05
    quantise(encoder, path, keep=names)
    assert (run(path, image) == run(encoder, image)).all()


def test_int8_of_a_large_graph_is_one_file_beside_it(sam, encoder, tmp_path):
    path, small = tmp_path / "encoder.onnx", tmp_path / "small.onnx"
    vit.write_encoder(sam, path, large=0)
    quantise(encoder, small)
    quantise(path, path)
    assert sorted(p.name for p in tmp_path.iterdir()) == ["encoder.onnx", "encoder.onnx.data", "small.onnx"]
    image = image_of((208, 156))
    assert (run(path, image) == run(small, image)).all()


def test_gemm_becomes_int8_as_well(tmp_path):
    x = torch.randn(40, 16)
    graph.write_graph(torch.nn.Linear(16, 24), (x,), tmp_path / "fp32.onnx", ("x",), ("y",), {"x": {0: "n"}})
    (name,) = products(tmp_path / "fp32.onnx")
    assert set(sensitive_order(tmp_path / "fp32.onnx", [x.numpy()])) == {name}
    for keep, integer in (((), 1), ((name,), 0)):
        quantise(tmp_path / "fp32.onnx", tmp_path / "int8.onnx", keep)
        nodes = onnx.load(tmp_path / "int8.onnx").graph.node
        assert sum(node.op_type == "MatMulInteger" for node in nodes) == integer


def test_the_worst_node_comes_first(tmp_path):
    sam = reduced()
    # A channel that counts for nothing takes all the steps of the others.
    sam.image_encoder.blocks[2].norm2.weight.data[0] = 100.0
    sam.image_encoder.blocks[2].mlp.lin1.weight.data[:, 0] = 0.0
    path = tmp_path / "encoder.onnx"
    vit.write_encoder(sam, path)
    order = sensitive_order(path, [image_of((208, 156), seed) for seed in range(2)])
    assert sorted(order) == sorted(products(path))
    assert list(order.values()) == sorted(order.values(), reverse=True)
    assert next(iter(order)) == "/blocks.2/lin1/MatMul"
    assert [p.name for p in tmp_path.iterdir()] == ["encoder.onnx"]
