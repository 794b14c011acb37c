"""What statistics describe: the quantities of lobes and sets, their weightings, and the columns of the table."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

import numpy as np

from .set_table import SET_COLUMNS

QUANTILES: Final = {"d10": 0.1, "d50": 0.5, "d90": 0.9}
WEIGHTINGS: Final = {"number": 0, "area": 2, "volume": 3}
"""Powers of the diameter by which a particle is weighted (ISO 9276-2)."""
DIAMETERS: Final = ("equivalent_diameter_area", "equivalent_diameter_area_subpixel")
"""Of lobes these are weighted by area and volume too, as those of spheres."""
NUMBER_DENSITY: Final = "number_density"
AREA_FRACTION: Final = "area_fraction"
ALWAYS: Final = (DIAMETERS[0], NUMBER_DENSITY, AREA_FRACTION)
"""What is told of all lobes and of all sets where there is none, too."""
_SHAPES: Final = ("circularity", "circularity_subpixel", "aspect_ratio", "roundness", "solidity",
                  "convexity")  # fmt: skip
_SIZES: Final = (
    *DIAMETERS, "area", "area_subpixel", "perimeter", "perimeter_subpixel", "axis_major_length", "axis_minor_length",
    "feret_diameter_max", "feret_diameter_max_subpixel", "feret_diameter_min", "feret_diameter_min_subpixel",
)  # fmt: skip
QUANTITIES: Final = {
    "lobes": (*_SIZES, *_SHAPES),
    "sets": tuple(c.name for c in SET_COLUMNS if c.unit in ("px", "px²", "°", "") and np.dtype(c.dtype).kind in "if"
                  and not c.name.startswith(("set", "lobes", "centroid", "bbox", "diameter_", "cluster",
                                             "confidence"))),
}
"""Columns that are described where a table has them, in nm and nm² where the scale is known."""
WITH_UNIT: Final = ("mean", "sd", *QUANTILES, "geometric_mean")
"""Statistics that the uncertainty of the scale concerns."""
STATISTICS: Final = ("mean", "sd", "cv", *QUANTILES, "geometric_mean", "geometric_sd")


def _columns() -> Iterator[tuple[str, type]]:
    yield from ((name, np.str_) for name in ("table", "group", "quantity", "weighting", "unit"))
    yield from ((name, np.int64) for name in ("images", "n"))
    for name in STATISTICS:
        ends = ("", "_low", "_high", *(("_combined_low", "_combined_high") if name in WITH_UNIT else ()))
        yield from ((name + end, np.float64) for end in ends)
    yield "scale_relative", np.float64


COLUMNS: Final = dict(_columns())
"""Of the table of statistics, with their dtypes."""
