"""Label image → lobe table: what scikit-image's regionprops says of each lobe, and a few columns more.

Moments and hulls are sums of integers, so a column is the same wherever in the image the lobe lies.
"""

from __future__ import annotations

import math
from typing import Final

import numpy as np
from numpy.typing import NDArray

from . import imagej, kernels_measure, kernels_measure_grey, kernels_polygon, moments
from .columns import FAR, NEAR, SET_MEMBERSHIP, build_table, lobe_columns
from .feret import hull_measures
from .lobes import Lobes, Values, ratio
from .outline import Outlines
from .settings import Columns
from .table import Table
from .types import F32, I32, I64, Micrograph

F64 = NDArray[np.float64]

def measure(labels: I32, micrograph: Micrograph, iou: F32, stability: F32, outlines: Outlines | None = None,
            columns: Columns = "standard") -> Table:
    """The lobe table without its set columns: one row a label, the columns that ``columns`` names.

    Parameters: ``labels`` (H, W) int32, 0 is background and every label 1..N has pixels; ``micrograph`` of
    the same shape, whose own values give the intensities, whose area gives ``touches_edge`` and whose
    pixel size gives the columns in nm; ``iou`` and ``stability`` (N,) float32, of label i + 1; ``outlines`` of the N
    labels for the columns ``_subpixel``, those of the pixels where they are left out.

    Every pixel column is scikit-image's regionprops on the same label image. Where scikit-image's rounding
    leaves a direction to chance (equal second moments), ``orientation`` follows its rule for exact equality.

    Raises ValueError where the arrays do not belong together.
    """
    n = len(iou)
    if labels.shape != micrograph.pixels.shape or len(stability) != n:
        raise ValueError(f"measure: labels {labels.shape}, pixels {micrograph.pixels.shape}, "
                         f"{n} iou and {len(stability)} stability do not belong together")
    if outlines is not None and len(outlines) != n:
        raise ValueError(f"measure: {len(outlines)} outlines for {n} lobes")
    if labels.size and not 0 <= labels.min() <= labels.max() <= n:
        raise ValueError(f"measure: labels run from {labels.min()} to {labels.max()} for {n} lobes")
    wanted = [column for column in lobe_columns(columns) if column not in SET_MEMBERSHIP]
    groups = {column.group for column in wanted}
    values: Values = {"label": np.arange(1, n + 1), "predicted_iou": iou, "stability_score": stability}
    if outlines is not None:
        values |= _subpixel_columns(outlines)
    for own, row0, lobes in Lobes.in_strips(np.require(labels, np.int32, ["C", "W"]), micrograph, n):
        found = _pixel_columns(lobes) | _grey_columns(lobes) | _outline_columns(lobes)
        if outlines is None:
            found |= _subpixel_columns(lobes.outlines)
        if "skimage" in groups:
            found |= moments.columns(lobes)
        if "imagej" in groups:
            found |= imagej.columns(lobes)
        for name, column in found.items():
            part = column[: len(own)]
            values.setdefault(name, np.zeros(n, part.dtype))[own] = part + row0 if name in _FROM_TOP else part
    return build_table(wanted, values, micrograph.pixel_size)


_FROM_TOP: Final = frozenset(("bbox-0", "bbox-2", "centroid-0", "centroid-0_subpixel", "centroid_weighted-0",
                              "Y", "YM", "BY", "FeretY"))  # fmt: skip
"""Columns that count from the first row of the image."""


