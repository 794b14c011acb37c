"""The two lower precisions: what they do to the fp32 graphs of a model, and which layers they spoil most."""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from . import half, quantise

ENCODER: Final = "encoder.onnx"
DECODER: Final = "decoder.onnx"


class Half:
    """fp16: nodes with large values stay as they are; of the others those with the largest go back first."""

    def __init__(self, source: Path, target: Path, feeds: dict[str, list[dict[str, NDArray[Any]]]]) -> None:
        self.source, self.target = source, target
        self.peaks = {file: half.peaks(source / file, feeds[file]) for file in (ENCODER, DECODER)}

    def from_the_first(self) -> list[str]:
        """Layers that stay in fp32 in any case."""
        return [f"{file}:{node}" for file, found in self.peaks.items() for node, value in found.items()
                if not value <= half.LIMIT]  # fmt: skip

    def order(self) -> list[str]:
        """All layers, those first that lose most."""
        return half.least_fit({f"{file}:{node}": value for file, found in self.peaks.items()
                                    for node, value in found.items()})  # fmt: skip

    def write(self, kept: Sequence[str]) -> None:
        """Write the graphs with the layers ``kept`` in fp32."""
        for file in (ENCODER, DECODER):
            mine = [name.partition(":")[2] for name in kept if name.startswith(f"{file}:")]
            half.to_fp16(self.source / file, self.target / file, mine)


class Int8:
    """int8 in the encoder's matrix products; the decoder, a few per cent of the time for most uses, stays in fp32."""

    def __init__(self, source: Path, target: Path, images: Sequence[NDArray[np.uint8]]) -> None:
        self.source, self.target, self.images = source, target, images
        shutil.copyfile(source / DECODER, target / DECODER)

    def from_the_first(self) -> list[str]:
        """Layers that stay in fp32 in any case."""
        return []

    def order(self) -> list[str]:
        """All layers, those first that lose most."""
        return list(quantise.sensitive_order(self.source / ENCODER, self.images))

    def write(self, kept: Sequence[str]) -> None:
        """Write the graphs with the layers ``kept`` in fp32."""
        quantise.quantise(self.source / ENCODER, self.target / ENCODER, kept)
