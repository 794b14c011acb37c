"""onnxruntime is set up for the processor that it runs on."""

from __future__ import annotations

import numpy as np
import onnxruntime
import pytest
from onnx import TensorProto, helper, numpy_helper
from samcolloid_edge.engine import machine


def test_the_largest_products_of_int8_add_up_exactly() -> None:
    a, b = np.full((16, 64), 255, np.uint8), np.full((64, 16), 127, np.int8)
    graph = helper.make_graph(
        [helper.make_node("MatMulInteger", ["a", "b"], ["out"])], "product",
        [helper.make_tensor_value_info("a", TensorProto.UINT8, a.shape)],
        [helper.make_tensor_value_info("out", TensorProto.INT32, None)],
        [numpy_helper.from_array(b, "b")],
    )  # fmt: skip
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    session = onnxruntime.InferenceSession(
        model.SerializeToString(), machine.options(1), providers=["CPUExecutionProvider"]
    )
    assert (session.run(None, {"a": a})[0] == a.astype(np.int64) @ b.astype(np.int64)).all()


@pytest.mark.parametrize("known", [False, True])
def test_the_slower_products_are_taken_only_where_the_quicker_ones_saturate(
    known: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(machine, "has_vnni", lambda: known)
    options = machine.options(None)
    if known:
        with pytest.raises(RuntimeError):
            options.get_session_config_entry("session.x64quantprecision")
    else:
        assert options.get_session_config_entry("session.x64quantprecision") == "1"
