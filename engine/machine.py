"""What this machine can do."""

from __future__ import annotations

import os
import time
from collections.abc import Sequence
from functools import cache
from typing import Any, Final

import numpy as np
import onnxruntime

SIDE: Final = 2048
"""Of the matrices of the ceiling."""
TRIES: Final = 5
"""Products of them; the fastest counts."""


def cores() -> int:
    """Processors that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


@cache
def has_vnni() -> bool:
    """Whether the processor adds up products of int8 in 32 bits in one instruction."""
    from llvmlite.binding import get_host_cpu_features

    features = get_host_cpu_features()
    return bool(features.get("avx512vnni") or features.get("avxvnni"))


def ceiling(providers: Sequence[str], threads: int | None = None) -> float:
    """Operations a second in a product of two float32 matrices, on the device of the first provider."""
    session = onnxruntime.InferenceSession(_product(SIDE), options(threads), providers=list(providers))
    device = "cpu" if providers[0] == "CPUExecutionProvider" else "cuda"
    matrix = np.random.default_rng(0).standard_normal((SIDE, SIDE), np.float32)
    binding = session.io_binding()
    for name in ("a", "b"):
        binding.bind_ortvalue_input(name, onnxruntime.OrtValue.ortvalue_from_numpy(matrix, device, 0))
    binding.bind_output("c", device)
    seconds = []
    for _ in range(1 + TRIES):
        start = time.perf_counter()
        session.run_with_iobinding(binding)
        binding.synchronize_outputs()
        seconds.append(time.perf_counter() - start)
    return 2 * SIDE**3 / min(seconds[1:])


def options(threads: int | None) -> Any:
    """onnxruntime's, for a session with so many threads; all cores where None."""
    chosen = onnxruntime.SessionOptions()
    chosen.log_severity_level = 3  # "error": its warnings speak to its own developers
    if not has_vnni():
        # onnxruntime adds int8 products up in 16 bits there, and silently saturates; this makes it exact, and slower.
        chosen.add_session_config_entry("session.x64quantprecision", "1")
    if threads is not None:
        chosen.intra_op_num_threads = threads
    return chosen


def _product(side: int) -> bytes:
    """An ONNX model of c = a · b, square float32 matrices; field numbers are those of onnx/onnx.proto."""
    shape = _message((1, _message((1, side)))) * 2  # two dimensions
    tensor = _message((1, 1), (2, shape))  # element type float32
    node = _message((1, b"a"), (1, b"b"), (2, b"c"), (4, b"MatMul"))
    a, b, c = (_message((1, name), (2, _message((1, tensor)))) for name in (b"a", b"b", b"c"))
    graph = _message((1, node), (2, b"product"), (11, a), (11, b), (12, c))
    return _message((1, 8), (7, graph), (8, _message((2, 17))))  # IR version 8, opset 17


def _message(*fields: tuple[int, int | bytes]) -> bytes:
    """protobuf: whole numbers as varints, bytes with their length."""
    parts = []
    for number, value in fields:
        parts.append(_varint(number << 3) + _varint(value) if isinstance(value, int)
                     else _varint(number << 3 | 2) + _varint(len(value)) + value)  # fmt: skip
    return b"".join(parts)


def _varint(value: int) -> bytes:
    low = bytes([value & 0x7F | (0x80 if value > 0x7F else 0)])
    return low + _varint(value >> 7) if value > 0x7F else low
