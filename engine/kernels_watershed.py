"""Loops of the traditional method: the rolling ball and the watershed; bare, no validation. See watershed."""

# mypy: allow-untyped-decorators
from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from .caches import njit

Array = NDArray[Any]


@njit(cache=True, nogil=True)
def roll_ball(image: Array, ball: Array) -> Array:
    """image (H, W) float32, ball (2r + 1, 2r + 1) float32 heights → (H, W) float32: the highest that a ball rolled
    beneath the image reaches; its centre may lie outside."""
    height, width = image.shape
    r = ball.shape[0] // 2
    reached = np.full(image.shape, -np.inf, np.float32)
    for y in range(-r, height + r):
        y0, y1 = max(y - r, 0), min(y + r + 1, height)
        for x in range(-r, width + r):
            x0, x1 = max(x - r, 0), min(x + r + 1, width)
            lift = np.float32(np.inf)
            for i in range(y0, y1):
                for j in range(x0, x1):
                    lift = min(lift, image[i, j] - ball[i - y + r, j - x + r])
            for i in range(y0, y1):
                for j in range(x0, x1):
                    reached[i, j] = max(reached[i, j], lift + ball[i - y + r, j - x + r])
    return reached


@njit(cache=True, nogil=True)
def flood(depth: Array, order: Array, tolerance: float) -> Array:
    """depth (H, W) float32; order (K,) int64 flat indices of the pixels > 0, deepest first → labels (H, W) int32.

    Every pixel joins the deepest of its eight neighbours that came before it, or starts a basin. Where two basins meet
    they become one if the shallower is no more than tolerance deeper than the place. Labels run from 1 without a gap,
    in the order in which basins start.
    """
    height, width = depth.shape
    basin = np.zeros((height, width), np.int32)
    parent = np.zeros(len(order) + 1, np.int32)
    deepest = np.zeros(len(order) + 1, np.float32)
    count = 0
    for k in range(len(order)):
        r, c = order[k] // width, order[k] % width
        best = np.float32(-1.0)
        mine = 0
        for dr in range(-1, 2):
            for dc in range(-1, 2):
                rr, cc = r + dr, c + dc
                if 0 <= rr < height and 0 <= cc < width and basin[rr, cc] > 0 and depth[rr, cc] > best:
                    best = depth[rr, cc]
                    mine = basin[rr, cc]
        if mine == 0:
            count += 1
            parent[count] = count
            deepest[count] = depth[r, c]
            basin[r, c] = count
            continue
        basin[r, c] = mine
        for dr in range(-1, 2):
            for dc in range(-1, 2):
                rr, cc = r + dr, c + dc
                if not (0 <= rr < height and 0 <= cc < width) or basin[rr, cc] == 0:
                    continue
                a, b = mine, basin[rr, cc]
                while parent[a] != a:
                    parent[a] = parent[parent[a]]
                    a = parent[a]
                while parent[b] != b:
                    parent[b] = parent[parent[b]]
                    b = parent[b]
                if a != b and min(deepest[a], deepest[b]) - depth[r, c] <= tolerance:
                    low, high = min(a, b), max(a, b)
                    parent[high] = low
                    deepest[low] = max(deepest[low], deepest[high])
    number = np.zeros(count + 1, np.int32)
    size = 0
    for i in range(1, count + 1):
        root = i
        while parent[root] != root:
            root = parent[root]
        if number[root] == 0:
            size += 1
            number[root] = size
        number[i] = number[root]
    for r in range(height):
        for c in range(width):
            basin[r, c] = number[basin[r, c]]
    return basin
