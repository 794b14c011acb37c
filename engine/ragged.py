"""Records of masks of different sizes: N ragged pieces of logits in one flat array."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields, replace
from typing import Any, Final, Self

import numpy as np
from numpy.typing import NDArray

from . import kernels
from .types import F32, I32, I64, U8


@dataclass(frozen=True, slots=True)
class _Ragged:
    """Base of records of N pieces in one flat array; indexing gives a record again, in the index's order."""

    points: F32
    boxes: I32
    offsets: I64
    logits: F32
    iou: F32
    stability: F32
    role: U8

    def __post_init__(self) -> None:
        n = len(self.boxes)
        if self.boxes.shape != (n, 4) or len(self.offsets) != n + 1 or self.offsets[-1] != len(self.logits):
            raise ValueError(f"{type(self).__name__}: boxes, offsets and logits do not belong together")
        if {len(getattr(self, name)) for name in self._columns()} != {n}:
            raise ValueError(f"{type(self).__name__}: columns differ in length")

    def __len__(self) -> int:
        return len(self.boxes)

    def __getitem__(self, keep: NDArray[Any] | slice) -> Self:
        index = np.arange(len(self), dtype=np.int64)[keep]
        if len(index) == len(self) and (index == np.arange(len(self))).all():
            return self
        sizes = np.diff(self.offsets)[index]
        offsets = np.concatenate([np.zeros(1, np.int64), np.cumsum(sizes)])
        # Position k of the result lies as far from its piece's start as in the source.
        source = np.repeat(self.offsets[:-1][index] - offsets[:-1], sizes) + np.arange(offsets[-1])
        columns = {name: getattr(self, name)[index] for name in self._columns()}
        return replace(self, offsets=offsets, logits=self.logits[source], **columns)

    @classmethod
    def concatenate(cls, parts: Sequence[Self]) -> Self:
        """All pieces in one record, in order; no parts give an empty record."""
        if len(parts) == 1:
            return parts[0]
        parts = (cls.empty(), *parts)
        sizes = np.concatenate([np.diff(part.offsets) for part in parts])
        names = (*cls._columns(), "logits")
        columns = {name: np.concatenate([getattr(part, name) for part in parts]) for name in names}
        return cls(offsets=np.concatenate([np.zeros(1, np.int64), np.cumsum(sizes)]), **columns)

    @classmethod
    def empty(cls) -> Self:
        """No pieces."""
        none: dict[str, Any] = {}
        for name in (*cls._columns(), "logits"):
            shape, dtype = _ENTRIES.get(name, ((), np.float32))
            none[name] = np.empty((0, *shape), dtype)
        return cls(offsets=np.zeros(1, np.int64), **none)

    @classmethod
    def _columns(cls) -> list[str]:
        """Fields with an entry a piece."""
        return [f.name for f in fields(cls) if f.name not in ("offsets", "logits")]


_ENTRIES: Final[Mapping[str, tuple[tuple[int, ...], type]]] = {
    "points": ((2,), np.float32), "boxes": ((4,), np.int32), "origin": ((2,), np.int32), "size": ((2,), np.int32),
    "role": ((), np.uint8),
}  # fmt: skip
"""Of a column's entry, and the column's dtype; float32 numbers where nothing is said."""


@dataclass(frozen=True, slots=True)
class Clips(_Ragged):
    """Masks of one tile as the model gives them, at low resolution: of each the cells it takes, and a margin.

    ``points (N, 2)`` the prompt, (x, y), model px; ``boxes (N, 4)`` as of Patches: the tight box of the mask at the
    pixels of the file; clip i is ``logits[offsets[i]:offsets[i + 1]]``, row-major; the rest as in Patches.
    """

    origin: I32
    """(N, 2) (x, y) of the first cell, in cells of the tile."""
    size: I32
    """(N, 2) (width, height), cells."""


@dataclass(frozen=True, slots=True)
class Patches(_Ragged):
    """Masks at the pixels of the file inside their own boxes; N ragged patches in one flat array, image px.

    ``points (N, 2)`` float32, the prompt, (x, y), image px; ``boxes (N, 4)`` int32, x0, y0, x1, y1, half-open, that
    hold every logit > 0, and of lobes a rim of outside besides, where the frame goes on: it tells where between two
    pixels the outline runs; ``offsets (N + 1,)`` int64 and ``logits`` float32: patch i is ``logits[offsets[i]:
    offsets[i + 1]]``, row-major in its box, > 0 is inside; ``iou (N,)`` predicted IoU, 0–1; ``stability (N,)`` score,
    0–1, of the mask at logit ± offset; ``role (N,)`` see Role.
    """

    zoom: F32
    """(N,) model px per image px where the mask was asked for: how finely it was drawn."""

    @property
    def tight(self) -> I32:
        """(N, 4) int32: the smallest boxes that hold every logit > 0, zeros where there is none."""
        tight: I32 = kernels.tight_boxes(*self.plain)
        return tight

    @property
    def plain(self) -> tuple[NDArray[Any], NDArray[Any], NDArray[Any]]:
        """Boxes, offsets and logits as loops are compiled for them."""
        columns = (self.boxes, np.int32), (self.offsets, np.int64), (self.logits, np.float32)
        boxes, offsets, logits = (np.require(column, dtype, ["C", "W"]) for column, dtype in columns)
        return boxes, offsets, logits

    def patch(self, i: int) -> F32:
        """(height, width) float32 logits of patch ``i`` inside its box."""
        x0, y0, x1, y1 = self.boxes[i]
        return self.logits[self.offsets[i] : self.offsets[i + 1]].reshape(y1 - y0, x1 - x0)
