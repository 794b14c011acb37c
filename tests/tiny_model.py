"""A model of a few bytes that obeys the contract: what the store does with a model does not hang on its size."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import numpy as np
from handmade import CARD
from onnx import TensorProto, helper, numpy_helper

F32, I64, U8 = TensorProto.FLOAT, TensorProto.INT64, TensorProto.UINT8
DATA = "encoder.onnx.data"


def external(name: str, location: str, size: int) -> TensorProto:
    """A weight of ``size`` float32 that lies in another file."""
    tensor = TensorProto(name=name, data_type=F32, dims=[size], data_location=TensorProto.EXTERNAL)
    for key, value in (("location", location), ("offset", "0"), ("length", str(4 * size))):
        tensor.external_data.add(key=key, value=value)
    return tensor


def write_graph(path: Path, nodes: Sequence[Any], inputs: Sequence[Any], outputs: Sequence[Any],
                weights: Sequence[TensorProto] = ()) -> None:  # fmt: skip
    """Inputs and outputs are (name, type, shape)."""
    values = [[helper.make_tensor_value_info(*value) for value in side] for side in (inputs, outputs)]
    graph = helper.make_graph(nodes, "tiny", *values, initializer=list(weights))
    opset = [helper.make_opsetid("", 17)]
    path.write_bytes(helper.make_model(graph, opset_imports=opset, ir_version=8).SerializeToString())


def make(folder: Path, *, name: str = "tiny", weight: float = 1.0, beside: str | None = None) -> Path:
    """Write a model; ``weight`` makes its files differ, ``beside`` is where the encoder says that its weights lie.

    With ``beside`` the weights are written to ``encoder.onnx.data``, and the card lists that file.
    """
    folder.mkdir(parents=True, exist_ok=True)
    values = np.full(256, weight, np.float32)
    (weights,) = (numpy_helper.from_array(values, "w"),) if beside is None else (external("w", beside, 256),)
    write_graph(
        folder / "encoder.onnx",
        [helper.make_node("Cast", ["image"], ["grey"], to=F32), helper.make_node("ReduceMax", ["w"], ["scale"]),
         helper.make_node("Mul", ["grey", "scale"], ["scaled"]),
         helper.make_node("Unsqueeze", ["scaled", "axis"], ["image_embeddings"])],
        [("image", U8, ["h", "w", 3])], [("image_embeddings", F32, [1, "h", "w", 3])],
        [weights, numpy_helper.from_array(np.array([0]), "axis")],
    )  # fmt: skip
    write_graph(
        folder / "decoder.onnx",
        [helper.make_node("Identity", ["point_labels"], ["iou_predictions"]),
         helper.make_node("Shape", ["point_coords"], ["prompt_index"]),
         helper.make_node("Add", ["image_embeddings", "iou_threshold"], ["low_res_masks"])],
        [("image_embeddings", F32, [1, "c", "h", "w"]), ("point_coords", F32, ["p", "k", 2]),
         ("point_labels", F32, ["p", "k"]), ("iou_threshold", F32, [])],
        [("iou_predictions", F32, ["p", "m"]), ("prompt_index", I64, ["s"]),
         ("low_res_masks", F32, ["s", "m", "h", "w"])],
    )  # fmt: skip
    if beside is not None:
        (folder / DATA).write_bytes(values.tobytes())
    write_card(folder, name=name)
    return folder


def write_card(folder: Path, **entries: Any) -> None:
    """A card with the true hashes of the files that are there; ``entries`` as they shall stand in the JSON."""
    files = {path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in folder.glob("*.onnx*")}
    card = replace(CARD, files=files, window=None, embedding_shape=(1, None, None, 3), masks=("ignore", "whole"))
    (folder / "card.json").write_text(json.dumps(asdict(card) | entries), "utf-8")


def one_prompt_decoder(path: Path) -> Path:
    """A decoder with the inputs and outputs of Meta's ``scripts/export_onnx_model.py``."""
    inputs = [("image_embeddings", F32, [1, 256, 64, 64]), ("point_coords", F32, [1, "n", 2]),
              ("point_labels", F32, [1, "n"]), ("mask_input", F32, [1, 1, 256, 256]), ("has_mask_input", F32, [1]),
              ("orig_im_size", F32, [2])]  # fmt: skip
    outputs = [("masks", F32, [1, 1, "h", "w"]), ("iou_predictions", F32, [1, 1]),
               ("low_res_masks", F32, [1, 1, 256, 256])]  # fmt: skip
    taken = ("mask_input", "point_labels", "mask_input")
    nodes = [helper.make_node("Identity", [name], [output[0]]) for name, output in zip(taken, outputs, strict=True)]
    path.parent.mkdir(parents=True, exist_ok=True)
    write_graph(path, nodes, inputs, outputs)
    return path
