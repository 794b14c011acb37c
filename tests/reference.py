"""NumPy twins of ``engine/kernels.py``: slow, plain, and under the same tests."""

from __future__ import annotations

import numpy as np
from scipy import ndimage

EIGHT = np.ones((3, 3), bool)


def stability(logits, offset):
    inner, outer = (logits > offset).sum(1), (logits > -offset).sum(1)
    return np.divide(inner, outer, out=np.zeros(len(logits)), where=outer > 0).astype(np.float32)


def patch(boxes, offsets, logits, i):
    x0, y0, x1, y1 = boxes[i]
    return logits[offsets[i] : offsets[i + 1]].reshape(y1 - y0, x1 - x0)


def tight_box(inside):
    """(h, w) bool → x0, y0, x1, y1 of what is True, zeros where nothing is."""
    rows, columns = np.flatnonzero(inside.any(1)), np.flatnonzero(inside.any(0))
    if len(rows) == 0:
        return np.zeros(4, np.int32)
    return np.array([columns[0], rows[0], columns[-1] + 1, rows[-1] + 1], np.int32)


def tight_boxes(boxes, offsets, logits):
    tight = np.zeros((len(boxes), 4), np.int32)
    for i, (x0, y0, _, _) in enumerate(boxes):
        box = tight_box(patch(boxes, offsets, logits, i) > 0)
        tight[i] = box + np.array([x0, y0, x0, y0]) if box.any() else 0
    return tight


def crop(boxes, offsets, logits, index, inner):
    parts = [np.empty(0, np.float32)]
    for i, (x0, y0, x1, y1) in zip(index, inner, strict=True):
        left, top = boxes[i, :2]
        parts.append(patch(boxes, offsets, logits, i)[y0 - top : y1 - top, x0 - left : x1 - left].ravel())
    sizes = [len(part) for part in parts]
    return np.cumsum(sizes).astype(np.int64), np.concatenate(parts)


def nms(boxes, iou_thresh):
    kept = []
    for i in range(len(boxes)):
        mine, theirs = boxes[i], boxes[kept]
        sides = np.minimum(mine[2:], theirs[:, 2:]) - np.maximum(mine[:2], theirs[:, :2])
        shared = np.clip(sides, 0, None).prod(1)
        union = (mine[2:] - mine[:2]).prod() + (theirs[:, 2:] - theirs[:, :2]).prod(1) - shared
        overlap = np.divide(shared, union, out=np.zeros_like(union), where=union > 0).astype(np.float64)
        if not (overlap > iou_thresh).any():
            kept.append(i)
    return np.isin(np.arange(len(boxes)), kept)


def paint(boxes, offsets, logits, order, height, width, max_overlap):
    stack, kept = [np.zeros((height, width), np.float32)], []
    for i in order:
        x0, y0, x1, y1 = boxes[i]
        full = np.zeros((height, width), np.float32)
        full[y0:y1, x0:x1] = patch(boxes, offsets, logits, i)
        inside, held = full > 0, np.max(stack, 0) > 0
        if inside.any() and (inside & held).sum() <= max_overlap * inside.sum():
            stack.append(np.where(inside, full, 0))
            kept.append(i)
    return np.argmax(stack, 0).astype(np.int32), np.array(kept, np.int64)


def largest_parts(labels, n):
    out = np.zeros_like(labels)
    for label in range(1, n + 1):
        parts, count = ndimage.label(labels == label, EIGHT)
        if count:
            out[parts == 1 + np.argmax(np.bincount(parts.ravel())[1:])] = label
    return out


def label_boxes(labels, n):
    boxes = np.array([tight_box(labels == k) for k in range(1, n + 1)], np.int32).reshape(n, 4)
    starts = np.diff(labels, axis=1, prepend=0) != 0
    return boxes, np.array([(starts & (labels == k)).sum() for k in range(1, n + 1)], np.int64)


def run_lengths(labels, boxes, segments):
    runs = [np.empty(0, np.int32)]
    for i, (x0, y0, x1, y1) in enumerate(boxes):
        inside = (labels[y0:y1, x0:x1] == i + 1).ravel()
        changes = np.flatnonzero(np.diff(inside, prepend=False))
        runs.append(np.diff(np.concatenate([[0], changes, [inside.size]])).astype(np.int32))
    return np.concatenate(runs), np.cumsum([len(r) for r in runs]).astype(np.int64)