def _pixel_columns(lobes: Lobes) -> Values:
    """What pixels alone say."""
    area, (row0, col0, row1, col1) = lobes.area, lobes.boxes.T
    offsets = np.concatenate(([0], np.cumsum(row1 - row0, dtype=np.int64)))
    steps, extents = kernels_measure.outline_sums(lobes.labels, np.ascontiguousarray(row0), offsets, len(area))
    area_convex, feret_diameter_max = hull_measures(extents, offsets)
    perimeter = steps @ np.array([1, math.sqrt(2), (1 + math.sqrt(2)) / 2])
    major, minor, orientation, eccentricity = _ellipse(lobes.sums)
    edge = lobes.micrograph.area
    return {
        "area": area,
        "equivalent_diameter_area": np.sqrt(4 * area / math.pi),
        "centroid-0": lobes.centroids[:, 0],
        "centroid-1": lobes.centroids[:, 1],
        "bbox-0": row0, "bbox-1": col0, "bbox-2": row1, "bbox-3": col1,
        "perimeter": perimeter,
        "axis_major_length": major,
        "axis_minor_length": minor,
        "orientation": orientation,
        "eccentricity": eccentricity,
        "solidity": area / area_convex,
        "area_convex": area_convex,
        "feret_diameter_max": feret_diameter_max,
        "circularity": ratio(4 * math.pi * area, perimeter**2),
        "aspect_ratio": ratio(major, minor),
        "roundness": ratio(4 * area, math.pi * major**2),
        "touches_edge": (row0 <= edge.row0) | (col0 <= edge.col0) | (row1 >= edge.row1) | (col1 >= edge.col1),
    }


def _grey_columns(lobes: Lobes) -> Values:
    """What the file's own values say of the lobes and of the background near them."""
    mean, least, greatest, variance = lobes.grey.T[:4]
    edge = lobes.micrograph.area
    around = kernels_measure_grey.surroundings(
        lobes.labels, lobes.pixels, lobes.boxes, np.array([edge.row0, edge.col0, edge.row1, edge.col1]), NEAR, FAR)
    return {
        "intensity_mean": mean,
        "intensity_std": np.sqrt(variance),
        "intensity_min": least,
        "intensity_max": greatest,
        "background_mean": around[:, 0],
        "background_std": around[:, 1],
        "contrast": mean - around[:, 0],
    }


def _outline_columns(lobes: Lobes) -> Values:
    """What the polygons round the pixels say."""
    outlines = lobes.outlines
    length = kernels_polygon.sums(outlines.points, outlines.offsets)[:, 1]
    hull = kernels_polygon.calipers(outlines.points, outlines.offsets)
    neighbours, contact = _contacts(lobes)
    return {
        "perimeter_contour": length,
        "convexity": ratio(hull[:, 1], length),
        "feret_diameter_min": hull[:, 7],
        "feret_angle_min": np.arctan(ratio(hull[:, 8], hull[:, 9], math.inf)),
        "neighbours": neighbours,
        "contact_length": contact,
    }


def _subpixel_columns(outlines: Outlines) -> Values:
    """What the finer polygons say."""
    area, length, x, y = kernels_polygon.sums(outlines.points, outlines.offsets).T
    hull = kernels_polygon.calipers(outlines.points, outlines.offsets)
    diameter = 2 * kernels_polygon.circles(outlines.points, outlines.offsets, outlines.free)[:, 2]
    return {
        "area_subpixel": area,
        "equivalent_diameter_area_subpixel": np.sqrt(4 * area / math.pi),
        "centroid-0_subpixel": y - 0.5,
        "centroid-1_subpixel": x - 0.5,
        "perimeter_subpixel": length,
        "circularity_subpixel": ratio(4 * math.pi * area, length**2),
        "feret_diameter_max_subpixel": hull[:, 2],
        "feret_diameter_min_subpixel": hull[:, 7],
        "circle_diameter": diameter,
        "visible_fraction": 4 * area / (math.pi * diameter**2),
    }


def _contacts(lobes: Lobes) -> tuple[I64, F64]:
    """(N,) number of touching lobes, and (N,) length of the outline of the pixels that they touch, px."""
    outlines, n = lobes.outlines, len(lobes.area)
    owner = np.repeat(np.arange(n), np.diff(outlines.offsets))
    beyond, after = lobes.beyond, outlines.next
    touching = beyond > 0
    pairs = np.unique(owner[touching] * (n + 1) + beyond[touching])
    sides = np.hypot(*(outlines.points[after] - outlines.points).T)
    # From the middle of one pixel edge to the middle of the next: half of it belongs to either.
    weights = sides * (touching.astype(float) + touching[after]) / 2
    length: F64 = np.bincount(owner, weights, minlength=n).astype(np.float64)
    return np.bincount(pairs // (n + 1), minlength=n).astype(np.int64), length


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
