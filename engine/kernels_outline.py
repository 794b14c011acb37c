"""Loops round the outlines of labels; bare, no validation. See outline."""

# mypy: allow-untyped-decorators
from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from .caches import njit

Array = NDArray[Any]

DX = np.array([0, 1, 0, -1])
DY = np.array([-1, 0, 1, 0])
"""Up, right, down, left."""


@njit(cache=True, nogil=True)
def _logit(boxes: Array, offsets: Array, logits: Array, i: int, x: int, y: int) -> float:
    """Of patch i at a pixel, −inf outside its box."""
    if x < boxes[i, 0] or y < boxes[i, 1] or x >= boxes[i, 2] or y >= boxes[i, 3]:
        return -np.inf
    return np.float64(logits[offsets[i] + (y - boxes[i, 1]) * np.int64(boxes[i, 2] - boxes[i, 0]) + x - boxes[i, 0]])


@njit(cache=True, nogil=True, error_model="numpy")
def _crossing(others: Array, boxes: Array, offsets: Array, logits: Array, i: int, x: int, y: int, qx: int,
              qy: int) -> tuple[float, bool]:
    """Where between the centre of pixel (x, y), in patch i, and of its neighbour q, not in it, the outline is, 0–1.

    And whether it is free there: no other patch is in the way.
    """
    here, there = _logit(boxes, offsets, logits, i, x, y), _logit(boxes, offsets, logits, i, qx, qy)
    at = 2.0
    if here > 0 and there <= 0 and there > -np.inf:
        at = here / (here - there)
    j = others[qy, qx] - 1
    if j >= 0 and j != i:
        lead = here - _logit(boxes, offsets, logits, j, x, y)
        lag = _logit(boxes, offsets, logits, j, qx, qy) - there
        if lead >= 0 and lag >= 0 and 0 < lead + lag < np.inf and lead / (lead + lag) <= at:
            return lead / (lead + lag), False
    return (at, True) if at <= 1 else (0.5, False)


@njit(cache=True, nogil=True)
def trace(labels: Array, others: Array, n: int, boxes: Array, offsets: Array,
          logits: Array) -> tuple[Array, Array, Array, Array]:
    """The outer outline of each of n labels, clockwise, a point for each pixel edge on it.

    labels (H, W) int32; others (H, W) int32: whose patch a pixel belongs to, also where labels lacks it; patches as
    in kernels, patch i of label i + 1; none where their logits are not known → points (V, 2) float64 (x, y) edge
    coordinates; ends (n + 1,) int64; free (V,) bool: nothing but background is beyond; beyond (V,) int32: what others
    has there, −1 outside the image. A point lies where the logit is zero or another patch's is as high, between the
    centres of the two pixels; in the middle where neither is known.
    """
    height, width = labels.shape
    known = boxes.shape[0] > 0
    first = np.full(n, -1, np.int64)
    edges = np.int64(0)
    for y in range(height):
        for x in range(width):
            label = labels[y, x]
            if label == 0:
                continue
            if first[label - 1] < 0:
                first[label - 1] = y * np.int64(width) + x
            edges += x == 0 or labels[y, x - 1] != label
            edges += x == width - 1 or labels[y, x + 1] != label
            edges += y == 0 or labels[y - 1, x] != label
            edges += y == height - 1 or labels[y + 1, x] != label
    points = np.empty((edges, 2), np.float64)
    free = np.zeros(edges, np.bool_)
    beyond = np.full(edges, -1, np.int32)
    ends = np.zeros(n + 1, np.int64)
    size = np.int64(0)
    for i in range(n):
        ends[i + 1] = size
        if first[i] < 0:
            continue
        label = i + 1
        start_x, start_y = first[i] % width, first[i] // width
        x, y, d = start_x, start_y, 0
        while True:
            qx, qy = x + DX[d], y + DY[d]
            at = 0.5
            if 0 <= qx < width and 0 <= qy < height:
                beyond[size] = others[qy, qx]
                if known:
                    at, free[size] = _crossing(others, boxes, offsets, logits, i, x, y, qx, qy)
                else:
                    free[size] = beyond[size] == 0
            points[size, 0] = x + 0.5 + at * DX[d]
            points[size, 1] = y + 0.5 + at * DY[d]
            size += 1
            ahead = (d + 1) % 4
            ax, ay = x + DX[ahead], y + DY[ahead]
            bx, by = ax + DX[d], ay + DY[d]
            if 0 <= bx < width and 0 <= by < height and labels[by, bx] == label:
                x, y, d = bx, by, (d + 3) % 4
            elif 0 <= ax < width and 0 <= ay < height and labels[ay, ax] == label:
                x, y = ax, ay
            else:
                d = ahead
            if x == start_x and y == start_y and d == 0:
                break
        ends[i + 1] = size
    return points[:size].copy(), ends, free[:size].copy(), beyond[:size].copy()
