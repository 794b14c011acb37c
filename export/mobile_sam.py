"""The MobileSAM family, SAM with TinyViT for its image encoder: a checkpoint's tensors → torch modules, encoder graph.

Sizes come from the tensors; what these do not tell (an image of 1024 px, the strides, the decoder's heads) is as in
``mobile_sam/build_sam.py: build_sam_vit_t`` (MobileSAM, Apache-2.0).
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from pathlib import Path
from typing import Final

import torch
from segment_anything.modeling import Sam
from torch import Tensor

from ..models.errors import ModelError
from .families import Family
from .graph import write_graph
from .sam import load, with_encoder
from .tiny_vit import STRIDES, TinyViT, TinyViTEncoder, TinyViTSizes

SIDE: Final = 1024
GRID: Final = 64
UNREAD: Final = frozenset(f"image_encoder.{name}" for name in
                          ("norm_head.weight", "norm_head.bias", "head.weight", "head.bias"))  # fmt: skip
"""TinyViT's classification head: in the published checkpoint, in nothing that SAM computes."""


def is_mobile_sam(state: Mapping[str, Tensor]) -> bool:
    """These are the tensors of a SAM whose image encoder is a TinyViT."""
    return {"image_encoder.patch_embed.seq.0.c.weight", "image_encoder.layers.1.blocks.0.attn.attention_biases",
            "mask_decoder.iou_token.weight"} <= set(state)  # fmt: skip


def reference(state: Mapping[str, Tensor]) -> Sam:
    """``segment_anything``'s ``Sam`` with these tensors, its image encoder a ``TinyViT``; in evaluation mode.

    Raises ModelError that names the first tensor which is missing, unknown or of a wrong shape.
    """
    with torch.device("meta"):
        read = sizes(state)
        hidden, _ = _shape(state, "mask_decoder.transformer.layers.0.mlp.lin1.weight", 2)
        model = with_encoder(TinyViT(read, SIDE), SIDE, GRID, read.out, hidden)
    load(model, {name: tensor for name, tensor in state.items() if name not in UNREAD})
    return model


def sizes(state: Mapping[str, Tensor]) -> TinyViTSizes:
    """The TinyViT of these tensors; raises ModelError that names the first which is missing or cannot belong to one."""
    stages = range(len(STRIDES))
    layer = "image_encoder.layers"
    merged = [_shape(state, f"{layer}.{i}.downsample.conv1.c.weight", 4) for i in stages[:-1]]
    biases = [_shape(state, f"{layer}.{i}.blocks.0.attn.attention_biases", 2) for i in stages[1:]]
    widths = (merged[0][1], *(outputs for outputs, *_ in merged))
    for i, width, (heads, offsets) in zip(stages[1:], widths[1:], biases, strict=True):
        if width % heads or math.isqrt(offsets) ** 2 != offsets:
            raise ModelError(f"The checkpoint's tensor '{layer}.{i}.blocks.0.attn.attention_biases' has the shape "
                             f"{(heads, offsets)}, which no square window over {width} channels has.")  # fmt: skip
    return TinyViTSizes(
        widths=widths,
        depths=tuple(_depth(state, f"{layer}.{i}.blocks.") for i in stages),
        heads=tuple(heads for heads, _ in biases),
        windows=tuple(math.isqrt(offsets) for _, offsets in biases),
        expansion=_shape(state, f"{layer}.0.blocks.0.conv1.c.weight", 4)[0],
        hidden=tuple(_shape(state, f"{layer}.{i}.blocks.0.mlp.fc1.weight", 2)[0] for i in stages[1:]),
        kernel=_shape(state, f"{layer}.1.blocks.0.local_conv.c.weight", 4)[3],
        out=_shape(state, "mask_decoder.iou_token.weight", 2)[1],
    )


def _shape(state: Mapping[str, Tensor], name: str, axes: int) -> tuple[int, ...]:
    if name not in state:
        raise ModelError(f"The checkpoint lacks tensor {name!r}: it is incomplete or of another architecture.")
    shape = tuple(state[name].shape)
    if len(shape) != axes or 0 in shape:
        raise ModelError(f"The checkpoint's tensor {name!r} has the shape {shape}, not {axes} axes: "
                         "it is of another architecture.")  # fmt: skip
    return shape


def _depth(state: Mapping[str, Tensor], prefix: str) -> int:
    return len({name.removeprefix(prefix).partition(".")[0] for name in state if name.startswith(prefix)})


def write_encoder(reference: Sam, path: Path) -> None:
    """Write ``encoder.onnx`` of a ``reference``; see ``TinyViTEncoder`` for what it takes and gives."""
    encoder = TinyViTEncoder(reference.image_encoder, reference.pixel_mean, reference.pixel_std).eval()
    image = torch.zeros((SIDE * 3 // 4, SIDE, 3), dtype=torch.uint8)
    with torch.no_grad():
        write_graph(encoder, (image,), path, ("image",), ("image_embeddings",), {"image": {0: "height", 1: "width"}})


FAMILY: Final = Family("", is_mobile_sam, lambda _: "mobile_sam", reference, write_encoder)
