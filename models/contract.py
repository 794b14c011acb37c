"""The tensors that the two graphs of a model must have; see the model contract in docs/models.md."""

from __future__ import annotations

from collections.abc import Collection
from pathlib import Path
from typing import Final, NamedTuple

from .card import CARD, ModelCard
from .errors import ModelError
from .onnx_graph import read_graph

IMAGE: Final = "image"
EMBEDDINGS: Final = "image_embeddings"
PROMPTS: Final = ("point_coords", "point_labels", "iou_threshold")
WINDOW: Final = "window"
"""Decoder input of windowed models: the side of the windows, cells, int64."""
ANSWERS: Final = ("iou_predictions", "prompt_index", "low_res_masks")
ORIGIN: Final = "mask_origin"
"""Decoder output of windowed models."""
_ONE_PROMPT: Final = frozenset(("point_coords", "point_labels", "mask_input", "has_mask_input"))
"""Inputs of the decoders that Meta's ``scripts/export_onnx_model.py`` and samexporter write."""


class Tensors(NamedTuple):
    """Names of what a graph takes and gives."""

    inputs: Collection[str]
    outputs: Collection[str]


def check(card: ModelCard, encoder: Tensors, decoder: Tensors) -> None:
    """ModelError where the graphs do not have the inputs and outputs of the model contract."""
    windowed = card.window is not None
    expected = {*ANSWERS, *([ORIGIN] if windowed else [])}
    for problem in (
        set(encoder.inputs) ^ {IMAGE},
        {EMBEDDINGS} - set(encoder.outputs),
        set(decoder.inputs) ^ {*encoder.outputs, *PROMPTS, *([WINDOW] if windowed else [])},
        expected - set(decoder.outputs),
    ):
        if problem:
            raise ModelError(f"Model {card.name} does not obey the model contract: see its tensor {min(problem)!r}.")


def why_no_model(path: Path) -> str:
    """What to do about a path at which there is no model of ours, one sentence; it may hold one of another program."""
    files = sorted(path.glob("*.onnx")) if path.is_dir() else [path] if path.suffix == ".onnx" else []
    for file in files:
        try:
            graph = read_graph(file)
        except ModelError:
            continue
        if _ONE_PROMPT.issubset(graph.inputs):
            return (
                f"{file}: this decoder takes one prompt a call, as samexporter and Meta's export_onnx_model.py write "
                "it, and cannot be used here; export the checkpoint it was made from with `samcolloid-edge export`."
            )
    if files:
        return (
            f"{path}: these ONNX files have no {CARD}, so nothing says what they are; export the checkpoint they were "
            "made from with `samcolloid-edge export`."
        )
    return f"{path}: there is no model here (no {CARD}); name an installed model or the folder of one."
