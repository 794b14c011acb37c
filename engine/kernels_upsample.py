"""Compiled loops of ``upsample``: bare, no validation; a twin in NumPy of each lies with the tests.

A clip is a piece of a mask's low-resolution logits: ``origin`` (N, 2) and ``size`` (N, 2) are its (x, y) in cells of
the tile, ``flat[offsets[i]:offsets[i + 1]]`` its logits, row by row. Pixel x of the tile weighs the cells
``x_cells[x] + (0, 1, 2)`` by ``x_weights[x]``, likewise y; cells outside a clip read its edge.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from .caches import njit

Array = NDArray[Any]


@njit(cache=True, nogil=True)
def trim(logits: Array, level: float, margin: int) -> tuple[Array, Array, Array]:
    """Windows (N, h, w) → boxes (N, 4) i32 of what exceeds ``level``, ``margin`` wider, offsets and their logits."""
    n, h, w = logits.shape
    boxes, offsets = np.zeros((n, 4), np.int32), np.zeros(n + 1, np.int64)
    for i in range(n):
        x0, y0, x1, y1 = w, h, 0, 0
        for y in range(h):
            for x in range(w):
                if logits[i, y, x] > level:
                    x0, x1 = min(x0, x), max(x1, x + 1)
                    y0, y1 = min(y0, y), y + 1
        if y1 > 0:
            boxes[i, 0], boxes[i, 1] = max(x0 - margin, 0), max(y0 - margin, 0)
            boxes[i, 2], boxes[i, 3] = min(x1 + margin, w), min(y1 + margin, h)
        offsets[i + 1] = offsets[i] + np.int64(boxes[i, 2] - boxes[i, 0]) * (boxes[i, 3] - boxes[i, 1])
    flat = np.empty(offsets[n], np.float32)
    for i in range(n):
        position = offsets[i]
        for y in range(boxes[i, 1], boxes[i, 3]):
            for x in range(boxes[i, 0], boxes[i, 2]):
                flat[position] = logits[i, y, x]
                position += 1
    return boxes, offsets, flat


@njit(cache=True, nogil=True)
def _room(size: Array, boxes: Array) -> Array:
    """Room for the widest box in each row of the highest clip."""
    height, width = 1, 1
    for i in range(boxes.shape[0]):
        height, width = max(height, size[i, 1]), max(width, boxes[i, 2] - boxes[i, 0])
    return np.empty((height, width), np.float32)


@njit(cache=True, nogil=True)
def _across(
    rows: Array, flat: Array, start: int, origin: Array, size: Array, box: Array, x_cells: Array, x_weights: Array,
    y_cells: Array,
) -> None:  # fmt: skip
    """The rows of the clip at ``flat[start:]`` that a box weighs, at the box's pixels across, into ``rows``."""
    w, h, top = size[0], size[1], origin[1]
    first = min(max(y_cells[box[1]] - top, 0), h - 1)
    last = min(max(y_cells[box[3] - 1] + 2 - top, 0), h - 1)
    x0 = box[0]
    for x in range(x0, box[2]):
        cell = x_cells[x] - origin[0]
        a, b, c = min(max(cell, 0), w - 1), min(max(cell + 1, 0), w - 1), min(max(cell + 2, 0), w - 1)
        wa, wb, wc = x_weights[x, 0], x_weights[x, 1], x_weights[x, 2]
        for r in range(first, last + 1):
            line = start + r * w
            rows[r, x - x0] = wa * flat[line + a] + wb * flat[line + b] + wc * flat[line + c]


@njit(cache=True, nogil=True)
def assess(
    flat: Array, offsets: Array, origin: Array, size: Array, boxes: Array,
    x_cells: Array, x_weights: Array, y_cells: Array, y_weights: Array, offset: float,
) -> tuple[Array, Array]:  # fmt: skip
    """In ``boxes`` (N, 4) px of the tile → tight boxes (N, 4) i32 of logit > 0, zeros for none; stability (N,) f32."""
    n = boxes.shape[0]
    tight, stability = np.zeros((n, 4), np.int32), np.zeros(n, np.float32)
    high, low = np.float32(offset), np.float32(-offset)
    rows = _room(size, boxes)
    for i in range(n):
        bx0, by0, bx1, by1 = int(boxes[i, 0]), int(boxes[i, 1]), int(boxes[i, 2]), int(boxes[i, 3])
        if bx0 >= bx1 or by0 >= by1:
            continue
        h, top = int(size[i, 1]), int(origin[i, 1])
        _across(rows, flat, offsets[i], origin[i], size[i], boxes[i], x_cells, x_weights, y_cells)
        x0, y0, x1, y1, inner, outer = bx1, by1, 0, 0, 0, 0
        for y in range(by0, by1):
            cell = y_cells[y] - top
            ra, rb = rows[min(max(cell, 0), h - 1)], rows[min(max(cell + 1, 0), h - 1)]
            rc = rows[min(max(cell + 2, 0), h - 1)]
            wa, wb, wc = y_weights[y, 0], y_weights[y, 1], y_weights[y, 2]
            left, right = bx1, 0
            for x in range(bx1 - bx0):
                value = wa * ra[x] + wb * rb[x] + wc * rc[x]
                outer += value > low
                inner += value > high
                if value > 0:
                    left, right = min(left, bx0 + x), bx0 + x + 1
            if right > 0:
                x0, x1 = min(x0, left), max(x1, right)
                y0, y1 = min(y0, y), y + 1
        if y1 > 0:
            tight[i, 0], tight[i, 1], tight[i, 2], tight[i, 3] = x0, y0, x1, y1
        if outer > 0:
            stability[i] = np.float32(inner) / np.float32(outer)
    return tight, stability


