"""The loops of ``kernels_upsample`` in NumPy, mask by mask."""

from __future__ import annotations

import numpy as np
from reference import tight_box


def trim(logits, level, margin):
    _, h, w = logits.shape
    boxes, parts = np.zeros((len(logits), 4), np.int32), [np.empty(0, np.float32)]
    for i, layer in enumerate(logits):
        box = tight_box(layer > level)
        if box.any():
            x0, y0, x1, y1 = box + np.array([-margin, -margin, margin, margin])
            boxes[i] = max(x0, 0), max(y0, 0), min(x1, w), min(y1, h)
        x0, y0, x1, y1 = boxes[i]
        parts.append(layer[y0:y1, x0:x1].ravel())
    return boxes, np.cumsum([len(part) for part in parts]).astype(np.int64), np.concatenate(parts)


def evaluated(cells, origin, box, x_cells, x_weights, y_cells, y_weights):
    """(height, width) float32: a clip's logits at the pixels of a box."""
    x0, y0, x1, y1 = box
    h, w = cells.shape
    mix_x, mix_y = np.zeros((x1 - x0, w)), np.zeros((y1 - y0, h))
    for k in range(3):
        columns = np.clip(x_cells[x0:x1] + k - origin[0], 0, w - 1)
        rows = np.clip(y_cells[y0:y1] + k - origin[1], 0, h - 1)
        mix_x[np.arange(x1 - x0), columns] += x_weights[x0:x1, k]
        mix_y[np.arange(y1 - y0), rows] += y_weights[y0:y1, k]
    return (mix_y @ cells @ mix_x.T).astype(np.float32)


def _each(flat, offsets, origin, size, boxes, axes):
    for i, box in enumerate(boxes):
        x0, y0, x1, y1 = box
        if x0 < x1 and y0 < y1:
            cells = flat[offsets[i] : offsets[i + 1]].reshape(size[i, 1], size[i, 0])
            yield i, box, evaluated(cells, origin[i], box, *axes)


def assess(flat, offsets, origin, size, boxes, *rest):
    *axes, offset = rest
    tight, stability = np.zeros((len(boxes), 4), np.int32), np.zeros(len(boxes), np.float32)
    for i, (x0, y0, _, _), full in _each(flat, offsets, origin, size, boxes, axes):
        inner, outer = (full > offset).sum(), (full > -offset).sum()
        stability[i] = np.float32(inner) / np.float32(outer) if outer else 0
        box = tight_box(full > 0)
        tight[i] = box + np.array([x0, y0, x0, y0]) if box.any() else 0
    return tight, stability


def interpolate(flat, offsets, origin, size, boxes, *axes):
    parts = [np.empty(0, np.float32)] * (len(boxes) + 1)
    for i, _, full in _each(flat, offsets, origin, size, boxes, axes):
        parts[i + 1] = full.ravel()
    return np.cumsum([len(part) for part in parts]).astype(np.int64), np.concatenate(parts)


def holders(points, flat, offsets, origin, size, boxes, *axes):
    held, smallest = np.full(len(points), -1, np.int64), np.full(len(points), 1 << 60)
    for i, (x0, y0, x1, y1), full in _each(flat, offsets, origin, size, boxes, axes):
        x, y = points.T
        near = np.flatnonzero((x >= x0) & (x < x1) & (y >= y0) & (y < y1))
        inside = near[full[y[near] - y0, x[near] - x0] > 0]
        area = (x1 - x0) * (y1 - y0)
        better = inside[area < smallest[inside]]
        held[better], smallest[better] = i, area
    return held
