"""Loops over the pixels of lobes inside their boxes: moments, squares of four pixels, holes; bare, no validation.

labels (H, W) int32 of n lobes, boxes (n, 4) int32 row0, col0, row1, col1, half-open, as from kernels_measure.
"""

# mypy: allow-untyped-decorators
from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from .caches import njit

Array = NDArray[Any]

BINOMIAL = np.array([[1, 0, 0, 0], [1, 1, 0, 0], [1, 2, 1, 0], [1, 3, 3, 1]])


@njit(cache=True, nogil=True, error_model="numpy")
def moments(labels: Array, boxes: Array, centroids: Array) -> tuple[Array, Array]:
    """Σ r^p c^q, p and q from 0 to 3, of each lobe: from its box's corner, and from its centroid.

    centroids (n, 2) float64 (row, col) → raw (n, 4, 4), central (n, 4, 4) float64, px^(p + q). Both follow from whole
    numbers, the sums from the pixel nearest the centroid.
    """
    n = len(boxes)
    raw, central = np.zeros((n, 4, 4), np.float64), np.zeros((n, 4, 4), np.float64)
    near = np.empty((4, 4), np.float64)
    for i in range(n):
        middle_r, middle_c = int(np.rint(centroids[i, 0])), int(np.rint(centroids[i, 1]))
        near[:] = 0
        for r in range(boxes[i, 0], boxes[i, 2]):
            count, first, second, third = 0, 0, 0, 0
            for c in range(boxes[i, 1], boxes[i, 3]):
                if labels[r, c] == i + 1:
                    x = c - middle_c
                    count += 1
                    first += x
                    second += x * x
                    third += x * x * x
            power = 1.0
            for p in range(4):
                near[p, 0] += power * count
                near[p, 1] += power * first
                near[p, 2] += power * second
                near[p, 3] += power * third
                power *= r - middle_r
        _shift(near, middle_r - boxes[i, 0], middle_c - boxes[i, 1], raw[i])
        _shift(near, middle_r - centroids[i, 0], middle_c - centroids[i, 1], central[i])
    return raw, central


@njit(cache=True, nogil=True)
def _shift(sums: Array, rows: float, columns: float, into: Array) -> None:
    """Σ (r + rows)^p (c + columns)^q of (4, 4) Σ r^p c^q."""
    for p in range(4):
        for q in range(4):
            into[p, q] = 0
            by_row = 1.0
            for k in range(p, -1, -1):
                by_column = 1.0
                for m in range(q, -1, -1):
                    into[p, q] += BINOMIAL[p, k] * BINOMIAL[q, m] * by_row * by_column * sums[k, m]
                    by_column *= columns
                by_row *= rows


@njit(cache=True, nogil=True)
def squares(labels: Array, n: int) -> Array:
    """How often each pattern of 2 × 2 pixels occurs in each lobe → (n, 16) int64, but for empty and full squares.

    A pixel counts 1, the one above it 2, left of it 4, above and left of it 8; beyond the image there is no lobe.
    """
    height, width = labels.shape
    found = np.zeros((n, 16), np.int64)
    for r in range(height + 1):
        left, across = np.int32(0), np.int32(0)
        for c in range(width + 1):
            here = labels[r, c] if r < height and c < width else np.int32(0)
            up = labels[r - 1, c] if r > 0 and c < width else np.int32(0)
            if not here == up == left == across:
                if here:
                    found[here - 1, 1 + 2 * (up == here) + 4 * (left == here) + 8 * (across == here)] += 1
                if up and up != here:
                    found[up - 1, 2 + 4 * (left == up) + 8 * (across == up)] += 1
                if left and left != here and left != up:
                    found[left - 1, 4 + 8 * (across == left)] += 1
                if across and across != here and across != up and across != left:
                    found[across - 1, 8] += 1
            left, across = here, up
    return found


@njit(cache=True, nogil=True)
def filled_areas(labels: Array, boxes: Array) -> Array:
    """Pixels of each lobe and of its holes → (n,) int64; a hole is what no way over eight neighbours leads out of."""
    n = len(boxes)
    area = np.zeros(n, np.int64)
    largest = 0
    for i in range(n):
        largest = max(largest, (boxes[i, 2] - boxes[i, 0] + 2) * (boxes[i, 3] - boxes[i, 1] + 2))
    seen = np.empty(largest, np.bool_)
    stack = np.empty(largest, np.int64)
    for i in range(n):
        pixels, split = 0, False
        for r in range(boxes[i, 0], boxes[i, 2]):
            runs = 0
            for c in range(boxes[i, 1], boxes[i, 3]):
                if labels[r, c] == i + 1:
                    pixels += 1
                    runs += c == boxes[i, 1] or labels[r, c - 1] != i + 1
            split = split or runs > 1
        if not split:  # a hole would part a row in two
            area[i] = pixels
            continue
        height, width = boxes[i, 2] - boxes[i, 0] + 2, boxes[i, 3] - boxes[i, 1] + 2
        # A row and a column of outside all round: from its corner everything outside is reached.
        for r in range(height):
            for c in range(width):
                rim = r == 0 or c == 0 or r == height - 1 or c == width - 1
                seen[r * width + c] = not rim and labels[boxes[i, 0] + r - 1, boxes[i, 1] + c - 1] == i + 1
        area[i] = height * width - 1
        stack[0] = 0
        seen[0] = True
        size = 1
        while size > 0:
            size -= 1
            r, c = stack[size] // width, stack[size] % width
            for rr in range(max(r - 1, 0), min(r + 2, height)):
                for cc in range(max(c - 1, 0), min(c + 2, width)):
                    if not seen[rr * width + cc]:
                        seen[rr * width + cc] = True
                        area[i] -= 1
                        stack[size] = rr * width + cc
                        size += 1
    return area