@njit(cache=True, nogil=True)
def interpolate(
    flat: Array, offsets: Array, origin: Array, size: Array, boxes: Array,
    x_cells: Array, x_weights: Array, y_cells: Array, y_weights: Array,
) -> tuple[Array, Array]:  # fmt: skip
    """Clips at the pixels of ``boxes`` (N, 4) of the tile → offsets (N + 1,) i64, logits f32, row by row."""
    n = boxes.shape[0]
    starts = np.zeros(n + 1, np.int64)
    for i in range(n):
        starts[i + 1] = starts[i] + np.int64(boxes[i, 2] - boxes[i, 0]) * (boxes[i, 3] - boxes[i, 1])
    out = np.empty(starts[n], np.float32)
    rows = _room(size, boxes)
    for i in range(n):
        bx0, by0, bx1, by1 = int(boxes[i, 0]), int(boxes[i, 1]), int(boxes[i, 2]), int(boxes[i, 3])
        if bx0 >= bx1 or by0 >= by1:
            continue
        h, top = int(size[i, 1]), int(origin[i, 1])
        _across(rows, flat, offsets[i], origin[i], size[i], boxes[i], x_cells, x_weights, y_cells)
        for y in range(by0, by1):
            cell = y_cells[y] - top
            ra, rb = rows[min(max(cell, 0), h - 1)], rows[min(max(cell + 1, 0), h - 1)]
            rc = rows[min(max(cell + 2, 0), h - 1)]
            wa, wb, wc = y_weights[y, 0], y_weights[y, 1], y_weights[y, 2]
            line = out[starts[i] + (y - by0) * (bx1 - bx0) : starts[i] + (y - by0 + 1) * (bx1 - bx0)]
            for x in range(bx1 - bx0):
                line[x] = wa * ra[x] + wb * rb[x] + wc * rc[x]
    return starts, out


@njit(cache=True, nogil=True)
def outside(boxes: Array, inner: Array, offsets: Array, logits: Array) -> None:
    """Logits of patches in ``boxes`` (N, 4): at most 0, in place, where they lie outside the boxes ``inner`` (N, 4)."""
    for i in range(boxes.shape[0]):
        position = offsets[i]
        for y in range(boxes[i, 1], boxes[i, 3]):
            for x in range(boxes[i, 0], boxes[i, 2]):
                if y < inner[i, 1] or y >= inner[i, 3] or x < inner[i, 0] or x >= inner[i, 2]:
                    logits[position] = min(logits[position], np.float32(0))
                position += 1


@njit(cache=True, nogil=True)
def holders(
    points: Array, flat: Array, offsets: Array, origin: Array, size: Array, boxes: Array,
    x_cells: Array, x_weights: Array, y_cells: Array, y_weights: Array,
) -> Array:  # fmt: skip
    """Points (P, 2) i64, (x, y), px of the tile → (P,) i64: the smallest mask (by box) with logit > 0 there, or −1."""
    held = np.full(points.shape[0], -1, np.int64)
    smallest = np.zeros(points.shape[0], np.int64)
    for i in range(boxes.shape[0]):
        w, h = int(size[i, 0]), int(size[i, 1])
        area = np.int64(boxes[i, 2] - boxes[i, 0]) * (boxes[i, 3] - boxes[i, 1])
        for p in range(points.shape[0]):
            x, y = points[p, 0], points[p, 1]
            if x < boxes[i, 0] or x >= boxes[i, 2] or y < boxes[i, 1] or y >= boxes[i, 3]:
                continue
            if held[p] >= 0 and area >= smallest[p]:
                continue
            value = np.float32(0)
            for a in range(3):
                row = min(max(y_cells[y] + a - origin[i, 1], 0), h - 1)
                for b in range(3):
                    column = min(max(x_cells[x] + b - origin[i, 0], 0), w - 1)
                    value += y_weights[y, a] * x_weights[x, b] * flat[offsets[i] + row * w + column]
            if value > 0:
                held[p], smallest[p] = i, area
    return held
