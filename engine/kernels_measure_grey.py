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
def gather(labels: Array, pixels: Array, boxes: Array, ends: Array) -> Array:
    """The values of each lobe, row by row: lobe i at ``ends[i]:ends[i + 1]`` of the array returned, of pixels' type."""
    values = np.empty(ends[-1], pixels.dtype)
    for i in range(len(boxes)):
        k = ends[i]
        for r in range(boxes[i, 0], boxes[i, 2]):
            for c in range(boxes[i, 1], boxes[i, 3]):
                if labels[r, c] == i + 1:
                    values[k] = pixels[r, c]
                    k += 1
    return values


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
        found[i] = mean, least, greatest, second / count, third / count, fourth / count
    return found


@njit(cache=True, nogil=True)
def medians(values: Array, ends: Array) -> Array:
    """Of the values of n lobes → (n, 2) float64: the lower and the upper of the middle ones, equal where n is odd."""
    found = np.empty((len(ends) - 1, 2), np.float64)
    for i in range(len(ends) - 1):
        ordered = np.sort(values[ends[i] : ends[i + 1]])
        found[i] = ordered[(len(ordered) - 1) // 2], ordered[len(ordered) // 2]
    return found


@njit(cache=True, nogil=True)
def weighted_sums(labels: Array, pixels: Array, boxes: Array) -> Array:
    """Σ v, Σ v r, Σ v c of each lobe → (n, 3) float64, r and c from the corner of its box, v its values."""
    found = np.zeros((len(boxes), 3), np.float64)
    for i in range(len(boxes)):
        for r in range(boxes[i, 0], boxes[i, 2]):
            for c in range(boxes[i, 1], boxes[i, 3]):
                if labels[r, c] == i + 1:
                    value = np.float64(pixels[r, c])
                    found[i, 0] += value
                    found[i, 1] += value * (r - boxes[i, 0])
                    found[i, 2] += value * (c - boxes[i, 1])
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
    steps = np.empty(largest, np.int32)
    for i in range(n):
        r0, c0 = max(boxes[i, 0] - far, area[0]), max(boxes[i, 1] - far, area[1])
        r1, c1 = min(boxes[i, 2] + far, area[2]), min(boxes[i, 3] + far, area[3])
        width = c1 - c0
        for r in range(r0, r1):
            for c in range(c0, c1):
                k = (r - r0) * width + c - c0
                least = 0 if labels[r, c] == i + 1 else far + 1
                if least and c > c0:
                    least = min(least, steps[k - 1] + 1)
                if least and r > r0:
                    for cc in range(max(c - 1, c0), min(c + 2, c1)):
                        least = min(least, steps[k - width + cc - c] + 1)
                steps[k] = least
        count, total, squared, first = 0, 0.0, 0.0, 0.0
        for r in range(r1 - 1, r0 - 1, -1):
            for c in range(c1 - 1, c0 - 1, -1):
                k = (r - r0) * width + c - c0
                least = steps[k]
                if least and c < c1 - 1:
                    least = min(least, steps[k + 1] + 1)
                if least and r < r1 - 1:
                    for cc in range(max(c - 1, c0), min(c + 2, c1)):
                        least = min(least, steps[k + width + cc - c] + 1)
                steps[k] = least
                if near < least <= far and labels[r, c] == 0:
                    value = np.float64(pixels[r, c])
                    if count == 0:
                        first = value
                    count += 1
                    total += value - first
                    squared += (value - first) ** 2
        if count:
            mean = total / count
            found[i] = first + mean, np.sqrt(max(squared / count - mean * mean, 0.0))
    return found
