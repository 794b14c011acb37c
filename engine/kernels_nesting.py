"""Loops over pairs of ragged masks: which pixels they share. Bare, no validation; see ``nesting``."""

# mypy: allow-untyped-decorators
from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from .caches import njit

Array = NDArray[Any]


@njit(cache=True, nogil=True)
def shared(boxes: Array, offsets: Array, logits: Array, capacity: int) -> tuple[int, Array, Array]:
    """Pairs i < j of ragged patches that share pixels of logit > 0.

    boxes (N, 4) int32, offsets (N + 1,) int64, logits float32 as of ``kernels`` → their number K; pairs
    (capacity, 2) and pixels (capacity,) int64, in ascending order, complete where K ≤ capacity.
    """
    pairs = np.empty((capacity, 2), np.int64)
    pixels = np.empty(capacity, np.int64)
    size = 0
    for i in range(len(boxes)):
        for j in range(i + 1, len(boxes)):
            x0, x1 = max(boxes[i, 0], boxes[j, 0]), min(boxes[i, 2], boxes[j, 2])
            y0, y1 = max(boxes[i, 1], boxes[j, 1]), min(boxes[i, 3], boxes[j, 3])
            if x0 >= x1 or y0 >= y1:
                continue
            count = 0
            for y in range(y0, y1):
                one = offsets[i] + np.int64(y - boxes[i, 1]) * (boxes[i, 2] - boxes[i, 0]) - boxes[i, 0]
                other = offsets[j] + np.int64(y - boxes[j, 1]) * (boxes[j, 2] - boxes[j, 0]) - boxes[j, 0]
                for x in range(x0, x1):
                    count += logits[one + x] > 0 and logits[other + x] > 0
            if count > 0:
                if size < capacity:
                    pairs[size, 0], pairs[size, 1] = i, j
                    pixels[size] = count
                size += 1
    return size, pairs, pixels


@njit(cache=True, nogil=True)
def remainder(boxes: Array, offsets: Array, logits: Array, i: int, others: Array) -> Array:
    """Patch ``i`` less patches ``others`` (M,) int64 → (h, w) uint8 in its box, 1 where only its own logit is > 0."""
    x0, y0, x1, y1 = boxes[i]
    width = x1 - x0
    left = np.zeros((y1 - y0, width), np.uint8)
    for y in range(y1 - y0):
        for x in range(width):
            left[y, x] = logits[offsets[i] + np.int64(y) * width + x] > 0
    for j in others:
        theirs = boxes[j, 2] - boxes[j, 0]
        for y in range(max(y0, boxes[j, 1]), min(y1, boxes[j, 3])):
            start = offsets[j] + np.int64(y - boxes[j, 1]) * theirs - boxes[j, 0]
            for x in range(max(x0, boxes[j, 0]), min(x1, boxes[j, 2])):
                if logits[start + x] > 0:
                    left[y - y0, x - x0] = 0
    return left
