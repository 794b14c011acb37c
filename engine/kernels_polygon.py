"""Loops over closed polygons; bare, no validation. points (V, 2) float64 (x, y), ends (n + 1,) int64. See outline."""

# mypy: allow-untyped-decorators
from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from .caches import njit

Array = NDArray[Any]


@njit(cache=True, nogil=True, error_model="numpy")
def sums(points: Array, ends: Array) -> Array:
    """Of each polygon → (n, 4) float64: area (clockwise on the screen: positive), perimeter, its centroid (x, y)."""
    n = len(ends) - 1
    found = np.zeros((n, 4), np.float64)
    for i in range(n):
        x0, y0 = points[ends[i], 0], points[ends[i], 1]
        area, length, sx, sy = 0.0, 0.0, 0.0, 0.0
        for k in range(ends[i], ends[i + 1]):
            after = k + 1 if k + 1 < ends[i + 1] else ends[i]
            ax, ay = points[k, 0] - x0, points[k, 1] - y0
            bx, by = points[after, 0] - x0, points[after, 1] - y0
            cross = ax * by - bx * ay
            area += cross / 2
            length += np.hypot(bx - ax, by - ay)
            sx += (ax + bx) * cross / 6
            sy += (ay + by) * cross / 6
        found[i, 0], found[i, 1], found[i, 2], found[i, 3] = area, length, x0 + sx / area, y0 + sy / area
    return found


@njit(cache=True, nogil=True)
def traced_lengths(corners: Array, ends: Array) -> Array:
    """ImageJ's length of each outline traced round pixels, of its corners in ImageJ's order → (n,) float64.

    √2 is counted for the 2 of every corner, but for every second one of a staircase of single pixels.
    """
    found = np.zeros(len(ends) - 1, np.float64)
    for i in range(len(ends) - 1):
        first, last = ends[i], ends[i + 1] - 1
        before = last
        counted = False
        for k in range(first, last + 1):
            side = abs(corners[k, 0] - corners[before, 0]) + abs(corners[k, 1] - corners[before, 1])
            counted = side > 1 or not counted
            found[i] += side - (2 - np.sqrt(2.0)) * counted
            before = k
    return found


