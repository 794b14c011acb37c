"""Loops over the borders between lobes; bare, no validation. See evidence."""

# mypy: allow-untyped-decorators
from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from .caches import njit

Array = NDArray[Any]
N_PROFILE = 7
"""Samples of the grey profile across a border, and one each from inside both lobes."""


@njit(cache=True, nogil=True, error_model="numpy")
def borders(labels: Array, pixels: Array, boxes: Array, radius: Array, reach: Array, capacity: int) -> Any:
    """What lies along the border of every lobe with each neighbour, and the sums for a circle through the rest of it.

    labels (H, W) int32 with n labels; pixels (H, W) float32; boxes (n, 4) int32 row0, col0, row1, col1; radius (n,)
    float64 px; reach (n,) int64 px, how far over the border a neighbour is looked for → their number M; one, other
    (capacity,) int64; count (capacity,) int64 border pixels of ``one`` that ``other`` faces; gap (capacity,) float64
    least distance of two pixel centres; profile (capacity, N_PROFILE) float64 sums of grey values across the border:
    deep in ``one``, five places about the border and deep in ``other``; free (n, 9) float64 of border pixels that
    face no lobe: count, Σx, Σy, Σxx, Σyy, Σxy, Σxz, Σyz, Σz with z = x² + y², from the corner of the box. Complete
    where M ≤ capacity.
    """
    height, width = labels.shape
    n = len(boxes)
    size = 0
    one = np.empty(capacity, np.int64)
    other = np.empty(capacity, np.int64)
    count = np.zeros(capacity, np.int64)
    gap = np.full(capacity, np.inf)
    profile = np.zeros((capacity, N_PROFILE))
    free = np.zeros((n, 9))
    slot = np.empty(n + 1, np.int64)
    owner = np.full(n + 1, -1, np.int64)
    near = np.empty(64, np.int64)
    near_square = np.empty(64, np.int64)
    near_r = np.empty(64, np.int64)
    near_c = np.empty(64, np.int64)
    for i in range(n):
        label = i + 1
        far = reach[i]
        step = max(1.0, 0.06 * radius[i])
        for r in range(boxes[i, 0], boxes[i, 2]):
            for c in range(boxes[i, 1], boxes[i, 3]):
                if labels[r, c] != label:
                    continue
                if (r > 0 and c > 0 and r < height - 1 and c < width - 1 and labels[r - 1, c] == label
                        and labels[r + 1, c] == label and labels[r, c - 1] == label and labels[r, c + 1] == label):
                    continue
                found = 0
                for rr in range(max(0, r - far), min(height, r + far + 1)):
                    for cc in range(max(0, c - far), min(width, c + far + 1)):
                        there = labels[rr, cc]
                        square = (rr - r) ** 2 + (cc - c) ** 2
                        if there == 0 or there == label or square > far * far:
                            continue
                        k = 0
                        while k < found and near[k] != there:
                            k += 1
                        if k == found:
                            if found == 64:
                                continue
                            found += 1
                            near[k] = there
                            near_square[k] = square + 1
                        if square < near_square[k]:
                            near_square[k] = square
                            near_r[k] = rr
                            near_c[k] = cc
                if found == 0:
                    x = float(c - boxes[i, 1])
                    y = float(r - boxes[i, 0])
                    z = x * x + y * y
                    free[i, 0] += 1
                    free[i, 1] += x
                    free[i, 2] += y
                    free[i, 3] += x * x
                    free[i, 4] += y * y
                    free[i, 5] += x * y
                    free[i, 6] += x * z
                    free[i, 7] += y * z
                    free[i, 8] += z
                for k in range(found):
                    j = near[k]
                    if owner[j] != i:
                        owner[j] = i
                        slot[j] = size
                        if size < capacity:
                            one[size] = i
                            other[size] = j - 1
                        size += 1
                    at = slot[j]
                    if at >= capacity:
                        continue
                    distance = np.sqrt(float(near_square[k]))
                    count[at] += 1
                    gap[at] = min(gap[at], distance)
                    dr = (near_r[k] - r) / distance
                    dc = (near_c[k] - c) / distance
                    for s in range(N_PROFILE):
                        if s == 0:
                            along = -0.4 * radius[i]
                        elif s == N_PROFILE - 1:
                            along = distance + 0.4 * radius[j - 1]
                        else:
                            along = distance / 2 + step * (s - N_PROFILE // 2)
                        pr = min(max(int(np.rint(r + dr * along)), 0), height - 1)
                        pc = min(max(int(np.rint(c + dc * along)), 0), width - 1)
                        profile[at, s] += pixels[pr, pc]
    return size, one, other, count, gap, profile, free
