"""Every column of the lobe table: its name, type, unit, definition and source; the docs are made from this."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Final, Literal

import numpy as np
from numpy.typing import DTypeLike, NDArray

from .types import Table

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
