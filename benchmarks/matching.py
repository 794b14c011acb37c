"""One-to-one matching of lobes and of sets, the same for every benchmark.

Boxes are (row0, col0, row1, col1), half-open, px. Label images are (H, W) integer with 0 for background;
label i + 1 is lobe i.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import linear_sum_assignment
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

F64 = NDArray[np.float64]
I64 = NDArray[np.int64]
Bool = NDArray[np.bool_]


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
class Cutouts:
    """N masks that may overlap each other, each inside its box."""

    boxes: I64
    """(N, 4)."""
    inside: Sequence[Bool]
    """Of each mask (height, width) bool, of its box."""

    @classmethod
    def of(cls, masks: Iterable[Bool]) -> Cutouts:
        """Of masks (H, W) bool that have a pixel."""
        boxes, inside = [], []
        for mask in masks:
            rows, cols = (np.flatnonzero(mask.any(axis)) for axis in (1, 0))
            row0, col0, row1, col1 = (int(n) for n in (rows[0], cols[0], rows[-1] + 1, cols[-1] + 1))
            boxes.append((row0, col0, row1, col1))
            inside.append(mask[row0:row1, col0:col1].copy())
        return cls(np.array(boxes, np.int64).reshape(-1, 4), inside)


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
    a, b = np.asarray(first, np.float64).reshape(-1, 4), np.asarray(second, np.float64).reshape(-1, 4)
    sides = np.minimum(a[:, None, 2:], b[None, :, 2:]) - np.maximum(a[:, None, :2], b[None, :, :2])
    shared = np.clip(sides, 0, None).prod(axis=2)
    i, j = np.nonzero(shared)
    area_a, area_b = ((x[:, 2:] - x[:, :2]).prod(axis=1) for x in (a, b))
    union = area_a[i] + area_b[j] - shared[i, j]
    return Overlaps(i, j, shared[i, j], shared[i, j] / union, (len(a), len(b)))


def mask_overlaps(first: NDArray[Any], second: NDArray[Any]) -> Overlaps:
    """Overlaps of the lobes of two (H, W) label images; a label without pixels overlaps nothing."""
    if first.shape != second.shape:
        raise ValueError(f"label images differ in shape: {first.shape} and {second.shape}")
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


def cutout_overlaps(first: Cutouts, second: Cutouts) -> Overlaps:
    """Overlaps of two lists of masks."""
    near = box_overlaps(first.boxes, second.boxes)
    shared = np.zeros(len(near.first))
    for k, (i, j) in enumerate(zip(near.first, near.second, strict=True)):
        corner = np.maximum(first.boxes[i, :2], second.boxes[j, :2])
        end = np.minimum(first.boxes[i, 2:], second.boxes[j, 2:])
        a, b = (
            masks.inside[n][tuple(slice(*span) for span in np.stack([corner, end], 1) - masks.boxes[n, :2, None])]
            for masks, n in ((first, i), (second, j))
        )
        shared[k] = np.count_nonzero(a & b)
    real = shared > 0
    i, j, shared = near.first[real], near.second[real], shared[real]
    area_a, area_b = (np.array([np.count_nonzero(m) for m in masks.inside], np.float64) for masks in (first, second))
    return Overlaps(i, j, shared, shared / (area_a[i] + area_b[j] - shared), near.lengths)


def match(overlaps: Overlaps, threshold: float) -> I64:
    """(P, 2) pairs (first, second): one to one, the largest total IoU over pairs of IoU ≥ ``threshold``.

    Hungarian algorithm on each connected component of the graph of admissible pairs.
    """
    keep = overlaps.iou >= threshold
    i, j, iou = overlaps.first[keep], overlaps.second[keep], overlaps.iou[keep]
    n, m = overlaps.lengths
    graph = coo_array((np.ones(len(i)), (i, n + j)), shape=(n + m, n + m))
    component = connected_components(graph, directed=False)[1][i] if len(i) else i
    pairs = [np.empty((0, 2), np.int64)]
    order = np.argsort(component, kind="stable")
    for part in np.split(order, np.flatnonzero(np.diff(component[order])) + 1) if len(i) else ():
        rows, row = np.unique(i[part], return_inverse=True)
        cols, col = np.unique(j[part], return_inverse=True)
        gain = np.zeros((len(rows), len(cols)))
        gain[row, col] = iou[part]
        r, c = linear_sum_assignment(gain, maximize=True)
        r, c = r[gain[r, c] > 0], c[gain[r, c] > 0]
        pairs.append(np.column_stack([rows[r], cols[c]]))
    found = np.concatenate(pairs)
    return found[np.argsort(found[:, 0], kind="stable")]


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
