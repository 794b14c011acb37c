"""Half precision: which nodes of a graph can have it, and the graph with it."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from typing import Any, Final

import numpy as np
import onnx
import onnxruntime
from numpy.typing import NDArray
from onnx import TensorProto, helper
from onnxruntime.transformers import float16

from ..engine import machine
from .graph import one_external_file, weights_file

KEPT: Final = ("LayerNormalization", "Softmax", "ReduceMean", "Pow", "Sqrt", "Reciprocal", "Range", "CumSum", "Sin",
               "Cos", "ScatterND", "NonZero", "GreaterOrEqual", "TopK", "Min", "Max")  # fmt: skip
"""Operations that stay in fp32: means, squares and exponentials, and what decides or addresses rather than computes."""
LIMIT: Final = 2e4
"""Nodes whose values exceed this on any micrograph stay in fp32; fp16 ends at 65,504."""


def peaks(path: Path, feeds: Sequence[Mapping[str, NDArray[Any]]]) -> dict[str, float]:
    """Largest absolute value that each node of a graph puts out over all ``feeds``, by the node's name."""
    graph_file = path.with_name(f"{path.stem}.peaks.onnx")
    model = onnx.load(path, load_external_data=False)
    onnx.shape_inference.infer_shapes_path(path, graph_file)
    inferred = onnx.load(graph_file, load_external_data=False)
    floats = {v.name for v in inferred.graph.value_info if v.type.tensor_type.elem_type == TensorProto.FLOAT}
    of_node = {}
    # onnxruntime begins with the last node that nobody waits for: taken backwards, every tensor is looked at as soon as
    # it is there and need not be held.
    for node in reversed(list(model.graph.node)):
        for tensor in set(node.output) & floats:
            # With a zero before it: the largest of nothing is an error.
            model.graph.node.extend((
                helper.make_node("Abs", [tensor], [f"{tensor}/abs"]),
                helper.make_node("Reshape", [f"{tensor}/abs", "peaks/flat"], [f"{tensor}/flat"]),
                helper.make_node("Concat", ["peaks/zero", f"{tensor}/flat"], [f"{tensor}/list"], axis=0),
                helper.make_node("ReduceMax", [f"{tensor}/list"], [f"{tensor}/peak"], keepdims=0),
            ))  # fmt: skip
            model.graph.output.append(helper.make_tensor_value_info(f"{tensor}/peak", TensorProto.FLOAT, None))
            of_node[f"{tensor}/peak"] = node.name
    model.graph.initializer.extend((
        helper.make_tensor("peaks/flat", TensorProto.INT64, [1], [-1]),
        helper.make_tensor("peaks/zero", TensorProto.FLOAT, [1], [0.0]),
    ))  # fmt: skip
    onnx.save(model, graph_file)
    try:
        options = machine.options(None)
        options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
        session = onnxruntime.InferenceSession(str(graph_file), options, providers=["CPUExecutionProvider"])
        found: dict[str, float] = dict.fromkeys(of_node.values(), 0.0)
        for feed in feeds:
            for name, value in zip(of_node, session.run(list(of_node), dict(feed)), strict=True):
                found[of_node[name]] = float(np.fmax(found[of_node[name]], value))
    finally:
        graph_file.unlink()
    return found


def to_fp16(source: Path, target: Path, keep: Collection[str]) -> None:
    """Write a graph with fp16 weights and arithmetic, but for ``KEPT`` and the nodes named; inputs and outputs stay."""
    inferred = source.with_name(f"{source.stem}.inferred.onnx")  # beside the weights it names
    onnx.shape_inference.infer_shapes_path(source, inferred)
    try:
        model = onnx.load(inferred)
    finally:
        inferred.unlink()
    halved = float16.convert_float_to_float16(
        model, keep_io_types=True, disable_shape_infer=True, op_block_list=[*float16.DEFAULT_OP_BLOCK_LIST, *KEPT],
        node_block_list=[*keep, *_before_angles(model.graph)],
    )  # fmt: skip
    _past_the_casts(halved.graph)
    # Where several kept nodes read one tensor, the converter writes its cast once for each, with the same names.
    once = {tuple(node.output): node for node in halved.graph.node}
    del halved.graph.node[:]
    halved.graph.node.extend(once.values())
    weights_file(target).unlink(missing_ok=True)
    onnx.save(halved, target)
    one_external_file(target)


def _before_angles(graph: Any) -> list[str]:
    """Nodes that a sine or cosine follows from: fp16 would round coordinates to half a pixel, and angles far more."""
    maker = {tensor: node for node in graph.node for tensor in node.output}
    waiting, found = [node for node in graph.node if node.op_type in ("Sin", "Cos")], {}
    while waiting:
        node = waiting.pop()
        for tensor in node.input:
            if tensor in maker and maker[tensor].name not in found:
                found[maker[tensor].name] = maker[tensor]
                waiting.append(maker[tensor])
    return list(found)


def _past_the_casts(graph: Any) -> None:
    """Between two nodes in fp32, and from the graph's inputs, the converter goes by fp16 and back: go straight."""
    casts = [(node, node.attribute[0].i) for node in graph.node if node.op_type == "Cast"]
    halved = {node.output[0]: node.input[0] for node, to in casts if to == TensorProto.FLOAT16}
    for node, to in casts:
        if to == TensorProto.FLOAT and node.input[0] in halved:
            node.input[0] = halved[node.input[0]]


def least_fit(of_node: Mapping[str, float]) -> list[str]:
    """Node names, those first that lose most in fp16: the largest values have the coarsest steps."""
    return sorted(of_node, key=lambda name: -of_node[name])
