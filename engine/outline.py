"""The outline of every lobe: a closed polygon, finer than the pixels where the model's logits are known."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final, Self

import numpy as np
from numpy.typing import NDArray

from . import kernels_outline as kernels

F64 = NDArray[np.float64]
I32 = NDArray[np.int32]
I64 = NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class Outlines:
    """N closed polygons in one ragged array: the outer outline of each lobe; holes are not told.

    Polygon i runs through ``points[offsets[i]:offsets[i + 1]]``, clockwise as seen on the screen, and from its last
    point to its first.
    """

    points: F64
    """(V, 2) (x, y), edge coordinates of the file, px: the first pixel's centre is (0.5, 0.5)."""
    offsets: I64
    """(N + 1,)."""

    def __post_init__(self) -> None:
        if self.points.shape != (self.offsets[-1], 2) or self.offsets[0] != 0:
            raise ValueError(f"Outlines: points {self.points.shape} do not belong to {self.offsets[-1]} places")

    def __len__(self) -> int:
        return len(self.offsets) - 1

    def polygon(self, i: int) -> F64:
        """(K, 2) points (x, y) of outline ``i``, edge coordinates, px."""
        return self.points[self.offsets[i] : self.offsets[i + 1]]

    @classmethod
    def concatenate(cls, parts: Sequence[Self]) -> Self:
        """All outlines in one record, in order; no parts give an empty record."""
        sizes = np.concatenate([np.zeros(1, np.int64), *(np.diff(part.offsets) for part in parts)])
        return cls(np.concatenate([np.empty((0, 2)), *(part.points for part in parts)]), np.cumsum(sizes))


_NOTHING: Final = (np.empty((0, 4), np.int32), np.zeros(1, np.int64), np.empty(0, np.float32))
"""Patches where no logits are known."""


def of_labels(labels: NDArray[Any]) -> Outlines:
    """Outlines of a label image (H, W) alone: through the middles of the pixel edges.

    Labels 1 … N without a gap, each one 8-connected part (of several the one that holds its first pixel is outlined).
    """
    plain = np.require(labels, np.int32, ["C", "W"])
    n = int(plain.max(initial=0))
    return Outlines(*kernels.trace(plain, plain, n, *_NOTHING))
