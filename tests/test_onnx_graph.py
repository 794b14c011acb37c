"""No reference to another file hides in an ONNX file: the walk follows every way that onnx has to a tensor."""

from __future__ import annotations

import contextlib
import itertools
from collections.abc import Iterator
from pathlib import Path

import onnx
import onnxruntime
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from onnx import helper
from samcolloid_edge import ModelError
from samcolloid_edge.models import onnx_graph
from samcolloid_edge.models.onnx_graph import read_graph
from samcolloid_edge.models.store import locate
from tiny_model import F32, external, make, one_prompt_decoder

MESSAGES = {
    "ModelProto": "model", "GraphProto": "graph", "NodeProto": "node", "AttributeProto": "attribute",
    "TensorProto": "tensor", "SparseTensorProto": "sparse", "FunctionProto": "function",
    "TrainingInfoProto": "training", "StringStringEntryProto": "entry",
}  # fmt: skip
WEIGHT = external("w", "elsewhere.bin", 4)
LENGTH_DELIMITED = 2


def model(graph: onnx.GraphProto | None = None, **parts: list[object]) -> onnx.ModelProto:
    return helper.make_model(graph or helper.make_graph([], "g", [], []), **parts)


def constant() -> onnx.NodeProto:
    return helper.make_node("Constant", [], ["w"], value=WEIGHT)


def sparse() -> onnx.SparseTensorProto:
    return onnx.SparseTensorProto(values=WEIGHT, dims=[9])


def hidden() -> Iterator[onnx.ModelProto]:
    """Models that keep one tensor elsewhere, each in another place."""
    inner = helper.make_graph([constant()], "inner", [], [])
    attributes = {"t": WEIGHT, "ts": [WEIGHT], "g": inner, "gs": [inner], "s": sparse(), "ss": [sparse()]}
    yield model(helper.make_graph([], "g", [], [], initializer=[WEIGHT]))
    yield model(helper.make_graph([], "g", [], [], sparse_initializer=[sparse()]))
    for value in attributes.values():
        yield model(helper.make_graph([helper.make_node("If", ["a"], ["b"], x=value)], "g", [], []))
    yield model(functions=[helper.make_function("d", "f", [], ["w"], [constant()], [])])
    function = helper.make_function("d", "f", [], [], [], [])
    function.attribute_proto.append(helper.make_attribute("x", WEIGHT))
    yield model(functions=[function])
    for part in ("initialization", "algorithm"):
        training = onnx.TrainingInfoProto()
        getattr(training, part).node.append(constant())
        in_training = model()
        in_training.training_info.append(training)
        yield in_training


@pytest.mark.parametrize("written", list(hidden()), ids=itertools.count())
def test_a_tensor_elsewhere_is_seen_wherever_it_hides(written: onnx.ModelProto, tmp_path: Path) -> None:
    path = tmp_path / "a.onnx"
    path.write_bytes(written.SerializeToString())
    assert read_graph(path).external == {"elsewhere.bin"}


def test_the_walk_knows_every_field_of_onnx_that_leads_to_a_tensor() -> None:
    """Held against onnx's own description, so that a field which a later onnx adds fails here."""
    descriptors = {name: getattr(onnx, name).DESCRIPTOR for name in MESSAGES}
    for name, descriptor in descriptors.items():
        leads = {
            field.number: MESSAGES[field.message_type.name]
            for field in descriptor.fields
            if field.message_type is not None and field.message_type.name in MESSAGES
        }
        ours = onnx_graph._MESSAGES.get(MESSAGES[name], {})
        missing = {number: message for number, message in leads.items() if number not in ours and message != "entry"}
        assert not missing, name
        assert all(leads[number] == message for number, message in ours.items()), name
    others = {
        field.message_type.name
        for descriptor in descriptors.values()
        for field in descriptor.fields
        if field.message_type is not None
    } - set(MESSAGES)
    for other in others:
        deeper = {field.message_type.name for field in getattr(onnx, other, onnx.TensorProto.Segment).DESCRIPTOR.fields
                  if field.message_type is not None}  # fmt: skip
        assert not deeper & {"TensorProto", "SparseTensorProto", "GraphProto", "NodeProto", "AttributeProto"}, other


