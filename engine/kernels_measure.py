"""Loops over label images, hulls and particle masks; bare, no validation. See measure, feret and group.

Sums are integers throughout, so that nothing depends on the order in which pixels are visited.
"""

# mypy: allow-untyped-decorators
from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from .caches import njit

NO_PIXEL = np.iinfo(np.int32).max
"""Extent of a row that has no pixel of the lobe."""


@njit(cache=True, nogil=True, error_model="numpy")
def label_sums(labels: NDArray[Any], n: int) -> tuple[NDArray[Any], NDArray[Any]]:
    """Sums and boxes of n labels in one pass.

    labels (H, W) int32 → sums (n, 6) int64: count, Σr, Σc, Σr², Σc², Σrc; boxes (n, 4) int32: half-open
    row0, col0, row1, col1, all zero but count for a label without pixels.
    """
    height, width = labels.shape
    sums = np.zeros((n, 6), np.int64)
    boxes = np.zeros((n, 4), np.int32)
    for r in range(height):
        for c in range(width):
            i = labels[r, c] - 1
            if i < 0:
                continue
            if sums[i, 0] == 0:
                boxes[i, 0] = r
                boxes[i, 1] = c
                boxes[i, 3] = c + 1
            boxes[i, 1] = min(boxes[i, 1], c)
            boxes[i, 2] = r + 1
            boxes[i, 3] = max(boxes[i, 3], c + 1)
            sums[i, 0] += 1
            sums[i, 1] += r
            sums[i, 2] += c
            sums[i, 3] += r * r
            sums[i, 4] += c * c
            sums[i, 5] += r * c
    return sums, boxes


@njit(cache=True, nogil=True, error_model="numpy")
def outline_sums(labels: NDArray[Any], row0: NDArray[Any], offsets: NDArray[Any],
                 n: int) -> tuple[NDArray[Any], NDArray[Any]]:
    """Border pixels by the way their border neighbours lie, and the extent of each label in each of its rows.

    labels (H, W) int32; row0 (n,) first row; offsets (n + 1,) int64, label i has rows
    offsets[i]:offsets[i + 1]. → steps (n, 3) int64: border pixels that count 1, √2 and (1 + √2) / 2;
    extents (2, rows) int64: first column and minus the last, each NO_PIXEL in a row without pixels (so the
    right side of a lobe is the left side of its mirror image).
    """
    height, width = labels.shape
    steps = np.zeros((n, 3), np.int64)
    extents = np.full((2, offsets[n]), NO_PIXEL, np.int64)
    # Of three rows, as many as are looked at at once, with a column on either side.
    above, here, below = np.zeros((3, width + 2), np.uint8)
    for last in range(height + 1):
        above, here, below = here, below, above
        r = last
        for c in range(width if r < height else 0):
            label = labels[r, c]
            below[c + 1] = 0
            if label == 0:
                continue
            if (r == 0 or c == 0 or r == height - 1 or c == width - 1
                    or labels[r - 1, c] != label or labels[r + 1, c] != label
                    or labels[r, c - 1] != label or labels[r, c + 1] != label):
                below[c + 1] = 1
                k = offsets[label - 1] + r - row0[label - 1]
                extents[0, k] = min(extents[0, k], c)
                extents[1, k] = min(extents[1, k], -c)
        if r == height:
            below[:] = 0
        r = last - 1
        for c in range(width if r >= 0 else 0):
            if here[c + 1] == 0:
                continue
            label = labels[r, c]
            beside = 0
            across = 0
            for dc in range(-1, 2):
                if above[c + 1 + dc] and labels[r - 1, c + dc] == label:
                    beside += dc == 0
                    across += dc != 0
                if below[c + 1 + dc] and labels[r + 1, c + dc] == label:
                    beside += dc == 0
                    across += dc != 0
                if dc and here[c + 1 + dc] and labels[r, c + dc] == label:
                    beside += 1
            if (beside == 2 or beside == 3) and across <= 2:
                steps[label - 1, 0] += 1
            elif (beside == 0 and across == 2) or (beside == 1 and across == 3):
                steps[label - 1, 1] += 1
            elif beside == 1 and (across == 1 or across == 2):
                steps[label - 1, 2] += 1
    return steps, extents


