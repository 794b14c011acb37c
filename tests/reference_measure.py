"""What the loops of kernels_measure compute, in plain NumPy: slow, short, and written another way."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import NDArray
from samcolloid_edge.engine.kernels_measure import NO_PIXEL

Array = NDArray[Any]


def label_sums(labels: Array, n: int) -> tuple[Array, Array]:
    sums, boxes = np.zeros((n, 6), np.int64), np.zeros((n, 4), np.int32)
    for i in range(n):
        r, c = np.nonzero(labels == i + 1)
        sums[i] = len(r), r.sum(), c.sum(), (r * r).sum(), (c * c).sum(), (r * c).sum()
        if len(r):
            boxes[i] = r.min(), c.min(), r.max() + 1, c.max() + 1
    return sums, boxes


def outline_sums(labels: Array, row0: Array, offsets: Array, n: int) -> tuple[Array, Array]:
    steps, extents = np.zeros((n, 3), np.int64), np.full((2, offsets[n]), NO_PIXEL, np.int64)
    for i in range(n):
        mask = np.pad(labels == i + 1, 2)
        inner = mask & np.roll(mask, 1, 0) & np.roll(mask, -1, 0) & np.roll(mask, 1, 1) & np.roll(mask, -1, 1)
        border = (mask & ~inner).astype(int)
        beside = sum(np.roll(border, step, axis) for step in (1, -1) for axis in (0, 1))
        across = sum(np.roll(border, (a, b), (0, 1)) for a in (1, -1) for b in (1, -1))
        code = (border * (1 + 2 * beside + 10 * across)).ravel()
        # the codes of Benkrid and Crookes, as scikit-image has them
        steps[i] = [np.isin(code, codes).sum() for codes in ([5, 7, 15, 17, 25, 27], [21, 33], [13, 23])]
        for r in np.flatnonzero((labels == i + 1).any(axis=1)):
            columns = np.flatnonzero(labels[r] == i + 1)
            extents[:, offsets[i] + r - row0[i]] = columns[0], -columns[-1]
    return steps, extents


def hull_sums(extents: Array, offsets: Array) -> tuple[Array, Array]:
    area, feret = [], []
    for start, end in pairwise(offsets):
        first, last = _filled(extents[0, start:end]), _filled(extents[1, start:end])
        area.append((-last - first + 1).sum())
        y, x = (np.concatenate(sides) for sides in zip(_diamonds(first), _diamonds(-last), strict=True))
        feret.append((np.subtract.outer(y, y) ** 2 + np.subtract.outer(x, x) ** 2).max())
    return np.array(area, np.int64), np.array(feret, np.int64)


def _diamonds(extent: Array) -> tuple[Array, Array]:
    """The middles of the edges of one pixel in each row that has one, in half pixels."""
    rows = np.flatnonzero(extent != NO_PIXEL)
    y, x = 2 * rows, 2 * extent[rows]
    return np.concatenate((y - 1, y + 1, y, y)), np.concatenate((x, x, x - 1, x + 1))


def _filled(extent: Array) -> Array:
    """First pixel centre of each row in the hull: the leftmost chord between any two points decides."""
    y, x = _diamonds(extent)
    above, below = (a.ravel() for a in np.meshgrid(np.arange(len(y)), np.arange(len(y))))
    first = np.empty(len(extent), np.int64)
    for r in range(len(extent)):
        cross = (y[above] <= 2 * r) & (y[below] >= 2 * r) & (y[above] < y[below])
        a, b = above[cross], below[cross]
        run = y[b] - y[a]
        first[r] = (-((-x[a] * run - (x[b] - x[a]) * (2 * r - y[a])) // (2 * run))).min()
    return first


def patch_sums(labels: Array, boxes: Array, offsets: Array, logits: Array, n: int,
               capacity: int) -> tuple[int, Array, Array, Array]:
    found = []
    for k, (x0, y0, x1, y1) in enumerate(boxes):
        here = labels[y0:y1, x0:x1].ravel()
        share = 1 / (1 + np.exp(-logits[offsets[k]:offsets[k + 1]].astype(np.float64)))
        __, first = np.unique(here, return_index=True)
        found += [(k, i, share[here == i].sum()) for i in here[np.sort(first)] if i]
    patch, label, total = np.array(found, np.float64).reshape(-1, 3)[:capacity].T
    return len(found), patch.astype(np.int64), label.astype(np.int64), total