def test_names_are_those_that_onnxruntime_sees() -> None:
    for name in ("encoder.onnx", "decoder.onnx"):
        graph = read_graph(locate() / name)
        session = onnxruntime.InferenceSession(str(locate() / name), providers=["CPUExecutionProvider"])
        assert list(graph.inputs) == [i.name for i in session.get_inputs()]
        assert list(graph.outputs) == [o.name for o in session.get_outputs()]
        assert graph.external == frozenset()


def test_a_weight_that_is_an_input_as_well_is_none(tmp_path: Path) -> None:
    inputs = [helper.make_tensor_value_info(name, F32, [4]) for name in ("x", "w")]
    weight = helper.make_tensor("w", F32, [4], [0.0] * 4)
    path = tmp_path / "a.onnx"
    path.write_bytes(model(helper.make_graph([], "g", inputs, [], initializer=[weight])).SerializeToString())
    assert read_graph(path).inputs == ("x",)


def test_a_location_that_is_no_text_is_still_a_location(tmp_path: Path) -> None:
    written = model(helper.make_graph([], "g", [], [], initializer=[WEIGHT])).SerializeToString()
    (tmp_path / "a.onnx").write_bytes(written.replace(b"elsewhere.bin", b"\xff" * 13))
    assert read_graph(tmp_path / "a.onnx").external == {"\\xff" * 13}


@pytest.mark.parametrize(
    "data",
    [
        b"", b"no graph", b"\0", b"<html></html>", b"PK\x03\x04", b"\x3a", b"\x3a\x05ab", b"\x3a\xff\xff\xff\xff\x0f",
        b"\x3a" + b"\xff" * 12, b"\x3a\x00\x3a\x00", b"\x3b\x3c", b"\x3a\x02\x0d\x00", b"\xba\x80\x80\x80\x10\x00",
    ],
    ids=repr,
)  # fmt: skip
def test_what_is_no_graph_is_refused_in_one_sentence(data: bytes, tmp_path: Path) -> None:
    (tmp_path / "a.onnx").write_bytes(data)
    with pytest.raises(ModelError, match=r"a\.onnx: this is no ONNX graph"):
        read_graph(tmp_path / "a.onnx")


def test_graphs_nested_without_end_are_refused(tmp_path: Path) -> None:
    inner = helper.make_graph([], "g", [], []).SerializeToString()
    for _ in range(60):
        for field in (6, 5, 1):  # attribute.g, node.attribute, graph.node
            size = len(inner)
            inner = bytes([field << 3 | LENGTH_DELIMITED]) + varint(size) + inner
    (tmp_path / "a.onnx").write_bytes(b"\x3a" + varint(len(inner)) + inner)
    with pytest.raises(ModelError, match="no ONNX graph"):
        read_graph(tmp_path / "a.onnx")


def varint(value: int) -> bytes:
    out = b""
    while value >= 128:
        out, value = out + bytes([value & 127 | 128]), value >> 7
    return out + bytes([value])


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return one_prompt_decoder(tmp_path_factory.mktemp("graph") / "whole.onnx")


@settings(max_examples=30)
@given(st.binary(max_size=300), st.integers(0, 10_000))
def test_damaged_files_are_read_or_refused(whole: Path, noise: bytes, at: int) -> None:
    data = whole.read_bytes()
    cut = at % len(data)
    for damaged in (noise, data[:cut], data[:cut] + noise + data[cut + len(noise) :]):
        path = whole.with_name("damaged.onnx")
        path.write_bytes(damaged)
        with contextlib.suppress(ModelError):
            read_graph(path)


def test_a_file_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match=r"a\.onnx: cannot be read"):
        read_graph(tmp_path / "a.onnx")


def test_weights_beside_the_graph_are_named(tmp_path: Path) -> None:
    assert read_graph(make(tmp_path, beside="encoder.onnx.data") / "encoder.onnx").external == {"encoder.onnx.data"}
