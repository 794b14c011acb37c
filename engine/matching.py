"""One-to-one matching of lobes and of sets, the same for every comparison and benchmark.

Boxes are (row0, col0, row1, col1), half-open, px. Label images are (H, W) integer with 0 for background;
label i + 1 is lobe i.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from . import kernels_matching
from .types import I64, Bool

F64 = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Overlaps:
    """The pairs of two lists of lobes that overlap at all, K of them."""

    first: I64
    """(K,) row in the first list."""
    second: I64
    """(K,) row in the second list."""
    intersection: F64
    """(K,) shared area, px²."""
    iou: F64
    """(K,) intersection over union, 0–1."""
    lengths: tuple[int, int]
    """Number of lobes in the two lists."""


@dataclass(frozen=True, slots=True)
class Score:
    """Counts of one comparison; scores of several images add up before they are divided."""

    found: int = 0
    truth: int = 0
    predicted: int = 0

    def __add__(self, other: Score) -> Score:
        return Score(self.found + other.found, self.truth + other.truth, self.predicted + other.predicted)

    @property
    def recall(self) -> float:
        """Share of the truth that was found; NaN without truth."""
        return self.found / self.truth if self.truth else float("nan")

    @property
    def precision(self) -> float:
        """Share of the predictions that are right; NaN without predictions."""
        return self.found / self.predicted if self.predicted else float("nan")

    @property
    def f1(self) -> float:
        """Harmonic mean of recall and precision; NaN where both lists are empty."""
        total = self.truth + self.predicted
        return 2 * self.found / total if total else float("nan")


def box_overlaps(first: NDArray[Any], second: NDArray[Any]) -> Overlaps:
    """Overlaps of (N, 4) with (M, 4) boxes."""
    a, b = (np.ascontiguousarray(boxes, np.float64).reshape(-1, 4) for boxes in (first, second))
    capacity = 16 * (len(a) + len(b))
    while True:
        size, rows, shared = kernels_matching.box_pairs(a, b, capacity)
        if size <= capacity:
            break
        capacity = size
    (i, j), shared = np.ascontiguousarray(rows[:size].T), shared[:size]
    area_a, area_b = ((x[:, 2:] - x[:, :2]).prod(axis=1) for x in (a, b))
    return Overlaps(i, j, shared, shared / (area_a[i] + area_b[j] - shared), (len(a), len(b)))


def mask_overlaps(first: NDArray[Any], second: NDArray[Any]) -> Overlaps:
    """Overlaps of the lobes of two (H, W) label images; a label without pixels overlaps nothing."""
    if first.shape != second.shape:
        raise ValueError(f"mask_overlaps: label images differ in shape: {first.shape} and {second.shape}")
    n, m = int(first.max(initial=0)), int(second.max(initial=0))
    both = (first > 0) & (second > 0)
    keys, shared = np.unique(first[both].astype(np.int64) * (m + 1) + second[both], return_counts=True)
    i, j = np.divmod(keys, m + 1)
    union = (
        np.bincount(first.ravel(), minlength=n + 1)[i]
        + np.bincount(second.ravel(), minlength=m + 1)[j]
        - shared
    )
    return Overlaps(i - 1, j - 1, shared.astype(np.float64), shared / union, (n, m))


def match(overlaps: Overlaps, threshold: float) -> I64:
    """(P, 2) pairs (first, second): one to one, the largest total IoU over pairs of IoU ≥ ``threshold`` (above 0)."""
    keep = np.flatnonzero(overlaps.iou >= threshold)
    keep = keep[np.argsort(overlaps.first[keep], kind="stable")]
    n, m = overlaps.lengths
    offsets = np.searchsorted(overlaps.first[keep], np.arange(n + 1))
    taken = kernels_matching.assign(offsets, overlaps.second[keep], overlaps.iou[keep], m)
    found = np.flatnonzero(taken >= 0)
    return np.column_stack([found, taken[found]])


def score(pairs: I64, lengths: tuple[int, int], ignored: Bool | None = None) -> Score:
    """Counts of a matching of truth with predictions.

    ``ignored`` (truth,) bool: these lobes are not missed when unmatched, and what matches them is not false.
    """
    counted = np.ones(lengths[0], bool) if ignored is None else ~ignored
    matched_counted = int(counted[pairs[:, 0]].sum())
    return Score(matched_counted, int(counted.sum()), lengths[1] - (len(pairs) - matched_counted))


def same_sets(pairs: I64, truth: NDArray[Any], ours: NDArray[Any], optional: Bool | None = None) -> I64:
    """(S, 2) numbers (truth set, our set) of the sets that have the same members.

    ``truth`` (N,) and ``ours`` (M,) give the set number of each lobe, 0 for none; ``pairs`` matches the
    lobes. Two sets are the same when every lobe of ours is matched to a lobe of the truth's set, and every
    lobe of the truth's set is matched into ours, those marked in ``optional`` (N,) excepted.
    """
    partner_of_ours = np.full(len(ours), -1)
    partner_of_ours[pairs[:, 1]] = pairs[:, 0]
    required = truth > 0 if optional is None else (truth > 0) & ~optional
    same = []
    for number in np.unique(ours[ours > 0]):
        partners = partner_of_ours[ours == number]
        sets = np.unique(truth[partners]) if (partners >= 0).all() else np.zeros(1, np.int64)
        if (
            len(sets) == 1
            and sets[0] > 0
            and np.isin(np.flatnonzero(required & (truth == sets[0])), partners).all()
        ):
            same.append((sets[0], number))
    return np.array(same, np.int64).reshape(-1, 2)


def sets_of_size(sets: NDArray[Any], size: int) -> I64:
    """Numbers of the sets (0 is none) that have exactly ``size`` lobes."""
    numbers, members = np.unique(sets[sets > 0], return_counts=True)
    chosen: I64 = numbers[members == size].astype(np.int64)
    return chosen
