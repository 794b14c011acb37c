"""Where to ask: point grids and crops as SAM's automatic mask generator lays them, and in what order."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from .types import F32, I64, Area


def point_grid(n: int) -> NDArray[np.float64]:
    """(n², 2) float64 (x, y) in 0–1, row by row, half a step from the border: SAM's ``build_point_grid``."""
    return _lattice(n, n)


def grid(area: Area, points_per_side: int | tuple[int, int]) -> F32:
    """(N, 2) float32 (x, y), image px: SAM's grid laid over an area, row by row.

    ``points_per_side`` is one number for both sides, or (columns, rows).
    """
    if isinstance(points_per_side, int):
        points_per_side = (points_per_side, points_per_side)
    height, width = area.shape
    points = _lattice(*points_per_side) * (width, height) + (area.col0, area.row0)
    return points.astype(np.float32)


def spaced_grid(area: Area, spacing: float) -> tuple[F32, tuple[int, int]]:
    """The coarsest grid over an area whose points are at most ``spacing`` px apart, in x and in y.

    Returns the points (rows × columns, 2) float32 (x, y), image px, row by row, and (rows, columns), each at
    least 1.
    """
    rows, columns = (max(1, math.ceil(side / spacing)) for side in area.shape)
    return grid(area, (columns, rows)), (rows, columns)


def crop_areas(area: Area, n_layers: int, overlap_ratio: float) -> list[tuple[Area, int]]:
    """The area itself (layer 0), then the crops of each layer: SAM's ``generate_crop_boxes`` inside an area.

    Layer i has 2^i × 2^i crops, column by column; neighbours overlap by ``overlap_ratio`` × the short side in
    the first layer, by half of that in the next. Crops that would be empty in a tiny area are left out.
    """
    height, width = area.shape
    areas = [(area, 0)]
    for layer in range(1, n_layers + 1):
        n = 2**layer
        overlap = int(overlap_ratio * min(height, width) * (2 / n))
        crop_width, crop_height = (math.ceil((overlap * (n - 1) + side) / n) for side in (width, height))
        for column in range(n):
            for row in range(n):
                x0, y0 = (crop_width - overlap) * column, (crop_height - overlap) * row
                x1, y1 = min(x0 + crop_width, width), min(y0 + crop_height, height)
                if x0 < x1 and y0 < y1:
                    crop = Area(area.row0 + y0, area.col0 + x0, area.row0 + y1, area.col0 + x1)
                    areas.append((crop, layer))
    return areas


def waves(rows: int, columns: int, levels: int = 3) -> list[I64]:
    """A lattice's points from coarse to fine: ``levels`` arrays of row-major indices, int64, each point once.

    With 3 levels: every 4th point in both directions, then what is left of every 2nd, then the rest. The
    coarse lattices lie centred and inside each other; a wave can be empty where the lattice is small.
    """
    step = 2 ** (levels - 1)
    row_start, column_start = ((n - 1) % step // 2 for n in (rows, columns))
    row, column = np.divmod(np.arange(rows * columns, dtype=np.int64), columns)
    level = np.full(rows * columns, levels - 1)
    for k in reversed(range(levels - 1)):
        stride = step >> k
        level[((row - row_start) % stride == 0) & ((column - column_start) % stride == 0)] = k
    return [np.flatnonzero(level == k).astype(np.int64) for k in range(levels)]


def _lattice(columns: int, rows: int) -> NDArray[np.float64]:
    """(rows × columns, 2) float64 (x, y) in 0–1, row by row, half a step from the border."""
    x, y = ((np.arange(n) + 0.5) / n for n in (columns, rows))
    return np.stack(np.meshgrid(x, y), -1).reshape(-1, 2)
