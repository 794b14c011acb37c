"""ImageJ's columns with ImageJ's definitions: what its particle analyser tells of the same pixels."""

from __future__ import annotations

import math

import numpy as np

from . import kernels_polygon
from .lobes import F64, Lobes, Values, ratio
from .outline import Outlines
from .types import I64


def columns(lobes: Lobes) -> Values:
    """The columns of the group ``imagej``; lengths in px, which ImageJ has in the unit of its scale."""
    area, (row0, col0, row1, col1) = lobes.area, lobes.boxes.T.astype(np.int64)
    corners, ends = _corners(lobes.outlines)
    perimeter = kernels_polygon.traced_lengths(corners, ends)
    hull = kernels_polygon.calipers(corners, ends)
    mean, least, greatest, variance, third, fourth = lobes.grey.T
    weight, row, col = lobes.weighted.T
    major, minor, angle = _ellipse(lobes.sums)
    return {
        "Area": area,
        "Mean": mean,
        "StdDev": np.sqrt(variance * area / np.maximum(area - 1, 1)),
        "Min": least,
        "Max": greatest,
        "X": lobes.centroids[:, 1] + 0.5,
        "Y": lobes.centroids[:, 0] + 0.5,
        "XM": ratio(col, weight) + col0 + 0.5,
        "YM": ratio(row, weight) + row0 + 0.5,
        "Perim.": perimeter,
        "BX": col0,
        "BY": row0,
        "Width": col1 - col0,
        "Height": row1 - row0,
        "Major": major,
        "Minor": minor,
        "Angle": angle,
        "Circ.": np.minimum(4 * math.pi * area / perimeter**2, 1),
        "Feret": hull[:, 2],
        "IntDen": area * mean,
        "Median": lobes.medians[:, 1],
        "Skew": ratio(third, variance**1.5),
        "Kurt": ratio(fourth, variance**2) - 3,
        "RawIntDen": area * mean,
        "FeretX": hull[:, 3],
        "FeretY": hull[:, 4],
        "FeretAngle": np.degrees(np.arctan2(hull[:, 4] - hull[:, 6], hull[:, 5] - hull[:, 3])) % 180,
        "MinFeret": hull[:, 7],
        "AR": major / minor,
        "Round": 4 * area / (math.pi * major**2),
        "Solidity": area / hull[:, 0],
    }


def _corners(outlines: Outlines) -> tuple[F64, I64]:
    """Corners (K, 2) (x, y) px of the lines round the pixels, and where those of each lobe begin (N + 1,).

    In the order of ImageJ's wand: clockwise from the right end of the first row, that corner last.
    """
    points, after = outlines.points, outlines.next
    level = points[:, 1] % 1 == 0
    turns = level != level[after]
    x = np.where(level, points[after, 0], points[:, 0])
    y = np.where(level, points[:, 1], points[after, 1])
    corners = np.stack([x, y], 1)[turns]
    owner = np.repeat(np.arange(len(outlines)), np.diff(outlines.offsets))[turns]
    ends = np.concatenate([np.zeros(1, np.int64), np.cumsum(np.bincount(owner, minlength=len(outlines)))])
    second = np.arange(len(corners)) + 1
    second[ends[1:] - 1] = ends[:-1]
    return corners[second], ends


def _ellipse(sums: I64) -> tuple[F64, F64, F64]:
    """Axes (px) and angle (°) of the ellipse of the same area and ratio of second moments, pixels being squares.

    ``sums`` (N, 6) int64: count, Σr, Σc, Σr², Σc², Σrc. ImageJ's EllipseFitter (after B. Rodieck).
    """
    area, r, c, rr, cc, rc = sums.T.astype(np.float64)
    row, col = r / area, c / area
    var_y, var_x = rr / area - row**2 + 1 / 12, cc / area - col**2 + 1 / 12
    cov = rc / area - row * col
    spread = np.hypot((var_x - var_y) / 2, cov)
    large, small = (var_x + var_y) / 2 + spread, (var_x + var_y) / 2 - spread
    side = 2 * np.sqrt(area / math.pi)
    stretch = (large / small) ** 0.25
    # Rows count downwards, angles upwards.
    return side * stretch, side / stretch, np.degrees(np.arctan2(-2 * cov, var_x - var_y) / 2) % 180
