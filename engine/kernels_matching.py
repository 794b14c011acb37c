"""Loops that pair two lists of lobes; bare, no validation. See matching."""

# mypy: allow-untyped-decorators
from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from .caches import njit

Array = NDArray[Any]

ROUNDING = 1e-9
"""Gains that differ by less are equal: sums of IoUs taken in another order must not send a path round in a circle."""


@njit(cache=True, nogil=True)
def box_pairs(first: Array, second: Array, capacity: int) -> tuple[int, Array, Array]:
    """Pairs of boxes that share an area.

    first (N, 4), second (M, 4) float64: row0, col0, row1, col1 → their number K; rows (capacity, 2) int64 and
    shared areas (capacity,) float64, ordered by row in the first, then in the second, complete where K ≤ capacity.
    """
    rows = np.empty((capacity, 2), np.int64)
    shared = np.empty(capacity, np.float64)
    size = 0
    for i in range(len(first)):
        for j in range(len(second)):
            height = min(first[i, 2], second[j, 2]) - max(first[i, 0], second[j, 0])
            width = min(first[i, 3], second[j, 3]) - max(first[i, 1], second[j, 1])
            if height > 0 and width > 0:
                if size < capacity:
                    rows[size, 0], rows[size, 1] = i, j
                    shared[size] = height * width
                size += 1
    return size, rows, shared


@njit(cache=True, nogil=True)
def assign(offsets: Array, columns: Array, gains: Array, n_columns: int) -> Array:
    """The one-to-one matching of the largest total gain, rows and columns left alone where that gains more.

    offsets (N + 1,) int64, columns (K,) int64, gains (K,) float64 > 0: row i may take one of
    columns[offsets[i]:offsets[i + 1]], which differ → (N,) int64 column of each row, -1 for none.

    Rows come in one after another, each by the alternating path that gains most (Bellman and Ford): it ends at a
    column that is free, or at a row that had one and goes without.
    """
    n = len(offsets) - 1
    taken = np.full(n, -1, np.int64)
    owner = np.full(n_columns, -1, np.int64)
    held = np.zeros(n_columns, np.float64)
    # Of a row on a path: what the path gains up to it, the row before it, and by which edge that one takes its column.
    total = np.empty(n, np.float64)
    before = np.empty(n, np.int64)
    edge = np.empty(n, np.int64)
    waits = np.zeros(n, np.bool_)
    seen = np.full(n, -1, np.int64)
    for start in range(n):
        queue = [start]
        total[start], before[start], edge[start] = 0.0, -1, -1
        seen[start] = start
        best, end, last = 0.0, start, -1
        at = 0
        while at < len(queue):
            i = queue[at]
            at += 1
            waits[i] = False
            if total[i] > best + ROUNDING:
                best, end, last = total[i], i, -1
            for k in range(offsets[i], offsets[i + 1]):
                column = columns[k]
                if column == taken[i]:
                    continue
                gain = total[i] + gains[k] - held[column]
                other = owner[column]
                if other < 0:
                    if gain > best + ROUNDING:
                        best, end, last = gain, i, k
                elif other != start and (seen[other] != start or gain > total[other] + ROUNDING):
                    total[other], before[other], edge[other] = gain, i, k
                    seen[other] = start
                    if not waits[other]:
                        waits[other] = True
                        queue.append(other)
        if last < 0 and end != start:
            taken[end] = -1
        i, k = end, last
        if k < 0 and i != start:
            i, k = before[end], edge[end]
        while k >= 0:
            column = columns[k]
            taken[i], owner[column], held[column] = column, i, gains[k]
            i, k = before[i], edge[i]
    return taken
