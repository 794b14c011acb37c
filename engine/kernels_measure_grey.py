"""Loops over the grey values of lobes and round them; bare, no validation.

labels and boxes as in kernels_measure_shape. Values are summed in the order of the pixels, in float64.
"""

# mypy: allow-untyped-decorators
from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from .caches import njit

Array = NDArray[Any]


@njit(cache=True, nogil=True)
def gather(labels: Array, pixels: Array, boxes: Array, ends: Array) -> tuple[Array, Array]:
    """The values of each lobe, row by row: lobe i at ``ends[i]:ends[i + 1]``, of pixels' type; and weighted by place.

    The second array is (n, 3) float64: Σ v, Σ v r, Σ v c, r and c from the corner of the lobe's box, v its values.
    """
    values = np.empty(ends[-1], pixels.dtype)
    weighted = np.zeros((len(boxes), 3), np.float64)
    for i in range(len(boxes)):
        k = ends[i]
        for r in range(boxes[i, 0], boxes[i, 2]):
            of_row, column = 0.0, 0.0
            for c in range(boxes[i, 1], boxes[i, 3]):
                if labels[r, c] == i + 1:
                    values[k] = pixels[r, c]
                    k += 1
                    value = np.float64(pixels[r, c])
                    of_row += value
                    column += value * (c - boxes[i, 1])
            weighted[i, 0] += of_row
            weighted[i, 1] += of_row * (r - boxes[i, 0])
            weighted[i, 2] += column
    return values, weighted


@njit(cache=True, nogil=True, error_model="numpy")
def statistics(values: Array, ends: Array) -> Array:
    """Of the values of n lobes → (n, 6) float64: mean, least, greatest, mean 2nd to 4th power of the deviation."""
    n = len(ends) - 1
    found = np.empty((n, 6), np.float64)
    for i in range(n):
        total, least, greatest = 0.0, np.inf, -np.inf
        for k in range(ends[i], ends[i + 1]):
            value = np.float64(values[k])
            total += value
            least, greatest = min(least, value), max(greatest, value)
        count = ends[i + 1] - ends[i]
        mean = total / count
        second, third, fourth = 0.0, 0.0, 0.0
        for k in range(ends[i], ends[i + 1]):
            off = np.float64(values[k]) - mean
            second += off * off
            third += off * off * off
            fourth += off * off * off * off
        found[i, 0], found[i, 1], found[i, 2] = mean, least, greatest
        found[i, 3], found[i, 4], found[i, 5] = second / count, third / count, fourth / count
    return found


@njit(cache=True, nogil=True)
def medians(values: Array, ends: Array) -> Array:
    """Of the values of n lobes → (n, 2) float64: the lower and the upper of the middle ones, equal where n is odd."""
    found = np.empty((len(ends) - 1, 2), np.float64)
    for i in range(len(ends) - 1):
        count = ends[i + 1] - ends[i]
        middle = count // 2
        parted = np.partition(values[ends[i] : ends[i + 1]], middle)
        upper = np.float64(parted[middle])
        lower = upper
        if count % 2 == 0:
            lower = np.float64(parted[0])
            for k in range(1, middle):
                lower = max(lower, np.float64(parted[k]))
        found[i, 0], found[i, 1] = lower, upper
    return found


@njit(cache=True, nogil=True)
def medians_of_bytes(values: Array, ends: Array) -> Array:
    """The same of values uint8, by counting them."""
    found = np.empty((len(ends) - 1, 2), np.float64)
    counts = np.empty(256, np.int64)
    for i in range(len(ends) - 1):
        counts[:] = 0
        for k in range(ends[i], ends[i + 1]):
            counts[values[k]] += 1
        value, up_to = 0, counts[0]
        for k in range(2):
            rank = (ends[i + 1] - ends[i] - 1 + k) // 2
            while up_to <= rank:
                value += 1
                up_to += counts[value]
            found[i, k] = value
    return found


@njit(cache=True, nogil=True, error_model="numpy")
def surroundings(labels: Array, pixels: Array, boxes: Array, area: Array, near: int, far: int) -> Array:
    """Mean and SD of the background near each lobe → (n, 2) float64, NaN where there is none.

    Background pixels have no label, lie in ``area`` (4,) row0, col0, row1, col1, and are more than ``near`` and at most
    ``far`` steps to one of eight neighbours away from the lobe.
    """
    n = len(boxes)
    found = np.full((n, 2), np.nan)
    largest = 0
    for i in range(n):
        largest = max(largest, (boxes[i, 2] - boxes[i, 0] + 2 * far) * (boxes[i, 3] - boxes[i, 1] + 2 * far))
    reached = np.empty(largest, np.uint8)
    for i in range(n):
        r0, c0 = max(boxes[i, 0] - far, area[0]), max(boxes[i, 1] - far, area[1])
        r1, c1 = min(boxes[i, 2] + far, area[2]), min(boxes[i, 3] + far, area[3])
        width = max(c1 - c0, 0)
        reached[: max(r1 - r0, 0) * width] = 0
        # Steps to eight neighbours reach a square round each pixel, so a rectangle round each run of them.
        for reach, mark in ((far, 1), (near, 2)):
            for r in range(boxes[i, 0], boxes[i, 2]):
                end = boxes[i, 1]
                while end < boxes[i, 3]:
                    start = end
                    while start < boxes[i, 3] and labels[r, start] != i + 1:
                        start += 1
                    end = start
                    while end < boxes[i, 3] and labels[r, end] == i + 1:
                        end += 1
                    left, right = max(start - reach, c0) - c0, min(end + reach, c1) - c0
                    if start == end or left >= right:
                        continue
                    for rr in range(max(r - reach, r0) - r0, min(r + reach + 1, r1) - r0):
                        reached[rr * width + left : rr * width + right] = mark
        count, total, squared, first = 0, 0.0, 0.0, 0.0
        for r in range(r0, r1):
            for c in range(c0, c1):
                if reached[(r - r0) * width + c - c0] == 1 and labels[r, c] == 0:
                    value = np.float64(pixels[r, c])
                    if count == 0:
                        first = value
                    count += 1
                    total += value - first
                    squared += (value - first) ** 2
        if count:
            mean = total / count
            found[i, 0], found[i, 1] = first + mean, np.sqrt(max(squared / count - mean * mean, 0.0))
    return found
