"""Label image → lobe table: what scikit-image's regionprops says of each lobe, and a few columns more.

Moments and hulls are sums of integers, so a column is the same wherever in the image the lobe lies.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Final, Literal

import numpy as np
from numpy.typing import DTypeLike, NDArray

from . import kernels_measure
from .feret import hull_measures
from .types import F32, I32, I64, Micrograph, Table

F64 = NDArray[np.float64]

_NM_POWER: Final = {"": 0, "_nm": 1, "_nm2": 2}
_NM_UNIT: Final = {"_nm": "nm", "_nm2": "nm²"}


@dataclass(frozen=True, slots=True)
class Column:
    """What a column of a table is."""

    name: str
    dtype: DTypeLike
    unit: str
    """"" where it has none."""
    definition: str
    """One line."""
    source: str
    """Where the definition comes from: the scikit-image property, paper or this package."""
    suffix: Literal["", "_nm", "_nm2"] = ""
    """Of the column that repeats it in nm or nm² where the scale is known; "" where none does."""

    def scaled(self) -> Column:
        """The column that repeats this one in nm or nm²."""
        unit = _NM_UNIT[self.suffix]
        return Column(self.name + self.suffix, np.float64, unit, f"{self.name} in {unit}", self.source)


_SKIMAGE: Final = "scikit-image regionprops"
_HERE: Final = "samcolloid-edge"

SET_MEMBERSHIP: Final[tuple[Column, ...]] = (
    Column("set", np.int32, "", "number of the set the lobe belongs to, from 1; 0 in no set", _HERE),
    Column("lobe", "<U6", "", "role of the lobe in its set; empty in no set",
           "Monteiro et al., Sci. Rep. 15, 2341 (2025)"),
)
"""The columns that ``set_table.with_sets`` adds after ``label``."""

LOBE_COLUMNS: Final[tuple[Column, ...]] = (
    Column("label", np.int32, "", "value of the lobe's pixels in the label image", _SKIMAGE),
    *SET_MEMBERSHIP,
    Column("area", np.int64, "px²", "number of pixels", _SKIMAGE, "_nm2"),
    Column("equivalent_diameter_area", np.float64, "px", "diameter of the circle of the same area",
           _SKIMAGE, "_nm"),
    Column("centroid-0", np.float64, "px", "row of the mean pixel centre", _SKIMAGE),
    Column("centroid-1", np.float64, "px", "column of the mean pixel centre", _SKIMAGE),
    Column("bbox-0", np.int32, "px", "first row", _SKIMAGE),
    Column("bbox-1", np.int32, "px", "first column", _SKIMAGE),
    Column("bbox-2", np.int32, "px", "row after the last", _SKIMAGE),
    Column("bbox-3", np.int32, "px", "column after the last", _SKIMAGE),
    Column("perimeter", np.float64, "px", "length of the line through the centres of the border pixels, "
           "4-neighbourhood", _SKIMAGE + " (Benkrid and Crookes)", "_nm"),
    Column("axis_major_length", np.float64, "px", "major axis of the ellipse of the same second moments",
           _SKIMAGE, "_nm"),
    Column("axis_minor_length", np.float64, "px", "minor axis of the ellipse of the same second moments",
           _SKIMAGE, "_nm"),
    Column("orientation", np.float64, "rad", "angle from the row axis to the major axis, counter-clockwise, "
           "-π/2 to π/2", _SKIMAGE),
    Column("eccentricity", np.float64, "", "of the ellipse of the same second moments, 0 for a circle",
           _SKIMAGE),
    Column("solidity", np.float64, "", "area / area_convex", _SKIMAGE),
    Column("area_convex", np.int64, "px²", "number of pixels of the convex hull", _SKIMAGE, "_nm2"),
    Column("feret_diameter_max", np.float64, "px", "largest distance between two points of the outline of "
           "the convex hull", _SKIMAGE, "_nm"),
    Column("circularity", np.float64, "", "4π area / perimeter², perimeter as in its column: may exceed 1 "
           "for small lobes; NaN where the perimeter is 0", "Cox, J. Paleontol. 1, 179 (1927)"),
    Column("aspect_ratio", np.float64, "", "axis_major_length / axis_minor_length; NaN where the latter is 0",
           _HERE),
    Column("intensity_mean", np.float64, "grey value", "mean of the file's own pixel values", _SKIMAGE),
    Column("predicted_iou", np.float32, "", "the model's own estimate of the mask's IoU, 0–1",
           "Kirillov et al., Segment Anything (2023)"),
    Column("stability_score", np.float32, "", "IoU of the mask cut at a raised and at a lowered logit, 0–1",
           "Kirillov et al., Segment Anything (2023)"),
    Column("touches_edge", np.bool_, "", "whether the lobe touches the border of the analysed area", _HERE),
)
"""Every column of the lobe table, in its order."""


def build_table(columns: Iterable[Column], values: Mapping[str, Any], pixel_size: float | None) -> Table:
    """The table of ``columns``, each followed by its twin in nm or nm² where ``pixel_size`` (nm/px) is known.

    ``values`` are arrays of one length by column name; they are cast to the declared dtype.
    """
    table: dict[str, NDArray[Any]] = {}
    units: dict[str, str] = {}
    for column in columns:
        array = np.asarray(values[column.name]).astype(column.dtype)
        table[column.name], units[column.name] = array, column.unit
        if column.suffix and pixel_size is not None:
            twin = column.scaled()
            table[twin.name], units[twin.name] = array * pixel_size ** _NM_POWER[column.suffix], twin.unit
    return Table(table, units)


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