@njit(cache=True, nogil=True)
def _order(points: Array) -> Array:
    """(n,) int64: the points by x, then y, by Shell's sort; numpy's takes a second to compile."""
    order = np.arange(len(points))
    gap = len(points)
    while gap > 1:
        gap = max(gap * 5 // 11, 1)
        for a in range(gap, len(points)):
            k, b = order[a], a
            x, y = points[k, 0], points[k, 1]
            while b >= gap:
                other = order[b - gap]
                if points[other, 0] < x or (points[other, 0] == x and points[other, 1] <= y):
                    break
                order[b] = other
                b -= gap
            order[b] = k
    return order


@njit(cache=True, nogil=True)
def _hull(points: Array, order: Array, hull: Array) -> int:
    """Corners (x, y) of the convex hull of points, clockwise on the screen, into hull; their number.

    order: the points by x, then y (Andrew's monotone chain).
    """
    size = 0
    for side in range(2):
        least = size + 1 if side else 2
        for step in range(len(order)):
            k = order[len(order) - 1 - step] if side else order[step]
            x, y = points[k, 0], points[k, 1]
            while size >= least:
                ax, ay = hull[size - 2, 0], hull[size - 2, 1]
                if (hull[size - 1, 0] - ax) * (y - ay) - (hull[size - 1, 1] - ay) * (x - ax) > 0:
                    break
                size -= 1
            if size == 0 or x != hull[size - 1, 0] or y != hull[size - 1, 1]:
                hull[size, 0], hull[size, 1] = x, y
                size += 1
    if size > 1 and hull[size - 1, 0] == hull[0, 0] and hull[size - 1, 1] == hull[0, 1]:
        size -= 1
    return size


@njit(cache=True, nogil=True)
def _height(hull: Array, a: int, b: int, c: int) -> float:
    """How far corner c is from the line through corners a and b, times the distance of these."""
    ax, ay = hull[a, 0], hull[a, 1]
    return float((hull[b, 0] - ax) * (hull[c, 1] - ay) - (hull[b, 1] - ay) * (hull[c, 0] - ax))


@njit(cache=True, nogil=True, error_model="numpy")
def calipers(points: Array, ends: Array) -> Array:
    """Of each polygon's convex hull → (n, 10) float64: area, perimeter, then of calipers.

    Largest distance of two corners (of equals the first) and (x, y) of both, the one of smaller x first; least distance
    of two parallel lines that hold it and the direction (x, y) across them, a unit vector. Both come from calipers
    turned once round (Shamos 1978): of every side the corner farthest from it.
    """
    n = len(ends) - 1
    found = np.zeros((n, 10), np.float64)
    longest = 0
    for i in range(n):
        longest = max(longest, ends[i + 1] - ends[i])
    hull = np.empty((2 * longest + 2, 2), np.float64)
    for i in range(n):
        part = points[ends[i] : ends[i + 1]]
        size = _hull(part, _order(part), hull)
        area, length, widest, first, second = 0.0, 0.0, -1.0, 0, 0
        narrowest, nx, ny = np.inf, 1.0, 0.0
        far = 0
        for a in range(size):
            q = (a + 1) % size
            ex, ey = hull[q, 0] - hull[a, 0], hull[q, 1] - hull[a, 1]
            area += _height(hull, 0, a, q) / 2
            side = np.hypot(ex, ey)
            length += side
            if a == 0:
                for b in range(size):
                    if _height(hull, 0, q, b) > _height(hull, 0, q, far):
                        far = b
            while True:
                for p in (a, q):
                    dx, dy = hull[far, 0] - hull[p, 0], hull[far, 1] - hull[p, 1]
                    apart = dx * dx + dy * dy
                    one, other = min(p, far), max(p, far)
                    if apart > widest or (apart == widest and (one, other) < (first, second)):
                        widest, first, second = apart, one, other
                if size < 3 or _height(hull, a, q, (far + 1) % size) < _height(hull, a, q, far):
                    break
                far = (far + 1) % size
            across = abs(_height(hull, a, q, far))
            if side > 0 and across / side < narrowest:
                narrowest, nx, ny = across / side, -ey / side, ex / side
        if hull[first, 0] > hull[second, 0]:
            first, second = second, first
        found[i, 0], found[i, 1], found[i, 2] = abs(area), length, np.sqrt(max(widest, 0.0))
        found[i, 3], found[i, 4] = hull[first, 0], hull[first, 1]
        found[i, 5], found[i, 6] = hull[second, 0], hull[second, 1]
        found[i, 7], found[i, 8], found[i, 9] = narrowest if size > 1 else 0.0, nx, ny
    return found


@njit(cache=True, nogil=True, error_model="numpy")
def circles(points: Array, ends: Array, used: Array) -> Array:
    """The circle of least squared distance to the points of each polygon that are used (V,) bool → (n, 3) float64.

    x, y, radius; NaN where fewer than five are used or they lie on a line. First the circle of least squared power
    (Kåsa 1976), then Gauss–Newton steps of the distances themselves.
    """
    n = len(ends) - 1
    found = np.full((n, 3), np.nan)
    for i in range(n):
        count, mx, my = 0, 0.0, 0.0
        for k in range(ends[i], ends[i + 1]):
            if used[k]:
                count += 1
                mx += points[k, 0]
                my += points[k, 1]
        if count < 5:
            continue
        mx, my = mx / count, my / count
        xx, xy, yy, xz, yz, zz = 0.0, 0.0, 0.0, 0.0, 0.0, 0.0
        for k in range(ends[i], ends[i + 1]):
            if used[k]:
                x, y = points[k, 0] - mx, points[k, 1] - my
                z = x * x + y * y
                xx += x * x
                xy += x * y
                yy += y * y
                xz += x * z
                yz += y * z
                zz += z
        determinant = xx * yy - xy * xy
        if not determinant > 1e-9 * (xx + yy) ** 2:
            continue
        x0, y0 = (xz * yy - yz * xy) / determinant / 2, (yz * xx - xz * xy) / determinant / 2
        radius = np.sqrt(x0 * x0 + y0 * y0 + zz / count)
        for _ in range(6):
            uu, uv, vv, su, sv, ud, vd, sd = 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0
            for k in range(ends[i], ends[i + 1]):
                if used[k]:
                    x, y = points[k, 0] - mx - x0, points[k, 1] - my - y0
                    distance = max(np.hypot(x, y), 1e-12)
                    u, v, d = x / distance, y / distance, distance
                    uu += u * u
                    uv += u * v
                    vv += v * v
                    su += u
                    sv += v
                    ud += u * d
                    vd += v * d
                    sd += d
            # Distances less their mean, on directions less theirs: the radius drops out.
            uu, uv, vv = uu - su * su / count, uv - su * sv / count, vv - sv * sv / count
            ud, vd = ud - su * sd / count, vd - sv * sd / count
            determinant = uu * vv - uv * uv
            if not determinant > 1e-12 * (uu + vv) ** 2:
                break
            dx, dy = (ud * vv - vd * uv) / determinant, (vd * uu - ud * uv) / determinant
            x0, y0 = x0 + dx, y0 + dy
            radius = (sd - su * dx - sv * dy) / count
            if dx * dx + dy * dy < 1e-16 * radius * radius:
                break
        found[i, 0], found[i, 1], found[i, 2] = mx + x0, my + y0, radius
    return found
