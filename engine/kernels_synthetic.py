"""njit loops of the renderer: packing of particles and their height map. Bare, no validation."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from .caches import njit

Array = NDArray[Any]


@njit(cache=True, nogil=True)
def relax(
    centres: Array, offsets: Array, radii: Array, particle: Array, free: Array, contact: float, cohesion: float,
    steps: int,
) -> None:  # fmt: skip
    """Push overlapping particles apart and pull close ones together, in place.

    Particles are rigid groups of lobes; ``centres (P, 2)`` and ``offsets (L, 2)`` are changed, ``free (P,)`` says
    which particles take part. Two lobes touch at ``contact`` times the sum of their radii.
    """
    n = len(radii)
    reach = 2.0 * radii.max() * (1.0 + cohesion)
    range_ = contact + cohesion
    inertia = np.zeros(len(centres))
    for i in range(n):
        p = particle[i]
        inertia[p] += radii[i] ** 2 * (offsets[i, 0] ** 2 + offsets[i, 1] ** 2 + 0.5 * radii[i] ** 2)
    shift = np.zeros((len(centres), 2))
    turn = np.zeros(len(centres))
    hits = np.zeros(len(centres))
    x = np.empty(n)
    y = np.empty(n)
    cell = np.empty(n, np.int64)
    # The lobes cell by cell, so that three cells of a row lie one after the other.
    order = np.empty(n, np.int64)
    near = np.empty((n, 3))
    for _ in range(steps):
        for i in range(n):
            x[i] = centres[particle[i], 0] + offsets[i, 0]
            y[i] = centres[particle[i], 1] + offsets[i, 1]
        x0, y0 = x.min(), y.min()
        nx = int((x.max() - x0) / reach) + 1
        ny = int((y.max() - y0) / reach) + 1
        start = np.zeros(nx * ny + 1, np.int64)
        for i in range(n):
            cell[i] = int((y[i] - y0) / reach) * nx + int((x[i] - x0) / reach)
            start[cell[i] + 1] += 1
        for k in range(nx * ny):
            start[k + 1] += start[k]
        filled = start.copy()
        for i in range(n - 1, -1, -1):
            k = filled[cell[i]]
            filled[cell[i]] += 1
            order[k] = i
            near[k, 0], near[k, 1], near[k, 2] = x[i], y[i], radii[i]
        shift[:] = 0
        turn[:] = 0
        hits[:] = 0
        for i in range(n):
            p = particle[i]
            if not free[p]:
                continue
            cx, cy = cell[i] % nx, cell[i] // nx
            for gy in range(max(cy - 1, 0), min(cy + 2, ny)):
                for k in range(start[gy * nx + max(cx - 1, 0)], start[gy * nx + min(cx + 2, nx)]):
                    dx, dy, both = x[i] - near[k, 0], y[i] - near[k, 1], radii[i] + near[k, 2]
                    squared = dx * dx + dy * dy
                    if squared > (range_ * both) ** 2:
                        continue
                    q = particle[order[k]]
                    if q == p or not free[q]:
                        continue
                    d = np.sqrt(squared) + 1e-6
                    gap = d - contact * both
                    push = 0.0
                    if gap < 0:
                        push = -0.5 * gap
                    elif gap < cohesion * both:
                        push = -0.08 * gap
                    if push != 0:
                        fx, fy = push * dx / d, push * dy / d
                        shift[p, 0] += fx
                        shift[p, 1] += fy
                        arm = offsets[i, 0] * fy - offsets[i, 1] * fx
                        turn[p] += arm * radii[i] ** 2 / (inertia[p] + 1e-9)
                        hits[p] += 1
        for p in range(len(centres)):
            if hits[p] > 0:
                scale = 1.2 / max(hits[p] ** 0.5, 1.0)
                centres[p, 0] += shift[p, 0] * scale
                centres[p, 1] += shift[p, 1] * scale
        for i in range(n):
            p = particle[i]
            if hits[p] > 0:
                a = min(max(turn[p] / max(hits[p] ** 0.5, 1.0), -0.2), 0.2)
                c, s = np.cos(a), np.sin(a)
                ox, oy = offsets[i, 0], offsets[i, 1]
                offsets[i, 0] = c * ox - s * oy
                offsets[i, 1] = s * ox + c * oy


@njit(cache=True, nogil=True, error_model="numpy")
def _polyhedron(u: float, v: float, planes: Array, ball: float) -> tuple[float, float, float]:
    """Top, bottom and cosine of the tilt of a convex solid above (u, v); top is below bottom where it is not.

    ``planes (F, 4)`` are outward normals and distances from the origin; a ball of radius ``ball`` rounds the corners.
    """
    rest = ball * ball - u * u - v * v
    if rest <= 0:
        return -1.0, 1.0, 1.0
    top = np.sqrt(rest)
    bottom, cosine = -top, top / ball
    for f in range(len(planes)):
        normal = planes[f, 2]
        room = planes[f, 3] - planes[f, 0] * u - planes[f, 1] * v
        if normal > 1e-3:
            if room / normal < top:
                top, cosine = room / normal, normal
        elif normal < -1e-3:
            bottom = max(bottom, room / normal)
        elif room < 0:
            return -1.0, 1.0, 1.0
    return top, bottom, cosine


@njit(cache=True, nogil=True, error_model="numpy")
def height_map(
    x: Array, y: Array, z: Array, radii: Array, stretch: Array, angle: Array, facets: Array, form: Array, planes: Array,
    lobe_of: Array, particle: Array, sway: Array, height: Array, cosine: Array, lobe: Array, thickness: Array,
    covered: Array,
) -> None:  # fmt: skip
    """Draw bodies into ``height``, ``cosine`` (of the surface's tilt), ``lobe`` (index + 1) and ``thickness``.

    See ``Layout`` for the columns of the bodies, those of one lobe one after the other; ``sway (H,)`` shifts each row
    to the right, px. ``covered (L,)`` takes the whole projected area of a lobe, beyond the frame too.
    """
    h, w = height.shape
    owner = np.full((h, w), -1, np.int32)
    depth = np.zeros((h, w), np.float32)
    body = 0
    while body < len(x):
        following = body
        row0, row1, col0, col1 = 1 << 30, -(1 << 30), 1 << 30, -(1 << 30)
        while following < len(x) and lobe_of[following] == lobe_of[body]:
            i = following
            reach = max(radii[i] * stretch[i], radii[i] / stretch[i]) * 1.2
            if form[i] >= 0:
                reach = radii[i] * facets[i]
            row0, row1 = min(row0, int(np.floor(y[i] - reach))), max(row1, int(np.ceil(y[i] + reach)))
            col0, col1 = min(col0, int(np.floor(x[i] - reach))), max(col1, int(np.ceil(x[i] + reach)))
            following += 1
        of = lobe_of[body]
        counted = np.zeros((row1 - row0 + 1, col1 - col0 + 1), np.bool_)
        for i in range(body, following):
            a, b = radii[i] * stretch[i], radii[i] / stretch[i]
            reach = max(a, b) * 1.2
            if form[i] >= 0:
                reach = radii[i] * facets[i]
            c, s = np.cos(angle[i]), np.sin(angle[i])
            n = facets[i]
            rz = min(a, b)
            for row in range(int(np.floor(y[i] - reach)), int(np.ceil(y[i] + reach)) + 1):
                aside = sway[min(max(row, 0), h - 1)]
                shift = int(np.rint(aside))
                for place in range(int(np.floor(x[i] - reach)), int(np.ceil(x[i] + reach)) + 1):
                    col = place + shift
                    dx, dy = col - aside - x[i], row - y[i]
                    if form[i] >= 0:
                        u, v = (c * dx + s * dy) / radii[i], (c * dy - s * dx) / radii[i]
                        top, bottom, cos = _polyhedron(u, v, planes[form[i]], n)
                        if top <= bottom:
                            continue
                        t, top = radii[i] * (top - bottom), z[i] + radii[i] * top
                    else:
                        if form[i] == -2:
                            u, v = max(abs(c * dx + s * dy) - (a - b), 0.0) / b, abs(c * dy - s * dx) / b
                        else:
                            u, v = abs(c * dx + s * dy) / a, abs(c * dy - s * dx) / b
                        q = u * u + v * v if n == 2.0 else (u**n + v**n) ** (2.0 / n)
                        if q >= 1.0:
                            continue
                        cos = np.sqrt(1.0 - q)
                        t = 2.0 * rz * cos
                        top = z[i] + rz * cos
                    if not counted[row - row0, place - col0]:
                        counted[row - row0, place - col0] = True
                        covered[of] += 1
                    if row < 0 or row >= h or col < 0 or col >= w:
                        continue
                    if owner[row, col] == particle[of]:
                        if t > depth[row, col]:
                            thickness[row, col] += t - depth[row, col]
                            depth[row, col] = t
                    else:
                        owner[row, col] = particle[of]
                        depth[row, col] = t
                        thickness[row, col] += t
                    if top > height[row, col] or lobe[row, col] == 0:
                        height[row, col] = top
                        cosine[row, col] = cos
                        lobe[row, col] = of + 1
        body = following


@njit(cache=True, nogil=True)
def trail(bright: Array, decay: float, out: Array) -> None:
    """(H, W) 0–1 what of ``bright`` is remembered along each row, falling by ``decay`` from pixel to pixel."""
    for row in range(bright.shape[0]):
        level = 0.0
        for col in range(bright.shape[1]):
            level = level * decay + (1.0 - decay) * (3.0 if bright[row, col] else 0.0)
            level = min(level, 1.0)
            out[row, col] = level
