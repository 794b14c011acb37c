"""Whole-particle masks as votes: how much of each lobe every one of them holds, and so which lobes belong together."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final, Self

import numpy as np
from numpy.typing import NDArray

from . import kernels_measure
from .ragged import Patches
from .types import I32, I64

F64 = NDArray[np.float64]

FAINT: Final = 0.05
"""Coverage of a lobe, 0–1, below which a particle mask does not know it."""


@dataclass(frozen=True, slots=True)
class Votes:
    """What the particle masks say, added up; K pairs of lobes, i ≤ j, in ascending order, each once.

    ``amount`` is the sum over the masks of the product of the shares of lobe i and lobe j that a mask holds; for
    i = j it is the sum of the squares, so a lobe in one mask has 1.
    """

    n_lobes: int
    pairs: I64
    """(K, 2)."""
    amount: F64
    """(K,)."""

    @property
    def any(self) -> bool:
        """Whether there are particle masks at all."""
        return len(self.pairs) > 0

    def of(self, i: NDArray[Any], j: NDArray[Any]) -> tuple[F64, F64]:
        """Votes for and against pairs of different lobes ``i``, ``j`` (M,): masks that hold both, and only one.

        Σ cᵢcⱼ and Σ (cᵢ − cⱼ)² over the masks, c being the share of a lobe in a mask, 0–1.
        """
        alone = self._at(np.arange(self.n_lobes), np.arange(self.n_lobes))
        yes = self._at(np.minimum(i, j), np.maximum(i, j))
        return yes, np.maximum(alone[i] + alone[j] - 2 * yes, 0)

    def _at(self, low: NDArray[Any], high: NDArray[Any]) -> F64:
        key, wanted = self.pairs[:, 0] * self.n_lobes + self.pairs[:, 1], low * self.n_lobes + high
        place = np.searchsorted(key, wanted)
        found = np.append(key, -1)[place] == wanted
        amount: F64 = np.where(found, np.append(self.amount, 0.0)[place], 0.0)
        return amount

    @classmethod
    def summed(cls, n_lobes: int, pairs: Sequence[I64], amounts: Sequence[F64]) -> Self:
        """Of lists of (K, 2) pairs in any order and number, and their amounts (K,); below 0 a pair is left out."""
        both = np.sort(np.concatenate([np.empty((0, 2), np.int64), *pairs]), axis=1)
        amount = np.concatenate([np.empty(0), *amounts])
        real = both[:, 0] >= 0
        key, where = np.unique(both[real, 0] * n_lobes + both[real, 1], return_inverse=True)
        total: F64 = np.bincount(where, weights=amount[real], minlength=len(key)).astype(np.float64)
        return cls(n_lobes, np.stack(np.divmod(key, max(n_lobes, 1)), 1), total)


def count(labels: I32, patches: Patches) -> Votes:
    """The votes of K particle masks, px of the image, on the lobes of ``labels`` (H, W) int32, lobe i is i + 1.

    A mask holds of a lobe the mean over its pixels of the sigmoid of the mask's logit (0 outside its box).
    Raises ValueError where a mask reaches out of the image.
    """
    labels = np.ascontiguousarray(labels, np.int32)
    height, width = labels.shape
    n = int(labels.max(initial=0))
    if len(patches) and (patches.boxes.min() < 0 or patches.boxes[:, 2].max() > width
                         or patches.boxes[:, 3].max() > height):
        raise ValueError(f"votes: a particle mask reaches out of the image of {height} × {width} px")
    capacity = 32 * len(patches)
    while True:
        size, patch, label, total = kernels_measure.patch_sums(
            labels, patches.boxes, patches.offsets, patches.logits, n, capacity)
        if size <= capacity:
            break
        capacity = size
    share = total[:size] / np.bincount(labels.ravel(), minlength=n + 1)[label[:size]]
    known = share >= FAINT
    patch, lobe, share = patch[:size][known], label[:size][known] - 1, share[known]
    # Each lobe of a mask with each of the same mask: the masks' lists joined with themselves.
    length = np.bincount(patch, minlength=len(patches))
    first = np.cumsum(length) - length
    one = np.repeat(np.arange(len(patch)), length[patch])
    other = np.arange(len(one)) - np.repeat(np.cumsum(length[patch]) - length[patch] - first[patch], length[patch])
    once = lobe[one] <= lobe[other]
    one, other = one[once], other[once]
    return Votes.summed(n, [np.stack([lobe[one], lobe[other]], 1)], [share[one] * share[other]])
