"""The families of models that can be exported. To add one, write its file and name it here."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import Any, Final

from torch import Tensor

from ..models.errors import ModelError

State = Mapping[str, Tensor]
MODULES: Final = ("sam", "mobile_sam")


@dataclass(frozen=True, slots=True)
class Family:
    """What the export must know of an architecture; each family's file defines one as ``FAMILY``."""

    prefix: str
    """Before the model type in the name of a model."""
    recognises: Callable[[State], bool]
    """These are a checkpoint's tensors of this family."""
    model_type: Callable[[State], str]
    """The name of the size, e.g. ``vit_b``."""
    reference: Callable[[State], Any]
    """The torch model: ``image_encoder``, ``prompt_encoder``, ``mask_decoder``, and ``preprocess`` as SAM has them."""
    write_encoder: Callable[[Any, Path], None]
    """Writes ``encoder.onnx`` of a reference to a path."""


def families() -> list[Family]:
    """All families, in the order in which they are asked."""
    return [import_module(f".{name}", __package__).FAMILY for name in MODULES]


def family_of(state: State) -> Family:
    """The family that recognises a checkpoint's tensors; ModelError where none does."""
    for family in families():
        if family.recognises(state):
            return family
    first = next(iter(state), "none at all")
    raise ModelError(f"The checkpoint's tensors are of no architecture known here (the first is {first!r}); "
                     "SAM (ViT-B, L, H) and MobileSAM are.")  # fmt: skip
