"""What an ONNX file says of itself before anything runs it: its inputs, its outputs and the files it reads.

A walk over the protobuf fields of onnx/onnx.proto that keeps names and steps over the weights. What it cannot follow is
refused, so that onnxruntime never sees a reference to another file that was not seen here.
"""

from __future__ import annotations

import mmap
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from .errors import ModelError

_VARINT, _FIXED64, _BYTES, _FIXED32 = 0, 1, 2, 5
_DEEPEST: Final = 100
"""protobuf's own limit of nested messages."""

# Message → field number → message of that field: every way from a model to a tensor.
_MESSAGES: Final[dict[str, dict[int, str]]] = {
    "model": {7: "graph", 20: "training", 25: "function"},
    "training": {1: "graph", 2: "graph"},
    "function": {7: "node", 11: "attribute"},
    "graph": {1: "node", 5: "tensor", 15: "sparse"},
    "node": {5: "attribute"},
    "attribute": {5: "tensor", 6: "graph", 10: "tensor", 11: "graph", 22: "sparse", 23: "sparse"},
    "sparse": {1: "tensor", 2: "tensor"},
    "tensor": {13: "entry"},
}
_GRAPH_INPUT, _GRAPH_OUTPUT, _GRAPH_INITIALIZER = 11, 12, 5
_NAME_OF_VALUE, _NAME_OF_TENSOR = 1, 8
_KEY, _VALUE = 1, 2


@dataclass(frozen=True, slots=True)
class OnnxGraph:
    """The names in one ONNX file."""

    inputs: tuple[str, ...]
    """Of the main graph, without those that are weights."""
    outputs: tuple[str, ...]
    external: frozenset[str] = field(default=frozenset())
    """Where tensors lie outside the file, as written there: relative to its folder, by onnx's rules."""


class _NoGraphError(Exception):
    pass


def read_graph(path: Path) -> OnnxGraph:
    """The names in an ONNX file; ModelError where it cannot be read or is none."""
    try:
        with path.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as data:
            return _read(data)
    except OSError as error:
        raise ModelError(f"{path}: cannot be read ({error.strerror}); install or export the model again.") from None
    except (ValueError, _NoGraphError):  # an empty file cannot be mapped
        raise ModelError(f"{path}: this is no ONNX graph; install or export the model again.") from None


def _read(data: mmap.mmap) -> OnnxGraph:
    inputs, outputs, weights = [], [], set()
    external = set()
    graphs = 0
    waiting = [("model", 0, len(data), 0)]
    while waiting:
        message, start, stop, depth = waiting.pop()
        if depth > _DEEPEST:
            raise _NoGraphError
        main = message == "graph" and depth == 1
        if message == "entry":
            external |= _locations(data, start, stop)
            continue
        inner = _MESSAGES[message]
        for number, first, last in _fields(data, start, stop):
            if number in inner:
                waiting.append((inner[number], first, last, depth + 1))
                graphs += message == "model" and number == 7
            if main and number == _GRAPH_INPUT:
                inputs.append(_text(data, _NAME_OF_VALUE, first, last))
            elif main and number == _GRAPH_OUTPUT:
                outputs.append(_text(data, _NAME_OF_VALUE, first, last))
            elif main and number == _GRAPH_INITIALIZER:
                weights.add(_text(data, _NAME_OF_TENSOR, first, last))
    if graphs != 1:
        raise _NoGraphError
    return OnnxGraph(tuple(name for name in inputs if name not in weights), tuple(outputs), frozenset(external))


def _locations(data: mmap.mmap, start: int, stop: int) -> set[str]:
    """The value of one key-value entry of ``external_data``, if its key is ``location``."""
    if _text(data, _KEY, start, stop) != "location":
        return set()
    return {_text(data, _VALUE, start, stop)}


def _text(data: mmap.mmap, wanted: int, start: int, stop: int) -> str:
    """A text field of a message; empty where it is absent, the last one counts, as protobuf has it."""
    text = b""
    for number, first, last in _fields(data, start, stop):
        if number == wanted:
            text = data[first:last]
    return text.decode("utf-8", "backslashreplace")


def _fields(data: mmap.mmap, start: int, stop: int) -> Iterator[tuple[int, int, int]]:
    """Number, first and last byte (exclusive) of each length-delimited field of a message; others are stepped over."""
    at = start
    while at < stop:
        tag, at = _varint(data, at, stop)
        number, kind = tag >> 3, tag & 7
        if not 0 < number < 1 << 29:
            raise _NoGraphError
        if kind == _VARINT:
            _, at = _varint(data, at, stop)
        elif kind == _FIXED64:
            at += 8
        elif kind == _FIXED32:
            at += 4
        elif kind == _BYTES:
            length, at = _varint(data, at, stop)
            if at + length > stop:
                raise _NoGraphError
            yield number, at, at + length
            at += length
        else:  # groups, which onnx has not
            raise _NoGraphError
    if at > stop:
        raise _NoGraphError


def _varint(data: mmap.mmap, at: int, stop: int) -> tuple[int, int]:
    value = 0
    for shift in range(0, 70, 7):
        if at >= stop:
            break
        byte = data[at]
        at += 1
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            return value, at
    raise _NoGraphError
