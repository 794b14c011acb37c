"""int8 for processors with 8-bit dot products (AVX512-VNNI, AVX-VNNI, Arm dot product).

``quantise``: the products of activations with weights; products of activations with each other (attention) and
convolutions stay as they are. Weights are symmetric int8 with a scale for each output channel, activations uint8 with a
scale and zero point taken from each image's own range (onnxruntime's dynamic quantisation), so no calibration images
can be unlike the user's. ``quantise_convolutions``: those of a convolutional network, for which onnxruntime has no such
ranges; they are taken from images that are given.
"""

from __future__ import annotations

import contextlib
import logging
import tempfile
from collections.abc import Collection, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime
from numpy.typing import NDArray
from onnx import helper
from onnxruntime.quantization import (
    CalibrationDataReader,
    CalibrationMethod,
    QuantFormat,
    QuantType,
    quantize_dynamic,
    quantize_static,
)

from ..engine import machine
from .graph import move_graph, one_external_file

PRODUCTS = ("MatMul", "Gemm")


def quantise(encoder_in: Path, encoder_out: Path, keep: Collection[str] = (), reduce_range: bool = False) -> None:
    """Write ``encoder_in`` with its products in int8 to ``encoder_out``; the nodes named in ``keep`` stay as they are.

    ``reduce_range`` takes 7 bits for the weights. Without it sums of two products can saturate on x86 processors that
    have AVX2 or AVX512 but no VNNI, where onnxruntime uses 16-bit steps; with it the error of the weights doubles on
    all of them.
    """
    with tempfile.TemporaryDirectory(prefix=".writing-", dir=encoder_out.parent) as folder:
        written = Path(folder) / encoder_out.name
        graph = onnx.load(encoder_in, load_external_data=False).graph
        wanted = {node.name for node in _products(graph)} - set(keep)
        with _no_advice():
            quantize_dynamic(
                encoder_in, written, op_types_to_quantize=["MatMul"], per_channel=True, reduce_range=reduce_range,
                weight_type=QuantType.QInt8, use_external_data_format=_is_large(graph),
                nodes_to_exclude=[_as_matmul(n) for n in graph.node if n.op_type in PRODUCTS and n.name not in wanted],
            )  # fmt: skip
        one_external_file(written)
        move_graph(written, encoder_out)


def quantise_convolutions(encoder_in: Path, encoder_out: Path, images: Sequence[NDArray[np.uint8]]) -> None:
    """Write ``encoder_in`` with its convolutions in int8 to ``encoder_out``.

    Activations are uint8 between the least and the largest value that each takes in ``images``, (H, W, 3).
    """
    with _no_advice():
        quantize_static(
            encoder_in, encoder_out, _Images(images), quant_format=QuantFormat.QDQ, per_channel=True,
            op_types_to_quantize=["Conv"], weight_type=QuantType.QInt8, activation_type=QuantType.QUInt8,
            calibrate_method=CalibrationMethod.MinMax,
        )  # fmt: skip


class _Images(CalibrationDataReader):
    """Images in the form that the quantiser asks for, one after the other."""

    def __init__(self, images: Sequence[NDArray[np.uint8]]) -> None:
        self._images = iter(images)

    def get_next(self) -> dict[str, NDArray[np.uint8]] | None:
        """The graph's input, None after the last."""
        image = next(self._images, None)
        return None if image is None else {"image": image}


def products(encoder: Path) -> list[str]:
    """Names of the nodes that ``quantise`` turns to int8, in the graph's order: products with a matrix of weights."""
    return [node.name for node in _products(onnx.load(encoder, load_external_data=False).graph)]


def sensitive_order(encoder: Path, inputs: Sequence[NDArray[Any]]) -> dict[str, float]:
    """How much int8 changes each product of ``encoder``, worst first, as what to ``keep`` first.

    Each node's relative root-mean-square error in its output, with its input as it is in float32, over ``inputs`` (what
    the graph takes). All nodes are judged in one run each: a graph that computes every product both ways.
    """
    with tempfile.TemporaryDirectory(prefix=".writing-", dir=encoder.parent) as folder:
        both = Path(folder) / "both.onnx"
        names = _write_both(encoder, both)
        session = onnxruntime.InferenceSession(str(both), machine.options(None), providers=["CPUExecutionProvider"])
        outputs, taken = [_error(name) for name in names], session.get_inputs()[0].name
        runs = [session.run(outputs, {taken: value}) for value in inputs]
        del session  # Windows removes no file that is mapped.
    # A product that is zero everywhere is 0 ÷ 0, and exact.
    errors = np.nan_to_num(np.sqrt(np.mean(np.array(runs, np.float64).reshape(len(runs), len(names)), 0)), nan=0.0)
    return {names[i]: float(errors[i]) for i in np.argsort(-errors, kind="stable")}


def _write_both(encoder: Path, path: Path) -> list[str]:
    """Write ``encoder`` with an output for each of its products, its mean squared relative error; gives their names."""
    quantise(encoder, path)
    graph = onnx.load(path)
    original = onnx.load(encoder)
    nodes = {node.output[0]: node for node in _products(original.graph)}
    have = {t.name for t in graph.graph.initializer}
    needed = {name for node in nodes.values() for name in node.input} - have
    graph.graph.initializer.extend([t for t in original.graph.initializer if t.name in needed])
    del original
    ordered = []
    for step in graph.graph.node:
        node = nodes.get(step.output[0])
        ordered.append(step)
        if node is not None:
            exact, rough = node.output[0], node.output[0] + ".int8"
            step.output[0] = rough
            ordered.append(node)
            ordered.extend(_squared_error(exact, rough, _error(node.name)))
            graph.graph.output.append(helper.make_tensor_value_info(_error(node.name), onnx.TensorProto.FLOAT, None))
    del graph.graph.node[:]
    graph.graph.node.extend(ordered)
    onnx.save(graph, path, save_as_external_data=True, location="both.weights")
    return [node.name for node in nodes.values()]


def _squared_error(exact: str, rough: str, out: str) -> list[Any]:
    """Nodes for mean((rough − exact)²) ÷ mean(exact²)."""
    return [
        helper.make_node("Sub", [rough, exact], [out + ".difference"]),
        helper.make_node("ReduceSumSquare", [out + ".difference"], [out + ".above"], keepdims=0),
        helper.make_node("ReduceSumSquare", [exact], [out + ".below"], keepdims=0),
        helper.make_node("Div", [out + ".above", out + ".below"], [out]),
    ]


def _error(name: str) -> str:
    return name + ".error"


def _products(graph: Any) -> list[Any]:
    weights = {t.name for t in graph.initializer if len(t.dims) == 2}
    return [node for node in graph.node if node.op_type in PRODUCTS and node.input[1] in weights]


def _as_matmul(node: Any) -> str:
    """The name under which the quantiser looks for a node: it splits each Gemm into a MatMul and an Add first."""
    return node.name + "_MatMul" if node.op_type == "Gemm" else str(node.name)


def _is_large(graph: Any) -> bool:
    return any(t.data_location == onnx.TensorProto.EXTERNAL for t in graph.initializer)


@contextlib.contextmanager
def _no_advice() -> Iterator[None]:
    """Without the quantiser's advice to optimise the graph first, which would fuse what it has to find."""
    root, quiet = logging.getLogger(), _NoPreprocessing()
    root.addFilter(quiet)
    try:
        yield
    finally:
        root.removeFilter(quiet)


class _NoPreprocessing(logging.Filter):
    """Silences that."""

    def filter(self, record: logging.LogRecord) -> bool:
        return "pre-processing before quantization" not in record.getMessage()
