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
    inertia = np.zeros(len(centres))
    for i in range(n):
        p = particle[i]
        inertia[p] += radii[i] ** 2 * (offsets[i, 0] ** 2 + offsets[i, 1] ** 2 + 0.5 * radii[i] ** 2)
    shift = np.zeros((len(centres), 2))
    turn = np.zeros(len(centres))
    hits = np.zeros(len(centres))
    x = np.empty(n)
    y = np.empty(n)
    for _ in range(steps):
        for i in range(n):
            x[i] = centres[particle[i], 0] + offsets[i, 0]
            y[i] = centres[particle[i], 1] + offsets[i, 1]
        x0, y0 = x.min(), y.min()
        nx = int((x.max() - x0) / reach) + 1
        ny = int((y.max() - y0) / reach) + 1
        head = np.full(nx * ny, -1, np.int64)
        following = np.full(n, -1, np.int64)
        for i in range(n):
            cell = int((y[i] - y0) / reach) * nx + int((x[i] - x0) / reach)
            following[i] = head[cell]
            head[cell] = i
        shift[:] = 0
        turn[:] = 0
        hits[:] = 0
        for i in range(n):
            p = particle[i]
            if not free[p]:
                continue
            cx, cy = int((x[i] - x0) / reach), int((y[i] - y0) / reach)
            for gy in range(max(cy - 1, 0), min(cy + 2, ny)):
                for gx in range(max(cx - 1, 0), min(cx + 2, nx)):
                    j = head[gy * nx + gx]
                    while j >= 0:
                        q = particle[j]
                        if q != p and free[q]:
                            dx, dy = x[i] - x[j], y[i] - y[j]
                            d = np.sqrt(dx * dx + dy * dy) + 1e-6
                            touch = contact * (radii[i] + radii[j])
                            gap = d - touch
                            push = 0.0
                            if gap < 0:
                                push = -0.5 * gap
                            elif gap < cohesion * (radii[i] + radii[j]):
                                push = -0.08 * gap
                            if push != 0:
                                fx, fy = push * dx / d, push * dy / d
                                shift[p, 0] += fx
                                shift[p, 1] += fy
                                arm = offsets[i, 0] * fy - offsets[i, 1] * fx
                                turn[p] += arm * radii[i] ** 2 / (inertia[p] + 1e-9)
                                hits[p] += 1
                        j = following[j]
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
def height_map(
    x: Array, y: Array, z: Array, radii: Array, stretch: Array, angle: Array, facets: Array, particle: Array,
    height: Array, cosine: Array, lobe: Array, thickness: Array, covered: Array,
) -> None:  # fmt: skip
    """Draw lobes into ``height``, ``cosine`` (of the surface's tilt), ``lobe`` (index + 1) and ``thickness``.

    A lobe is a superellipsoid: half axes ``radii * stretch`` and ``radii / stretch`` turned by ``angle``, outline
    exponent ``facets`` (2 is an ellipse). ``covered (L,)`` takes its whole projected area, beyond the frame too.
    """
    h, w = height.shape
    owner = np.full((h, w), -1, np.int32)
    depth = np.zeros((h, w), np.float32)
    for i in range(len(x)):
        a, b = radii[i] * stretch[i], radii[i] / stretch[i]
        reach = max(a, b) * 1.2
        c, s = np.cos(angle[i]), np.sin(angle[i])
        n = facets[i]
        rz = min(a, b)
        for row in range(int(np.floor(y[i] - reach)), int(np.ceil(y[i] + reach)) + 1):
            for col in range(int(np.floor(x[i] - reach)), int(np.ceil(x[i] + reach)) + 1):
                dx, dy = col - x[i], row - y[i]
                u, v = abs(c * dx + s * dy) / a, abs(c * dy - s * dx) / b
                q = u * u + v * v if n == 2.0 else (u**n + v**n) ** (2.0 / n)
                if q >= 1.0:
                    continue
                covered[i] += 1
                if row < 0 or row >= h or col < 0 or col >= w:
                    continue
                cos = np.sqrt(1.0 - q)
                t = 2.0 * rz * cos
                if owner[row, col] == particle[i]:
                    if t > depth[row, col]:
                        thickness[row, col] += t - depth[row, col]
                        depth[row, col] = t
                else:
                    owner[row, col] = particle[i]
                    depth[row, col] = t
                    thickness[row, col] += t
                top = z[i] + rz * cos
                if top > height[row, col] or lobe[row, col] == 0:
                    height[row, col] = top
                    cosine[row, col] = cos
                    lobe[row, col] = i + 1
