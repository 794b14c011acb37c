"""Compiled loops over plain arrays for selection and masks: no checks, no units, nothing but the loop.

Each has a NumPy twin in ``tests/reference.py`` that the same tests run over. A ragged stack of patches is
``boxes (N, 4) i32`` (x0, y0, x1, y1, half-open), ``offsets (N + 1,) i64`` and flat ``logits f32``: patch i is
``logits[offsets[i]:offsets[i + 1]]``, row-major in its box.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from .caches import njit

Array = NDArray[Any]


@njit(cache=True, nogil=True, error_model="numpy")
def stability(logits: Array, offset: float) -> Array:
    """Logits (N, n) → (N,) f32: cells above ``offset`` ÷ cells above ``-offset``, 0 where there are none."""
    high, low = np.float32(offset), np.float32(-offset)
    scores = np.zeros(logits.shape[0], np.float32)
    for i in range(logits.shape[0]):
        inner, outer = 0, 0
        for value in logits[i]:
            inner += value > high
            outer += value > low
        if outer > 0:
            scores[i] = np.float32(inner) / np.float32(outer)
    return scores


@njit(cache=True, nogil=True)
def tight_boxes(boxes: Array, offsets: Array, logits: Array) -> Array:
    """Ragged patches → (N, 4) i32: smallest boxes that hold every logit > 0, zeros where there is none."""
    tight = np.zeros((boxes.shape[0], 4), np.int32)
    for i in range(boxes.shape[0]):
        width = boxes[i, 2] - boxes[i, 0]
        height = boxes[i, 3] - boxes[i, 1]
        x0, y0, x1, y1 = width, height, 0, 0
        for y in range(height):
            start = offsets[i] + y * width
            left = 0
            while left < width and not logits[start + left] > 0:
                left += 1
            if left == width:
                continue
            right = width
            while not logits[start + right - 1] > 0:
                right -= 1
            x0, x1 = min(x0, left), max(x1, right)
            y0, y1 = min(y0, y), y + 1
        if y1 > 0:
            tight[i, 0], tight[i, 1] = boxes[i, 0] + x0, boxes[i, 1] + y0
            tight[i, 2], tight[i, 3] = boxes[i, 0] + x1, boxes[i, 1] + y1
    return tight


@njit(cache=True, nogil=True)
def crop(boxes: Array, offsets: Array, logits: Array, index: Array, inner: Array) -> tuple[Array, Array]:
    """Patches ``index`` cut to the boxes ``inner`` (one a chosen patch, within its own) → offsets, logits."""
    starts = np.zeros(index.size + 1, np.int64)
    for k in range(index.size):
        starts[k + 1] = starts[k] + np.int64(inner[k, 2] - inner[k, 0]) * (inner[k, 3] - inner[k, 1])
    out = np.empty(starts[-1], np.float32)
    for k in range(index.size):
        i = index[k]
        width = boxes[i, 2] - boxes[i, 0]
        new_width = inner[k, 2] - inner[k, 0]
        for y in range(inner[k, 3] - inner[k, 1]):
            source = offsets[i] + (y + inner[k, 1] - boxes[i, 1]) * width + inner[k, 0] - boxes[i, 0]
            target = starts[k] + y * new_width
            for x in range(new_width):
                out[target + x] = logits[source + x]
    return starts, out


@njit(cache=True, nogil=True)
def interpolate(
    logits: Array,
    origin: Array,
    boxes: Array,
    x_cells: Array,
    x_weights: Array,
    y_cells: Array,
    y_weights: Array,
) -> tuple[Array, Array, Array]:
    """Windows (N, h, w) at ``origin`` (N, 2) cells, evaluated in ``boxes`` (N, 4) px → tight ragged patches.

    Pixel x weighs cells ``x_cells[x] + (0, 1, 2)`` by ``x_weights[x]``, likewise y; cells outside the window
    read its edge. Returns boxes, offsets, logits, cut to the logits > 0; an empty box where there is none.
    """
    n, h, w = logits.shape
    room, widest, largest = 0, 0, 0
    for i in range(n):
        width, height = int(boxes[i, 2] - boxes[i, 0]), int(boxes[i, 3] - boxes[i, 1])
        room += width * height
        widest, largest = max(widest, width), max(largest, width * height)
    tight, offsets, out = np.zeros((n, 4), np.int32), np.zeros(n + 1, np.int64), np.empty(room, np.float32)
    rows = np.empty((h, widest), np.float32)
    patch = np.empty(largest, np.float32)
    for i in range(n):
        bx0, by0 = int(boxes[i, 0]), int(boxes[i, 1])
        width, height = int(boxes[i, 2]) - bx0, int(boxes[i, 3]) - by0
        offsets[i + 1] = offsets[i]
        if width <= 0 or height <= 0:
            continue
        first = min(max(y_cells[by0] - origin[i, 1], 0), h - 1)
        last = min(max(y_cells[by0 + height - 1] + 2 - origin[i, 1], 0), h - 1)
        for r in range(first, last + 1):
            for x in range(width):
                cell = x_cells[bx0 + x] - origin[i, 0]
                rows[r, x] = (
                    x_weights[bx0 + x, 0] * logits[i, r, min(max(cell, 0), w - 1)]
                    + x_weights[bx0 + x, 1] * logits[i, r, min(max(cell + 1, 0), w - 1)]
                    + x_weights[bx0 + x, 2] * logits[i, r, min(max(cell + 2, 0), w - 1)]
                )
        x0, y0, x1, y1 = width, height, 0, 0
        for y in range(height):
            cell = y_cells[by0 + y] - origin[i, 1]
            ra = rows[min(max(cell, 0), h - 1)]
            rb = rows[min(max(cell + 1, 0), h - 1)]
            rc = rows[min(max(cell + 2, 0), h - 1)]
            wa, wb, wc = y_weights[by0 + y, 0], y_weights[by0 + y, 1], y_weights[by0 + y, 2]
            line = patch[y * width : (y + 1) * width]
            for x in range(width):
                line[x] = wa * ra[x] + wb * rb[x] + wc * rc[x]
            left = 0
            while left < width and not line[left] > 0:
                left += 1
            if left == width:
                continue
            right = width
            while not line[right - 1] > 0:
                right -= 1
            x0, x1 = min(x0, left), max(x1, right)
            y0, y1 = min(y0, y), y + 1
        if y1 == 0:
            continue
        tight[i, 0], tight[i, 1], tight[i, 2], tight[i, 3] = bx0 + x0, by0 + y0, bx0 + x1, by0 + y1
        target = offsets[i]
        for y in range(y0, y1):
            for x in range(x0, x1):
                out[target] = patch[y * width + x]
                target += 1
        offsets[i + 1] = target
    return tight, offsets, out[: offsets[n]]


@njit(cache=True, nogil=True, error_model="numpy")
def nms(boxes: Array, iou_thresh: float) -> Array:
    """Boxes (N, 4) f32, best first → (N,) bool: no kept one before it overlaps it by more than the IoU."""
    n = boxes.shape[0]
    area = np.empty(n, np.float32)
    for i in range(n):
        area[i] = (boxes[i, 2] - boxes[i, 0]) * (boxes[i, 3] - boxes[i, 1])
    keep = np.ones(n, np.bool_)
    for i in range(n):
        if not keep[i]:
            continue
        for j in range(i + 1, n):
            width = min(boxes[i, 2], boxes[j, 2]) - max(boxes[i, 0], boxes[j, 0])
            height = min(boxes[i, 3], boxes[j, 3]) - max(boxes[i, 1], boxes[j, 1])
            if width > 0 and height > 0 and keep[j]:
                shared = width * height
                keep[j] = not shared / (area[i] + area[j] - shared) > iou_thresh
    return keep


@njit(cache=True, nogil=True)
def paint(
    boxes: Array, offsets: Array, logits: Array, order: Array, height: int, width: int, max_overlap: float
) -> tuple[Array, Array]:
    """Greedy cover in ``order`` → labels (height, width) i32, and the patches kept (K,) i64 as 1, 2, …

    A patch is kept where kept ones hold at most ``max_overlap`` of it; a pixel goes to the highest logit.
    """
    labels = np.zeros((height, width), np.int32)
    best = np.zeros((height, width), np.float32)
    kept = np.empty(order.size, np.int64)
    count = 0
    for i in order:
        x0, y0, x1, y1 = boxes[i, 0], boxes[i, 1], boxes[i, 2], boxes[i, 3]
        area, held = 0, 0
        position = offsets[i]
        for y in range(y0, y1):
            for x in range(x0, x1):
                if logits[position] > 0:
                    area += 1
                    held += labels[y, x] > 0
                position += 1
        if area == 0 or held > max_overlap * area:
            continue
        kept[count] = i
        count += 1
        position = offsets[i]
        for y in range(y0, y1):
            for x in range(x0, x1):
                if logits[position] > best[y, x]:
                    best[y, x] = logits[position]
                    labels[y, x] = count
                position += 1
    return labels, kept[:count]


@njit(cache=True, nogil=True)
def largest_parts(labels: Array, n: int) -> Array:
    """Labels 0 … n (H, W) i32 → only the largest 8-connected part of each, of equals the first."""
    height, width = labels.shape
    parent = np.zeros((height + 1) * width, np.int64)
    size = np.zeros(parent.size, np.int64)
    root = np.zeros(n + 1, np.int64)
    for y in range(height):
        for x in range(width):
            if labels[y, x] == 0:
                continue
            # Numbered from the second row on, so that 0 says "no part yet".
            mine = (y + 1) * width + x
            parent[mine] = mine
            for step in range(4):
                dy, dx = (-1, step - 1) if step < 3 else (0, -1)
                if y + dy < 0 or x + dx < 0 or x + dx >= width or labels[y + dy, x + dx] != labels[y, x]:
                    continue
                a, b = mine, mine + dy * width + dx
                while parent[a] != a:
                    a = parent[a]
                while parent[b] != b:
                    parent[b] = parent[parent[b]]
                    b = parent[b]
                # The lower number stays root, so a root is the first pixel of its part.
                parent[max(a, b)] = min(a, b)
    for p in range(width, parent.size):
        # Parents come before their children: one step back is the root already.
        parent[p] = parent[parent[p]]
        size[parent[p]] += 1
    size[0] = 0
    for y in range(height):
        for x in range(width):
            p = (y + 1) * width + x
            if parent[p] == p and size[p] > size[root[labels[y, x]]]:
                root[labels[y, x]] = p
    out = np.zeros((height, width), np.int32)
    for y in range(height):
        for x in range(width):
            if labels[y, x] > 0 and parent[(y + 1) * width + x] == root[labels[y, x]]:
                out[y, x] = labels[y, x]
    return out


@njit(cache=True, nogil=True)
def label_boxes(labels: Array, n: int) -> tuple[Array, Array]:
    """Labels 0 … n (H, W) i32 → tight boxes (n, 4) i32, and (n,) i64 how many row segments each label has."""
    height, width = labels.shape
    boxes = np.zeros((n, 4), np.int32)
    segments = np.zeros(n, np.int64)
    for y in range(height):
        previous = 0
        for x in range(width):
            k = labels[y, x]
            if k > 0:
                i = k - 1
                if segments[i] == 0:
                    boxes[i, 0], boxes[i, 1] = x, y
                segments[i] += k != previous
                boxes[i, 0], boxes[i, 2] = min(boxes[i, 0], x), max(boxes[i, 2], x + 1)
                boxes[i, 3] = y + 1
            previous = k
    return boxes, segments


@njit(cache=True, nogil=True)
def run_lengths(labels: Array, boxes: Array, segments: Array) -> tuple[Array, Array]:
    """Labels (H, W) i32 in ``boxes`` → runs i32, row-major, the first outside, and offsets (n + 1,) i64."""
    n = boxes.shape[0]
    # A segment ends one run outside and one inside; what follows the last one is a run of its own.
    runs = np.empty(2 * segments.sum() + n, np.int32)
    offsets = np.zeros(n + 1, np.int64)
    for i in range(n):
        position = offsets[i]
        inside, run = False, 0
        for y in range(boxes[i, 1], boxes[i, 3]):
            for x in range(boxes[i, 0], boxes[i, 2]):
                if (labels[y, x] == i + 1) != inside:
                    runs[position] = run
                    position += 1
                    inside, run = not inside, 0
                run += 1
        runs[position] = run
        offsets[i + 1] = position + 1
    return runs[: offsets[n]], offsets
