"""A torch module → one ONNX file, and its weights in one file beside it where they are large."""

from __future__ import annotations

import tempfile
import warnings
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Final

import onnx
import torch
from torch import nn

from ..models.errors import ModelError

OPSET: Final = 17
LARGE: Final = 2**30
"""Bytes of weights above which they lie in a file of their own. One protobuf message holds 2 GiB."""
PAGE: Final = 2**16
"""Bytes; a tensor at least as large starts at a multiple of this in the file, where Windows can map it."""
SMALL: Final = 2**10
"""Bytes below which a tensor stays in the graph, where shape inference sees it."""


def write_graph(
    module: nn.Module,
    inputs: tuple[Any, ...],
    path: Path,
    names: Sequence[str],
    outputs: Sequence[str],
    axes: Mapping[str, Mapping[int, str]],
    large: int = LARGE,
) -> None:
    """Trace ``module`` on ``inputs`` and write it; ``names`` and ``outputs`` name its tensors, ``axes`` the free ones.

    The tracer turns sizes it cannot follow into constants: only a run at other sizes tells whether it did. More than
    ``large`` bytes of weights go to ``PATH.data`` (see ``one_external_file``).
    """
    # Above 2 GiB the exporter writes a file for each weight.
    with tempfile.TemporaryDirectory(prefix=".writing-", dir=path.parent) as folder:
        written = Path(folder) / path.name
        with warnings.catch_warnings():
            # It warns of every size it turns into a constant, right or wrong, and of its own age.
            warnings.simplefilter("ignore")
            torch.onnx.export(
                module, inputs, str(written), input_names=list(names), output_names=list(outputs),
                dynamic_axes={k: dict(v) for k, v in axes.items()}, opset_version=OPSET, do_constant_folding=True,
                dynamo=False,
            )  # fmt: skip
        one_external_file(written, large)
        move_graph(written, path)


def weights_file(path: Path) -> Path:
    """The one file that holds a large graph's weights."""
    return path.with_name(path.name + ".data")


def move_graph(source: Path, target: Path) -> None:
    """Put a graph and its weights in the place of ``target``, in the same file system; the names must be the same."""
    if weights_file(source).exists():
        weights_file(source).replace(weights_file(target))
    else:
        weights_file(target).unlink(missing_ok=True)
    source.replace(target)


def one_external_file(path: Path, large: int = LARGE) -> bool:
    """Move the weights of the graph at ``path`` to ``PATH.data`` if they take more than ``large`` bytes together.

    Weights that lie in files already are moved there whatever they take, one at a time, and their files removed.
    Gives whether the graph has such a file now. onnxruntime maps it into memory.
    """
    model = onnx.load(path, load_external_data=False)
    inside = [t for t in model.graph.initializer if len(t.raw_data) >= SMALL]
    outside = [t for t in _tensors(model.graph) if t.data_location == onnx.TensorProto.EXTERNAL]
    if not outside and sum(len(t.raw_data) for t in inside) <= large:
        return False
    target, old = weights_file(path), set()
    temporary = target.with_name(target.name + ".tmp")
    with temporary.open("wb") as file:
        for tensor in (*inside, *outside):
            place = {e.key: e.value for e in tensor.external_data}
            source = path.parent / place.get("location", "")
            offset = int(place.get("offset", 0))
            length = int(place.get("length", 0)) or len(tensor.raw_data) or source.stat().st_size - offset
            start = file.tell() + -file.tell() % (PAGE if length >= PAGE else SMALL)
            file.seek(start)
            if place:
                old.add(source)
                with source.open("rb") as weights:
                    _copy(weights, file, offset, length)
            else:
                file.write(tensor.raw_data)
                tensor.ClearField("raw_data")
            del tensor.external_data[:]
            for key, value in (("location", target.name), ("offset", start), ("length", length)):
                tensor.external_data.add(key=key, value=str(value))
            tensor.data_location = onnx.TensorProto.EXTERNAL
    temporary.replace(target)
    onnx.save(model, path)
    for source in old - {target}:
        source.unlink(missing_ok=True)
    return True


def _tensors(graph: Any) -> Iterator[Any]:
    """Every tensor that is written in a graph: weights, and constants in its nodes and their branches."""
    yield from graph.initializer
    for attribute in (a for node in graph.node for a in node.attribute):
        if attribute.HasField("t"):
            yield attribute.t
        if attribute.HasField("g"):
            yield from _tensors(attribute.g)


def _copy(source: Any, target: Any, start: int, length: int) -> None:
    """``length`` bytes from ``start`` of one open file to the end of another."""
    source.seek(start)
    while length > 0:
        part = source.read(min(length, 2**24))
        if not part:
            raise ModelError("A file of weights is shorter than its graph says; export the checkpoint again.")
        target.write(part)
        length -= len(part)