@njit(cache=True, nogil=True, error_model="numpy")
def _left_chain(extent: NDArray[Any], height: int, ys: NDArray[Any], xs: NDArray[Any], start: int) -> int:
    """Left side of the convex hull of pixel diamonds, top to bottom, in half pixels, at ys, xs[start:end].

    A pixel (r, c) is the four points (2r ± 1, 2c), (2r, 2c ± 1). extent (height,) int64 is each row's first
    column or NO_PIXEL; the first and last row have pixels. Returns end.
    """
    size = start
    for y in range(-1, 2 * height):
        if y % 2 == 0:
            column = extent[y // 2]
            x = 2 * column - 1
        else:
            column = extent[max((y - 1) // 2, 0)]
            column = min(column, extent[min((y + 1) // 2, height - 1)])
            x = 2 * column
        if column == NO_PIXEL:
            continue
        while size >= start + 2 and ((xs[size - 1] - xs[size - 2]) * (y - ys[size - 2])
                                     >= (x - xs[size - 2]) * (ys[size - 1] - ys[size - 2])):
            size -= 1
        ys[size] = y
        xs[size] = x
        size += 1
    return size


@njit(cache=True, nogil=True, error_model="numpy")
def hull_sums(extents: NDArray[Any], offsets: NDArray[Any]) -> tuple[NDArray[Any], NDArray[Any]]:
    """Pixels in the convex hull of each lobe, and the squared Feret diameter of that hull's outline.

    extents (2, rows) int64, offsets (n + 1,) int64 as from outline_sums → area (n,) int64 px²,
    feret (n,) int64 in squared half pixels.
    """
    n = len(offsets) - 1
    area = np.zeros(n, np.int64)
    feret = np.zeros(n, np.int64)
    tallest = 0
    for i in range(n):
        tallest = max(tallest, offsets[i + 1] - offsets[i])
    extent = np.empty(tallest, np.int64)
    ys = np.empty(4 * tallest + 2, np.int64)
    xs = np.empty(4 * tallest + 2, np.int64)
    none: Any = np.int64(0)  # a plain 0 is a type of its own, for which _left_chain would be compiled once more
    for i in range(n):
        height = offsets[i + 1] - offsets[i]
        area[i] = height
        size = none
        for side in range(2):
            for r in range(height):
                extent[r] = extents[side, offsets[i] + r]
            _left_chain(extent, height, ys, xs, size)
            k = size
            for r in range(height):  # first pixel centre on or right of the chain
                while ys[k + 1] < 2 * r:
                    k += 1
                run = ys[k + 1] - ys[k]
                extent[r] = -((-xs[k] * run - (xs[k + 1] - xs[k]) * (2 * r - ys[k])) // (2 * run))
                area[i] -= extent[r]
            # the outline runs round the pixels of the hull, a little outside the hull of the lobe itself
            end = _left_chain(extent, height, ys, xs, size)
            if side == 1:
                for k in range(size, end):
                    xs[k] = -xs[k]
            size = end
        for k in range(size):
            for other in range(k):
                feret[i] = max(feret[i], (ys[k] - ys[other]) ** 2 + (xs[k] - xs[other]) ** 2)
    return area, feret


@njit(cache=True, nogil=True, error_model="numpy")
def patch_sums(labels: NDArray[Any], boxes: NDArray[Any], offsets: NDArray[Any], logits: NDArray[Any],
               n: int, capacity: int) -> tuple[int, NDArray[Any], NDArray[Any], NDArray[Any]]:
    """Sum of sigmoid(logit) of each patch over each label that has pixels in its box.

    labels (H, W) int32 with n labels; boxes (K, 4) int32 x0, y0, x1, y1 inside the image; offsets (K + 1,)
    int64; logits float32 → their number M; patch (capacity,) int64, label (capacity,) int64 from 1, sum
    (capacity,) float64, patch by patch and complete where M ≤ capacity.
    """
    size = 0
    patch = np.empty(capacity, np.int64)
    label = np.empty(capacity, np.int64)
    total = np.zeros(capacity, np.float64)
    slot = np.empty(n + 1, np.int64)
    owner = np.full(n + 1, -1, np.int64)
    for k in range(len(boxes)):
        at = offsets[k]
        for r in range(boxes[k, 1], boxes[k, 3]):
            for c in range(boxes[k, 0], boxes[k, 2]):
                i = labels[r, c]
                if i > 0:
                    if owner[i] != k:
                        owner[i] = k
                        slot[i] = size
                        if size < capacity:
                            patch[size] = k
                            label[size] = i
                        size += 1
                    if slot[i] < capacity:
                        total[slot[i]] += 1.0 / (1.0 + np.exp(-np.float64(logits[at])))
                at += 1
    return size, patch, label, total
