"""Label image → lobe table: what scikit-image's regionprops says of each lobe, and a few columns more.

Moments and hulls are sums of integers, so a column is the same wherever in the image the lobe lies.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

from . import kernels_measure
from .columns import LOBE_COLUMNS, SET_MEMBERSHIP, build_table
from .feret import hull_measures
from .types import F32, I32, I64, Micrograph, Table

F64 = NDArray[np.float64]

def measure(labels: I32, micrograph: Micrograph, iou: F32, stability: F32) -> Table:
    """The lobe table without its set columns: one row a label, columns as ``LOBE_COLUMNS`` declares them.

    Parameters: ``labels`` (H, W) int32, 0 is background and every label 1..N has pixels; ``micrograph`` of
    the same shape, whose own values give ``intensity_mean``, whose area gives ``touches_edge`` and whose
    pixel size gives the columns in nm; ``iou`` and ``stability`` (N,) float32, of label i + 1.

    Every pixel column is scikit-image's regionprops on the same label image. Where scikit-image's rounding
    leaves a direction to chance (equal second moments), ``orientation`` follows its rule for exact equality.

    Raises ValueError where the arrays do not belong together.
    """
    n = len(iou)
    if labels.shape != micrograph.pixels.shape or len(stability) != n:
        raise ValueError(f"measure: labels {labels.shape}, pixels {micrograph.pixels.shape}, "
                         f"{n} iou and {len(stability)} stability do not belong together")
    if labels.size and not 0 <= labels.min() <= labels.max() <= n:
        raise ValueError(f"measure: labels run from {labels.min()} to {labels.max()} for {n} lobes")
    labels = np.ascontiguousarray(labels, np.int32)
    sums, boxes = kernels_measure.label_sums(labels, n)
    area = sums[:, 0]
    if not area.all():
        raise ValueError(f"measure: label {int(np.argmin(area)) + 1} of {n} has no pixels")
    row0, col0, row1, col1 = np.ascontiguousarray(boxes.T)
    offsets = np.concatenate(([0], np.cumsum(row1 - row0, dtype=np.int64)))
    steps, extents = kernels_measure.outline_sums(labels, row0, offsets, n)
    area_convex, feret_diameter_max = hull_measures(extents, offsets)
    perimeter = steps @ np.array([1, math.sqrt(2), (1 + math.sqrt(2)) / 2])
    major, minor, orientation, eccentricity = _ellipse(sums)
    edge = micrograph.area
    values = {
        "label": np.arange(1, n + 1),
        "area": area,
        "equivalent_diameter_area": np.sqrt(4 * area / math.pi),
        "centroid-0": sums[:, 1] / area,
        "centroid-1": sums[:, 2] / area,
        "bbox-0": row0, "bbox-1": col0, "bbox-2": row1, "bbox-3": col1,
        "perimeter": perimeter,
        "axis_major_length": major,
        "axis_minor_length": minor,
        "orientation": orientation,
        "eccentricity": eccentricity,
        "solidity": area / area_convex,
        "area_convex": area_convex,
        "feret_diameter_max": feret_diameter_max,
        "circularity": _ratio(4 * math.pi * area, perimeter**2),
        "aspect_ratio": _ratio(major, minor),
        "intensity_mean": _intensity_sums(labels, micrograph.pixels, n) / area,
        "predicted_iou": iou,
        "stability_score": stability,
        "touches_edge": (row0 <= edge.row0) | (col0 <= edge.col0) | (row1 >= edge.row1) | (col1 >= edge.col1),
    }
    return build_table((c for c in LOBE_COLUMNS if c not in SET_MEMBERSHIP), values, micrograph.pixel_size)


def _ellipse(sums: I64) -> tuple[F64, F64, F64, F64]:
    """Axis lengths (px), orientation (rad) and eccentricity of the ellipse of the same second moments.

    ``sums`` (N, 6) int64: count, Σr, Σc, Σr², Σc², Σrc. As in scikit-image, an axis is 4 √(eigenvalue of
    the covariance of the pixel centres).
    """
    area, r, c, rr, cc, rc = sums.T
    row, col = r // area, c // area
    r, c, rr, cc, rc = (r - row * area, c - col * area, rr - 2 * row * r + row * row * area,
                        cc - 2 * col * c + col * col * area, rc - row * c - col * r + row * col * area)
    difference = _central(rr - cc, r - c, r + c, area) / area
    var_r, var_c, cov = (_central(*moment, area) / area for moment in ((rr, r, r), (cc, c, c), (rc, r, c)))
    middle, spread = (var_r + var_c) / 2, np.hypot(difference / 2, cov)
    large, small = middle + spread, middle - spread
    small = np.where(small > 1e-14 * large, small, 0.0)  # pixels in one line: nothing but rounding is left
    diagonal = np.where(cov > 0, math.pi / 4, -math.pi / 4)
    orientation = np.where(difference == 0, diagonal, np.arctan2(2 * cov, difference) / 2)
    shape = np.divide(small, large, out=np.ones_like(large), where=large > 0)
    return 4 * np.sqrt(large), 4 * np.sqrt(small), orientation, np.sqrt(1 - shape)


def _central(second: I64, first: I64, other: I64, area: I64) -> F64:
    """second − first · other / area, split into whole and fraction so that a zero is exactly zero."""
    whole, rest = np.divmod(first * other, area)
    return (second - whole) - rest / area


def _ratio(numerator: F64, denominator: F64) -> F64:
    ratio = np.full(len(numerator), np.nan)
    np.divide(numerator, denominator, out=ratio, where=denominator > 0)
    return ratio


def _intensity_sums(labels: I32, pixels: NDArray[Any], n: int) -> F64:
    """(n,) sum of the pixel values of each label; in bands of rows, so that no float copy of all is made."""
    total = np.zeros(n + 1)
    band = max(1, 2**20 // max(1, labels.shape[1]))
    for row in range(0, len(labels), band):
        part = slice(row, row + band)
        total += np.bincount(labels[part].ravel(), weights=pixels[part].ravel(), minlength=n + 1)
    return total[1:]
