"""Every column of the lobe table: its name, type, unit, definition and source; the docs are made from this."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final, Literal

import numpy as np
from numpy.typing import DTypeLike, NDArray

from .settings import Columns
from .table import Table

Suffix = Literal["", "_nm", "_nm2"]
NEAR: Final = 1
"""The background of a lobe begins further away than this, px: closer by, its edge is blurred …"""
FAR: Final = 5
"""… and ends here, px."""

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
    suffix: Suffix = ""
    """Of the column that repeats it in nm or nm² where the scale is known; "" where none does."""
    group: Literal["standard", "skimage", "imagej"] = "standard"
    """Written always, or only where scikit-image's or ImageJ's columns are asked for."""

    def scaled(self) -> Column:
        """The column that repeats this one in nm or nm²."""
        unit = _NM_UNIT[self.suffix]
        name, definition = self.name + self.suffix, f"{self.name} in {unit}"
        return Column(name, np.float64, unit, definition, self.source, group=self.group)


_SKIMAGE: Final = "scikit-image regionprops"
_HERE: Final = "samcolloid-edge"
_IMAGEJ: Final = "ImageJ, Analyze › Set Measurements"
_SAM: Final = "Kirillov et al., Segment Anything (2023)"
_ISO: Final = "ISO 9276-6"
_OUTLINE: Final = "the outline (zero line of the model's logits, moved by its calibration and the edges' grey profile)"

SET_MEMBERSHIP: Final[tuple[Column, ...]] = (
    Column("set", np.int32, "", "number of the set the lobe belongs to, from 1; 0 in no set", _HERE),
    Column("lobe", "<U6", "", "role of the lobe in its set; empty in no set",
           "Monteiro et al., Sci. Rep. 15, 2341 (2025)"),
)
"""The columns that ``set_table.with_sets`` adds after ``label``."""

_STANDARD: Final[tuple[Column, ...]] = (
    Column("label", np.int32, "", "value of the lobe's pixels in the label image", _SKIMAGE),
    *SET_MEMBERSHIP,
    Column("area", np.int64, "px²", "number of pixels", _SKIMAGE, "_nm2"),
    Column("area_subpixel", np.float64, "px²", f"area within {_OUTLINE}", _HERE, "_nm2"),
    Column("equivalent_diameter_area", np.float64, "px", "diameter of the circle of the same area", _SKIMAGE, "_nm"),
    Column("equivalent_diameter_area_subpixel", np.float64, "px", "diameter of the circle of area_subpixel", _HERE,
           "_nm"),
    Column("centroid-0", np.float64, "px", "row of the mean pixel centre", _SKIMAGE),
    Column("centroid-1", np.float64, "px", "column of the mean pixel centre", _SKIMAGE),
    Column("centroid-0_subpixel", np.float64, "px", "row of the centroid of what the outline encloses; a pixel's "
           "centre is the whole number", _HERE),
    Column("centroid-1_subpixel", np.float64, "px", "its column", _HERE),
    Column("bbox-0", np.int32, "px", "first row", _SKIMAGE),
    Column("bbox-1", np.int32, "px", "first column", _SKIMAGE),
    Column("bbox-2", np.int32, "px", "row after the last", _SKIMAGE),
    Column("bbox-3", np.int32, "px", "column after the last", _SKIMAGE),
    Column("perimeter", np.float64, "px", "length of the line through the centres of the border pixels, "
           "4-neighbourhood", _SKIMAGE + " (Benkrid and Crookes)", "_nm"),
    Column("perimeter_contour", np.float64, "px", "length of the polygon through the middles of the pixel edges, holes "
           "left out", "scikit-image find_contours at 0.5", "_nm"),
    Column("perimeter_subpixel", np.float64, "px", "length of the outline", _HERE, "_nm"),
    Column("axis_major_length", np.float64, "px", "major axis of the ellipse of the same second moments",
           _SKIMAGE, "_nm"),
    Column("axis_minor_length", np.float64, "px", "minor axis of the ellipse of the same second moments",
           _SKIMAGE, "_nm"),
    Column("orientation", np.float64, "rad", "angle from the row axis to the major axis, counter-clockwise, "
           "-π/2 to π/2", _SKIMAGE),
    Column("eccentricity", np.float64, "", "of the ellipse of the same second moments, 0 for a circle", _SKIMAGE),
    Column("solidity", np.float64, "", "area / area_convex", _SKIMAGE),
    Column("area_convex", np.int64, "px²", "number of pixels of the convex hull", _SKIMAGE, "_nm2"),
    Column("feret_diameter_max", np.float64, "px", "largest distance between two points of the outline of "
           "the convex hull", _SKIMAGE, "_nm"),
    Column("feret_diameter_max_subpixel", np.float64, "px", "largest distance between two points of the outline", _HERE,
           "_nm"),
    Column("feret_diameter_min", np.float64, "px", "least distance of two parallel lines that hold the polygon of "
           "perimeter_contour", _ISO, "_nm"),
    Column("feret_diameter_min_subpixel", np.float64, "px", "least distance of two parallel lines that hold the "
           "outline", _HERE, "_nm"),
    Column("feret_angle_min", np.float64, "rad", "direction in which feret_diameter_min is measured, counted as "
           "orientation is", _HERE),
    Column("circularity", np.float64, "", "4π area / perimeter², perimeter as in its column: may exceed 1 "
           "for small lobes; NaN where the perimeter is 0", "Cox, J. Paleontol. 1, 179 (1927)"),
    Column("circularity_subpixel", np.float64, "", "4π area_subpixel / perimeter_subpixel²: 1 for a circle, less for "
           "everything else", "Cox, J. Paleontol. 1, 179 (1927)"),
    Column("aspect_ratio", np.float64, "", "axis_major_length / axis_minor_length; NaN where the latter is 0", _HERE),
    Column("roundness", np.float64, "", "4 area / (π axis_major_length²); NaN where that is 0", _ISO),
    Column("convexity", np.float64, "", "perimeter of the convex hull of the polygon of perimeter_contour / "
           "perimeter_contour", _ISO),
    Column("intensity_mean", np.float64, "grey value", "mean of the file's own pixel values", _SKIMAGE),
    Column("intensity_std", np.float64, "grey value", "standard deviation of the file's own pixel values, by N",
           _SKIMAGE),
    Column("intensity_min", np.float64, "grey value", "least of the file's own pixel values", _SKIMAGE),
    Column("intensity_max", np.float64, "grey value", "greatest of the file's own pixel values", _SKIMAGE),
    Column("background_mean", np.float64, "grey value", f"mean of the pixels of no lobe that are {NEAR + 1} to {FAR} "
           "steps to one of eight neighbours away from the lobe; NaN where there is none", _HERE),
    Column("background_std", np.float64, "grey value", "standard deviation of the same pixels, by N", _HERE),
    Column("contrast", np.float64, "grey value", "intensity_mean − background_mean", _HERE),
    Column("neighbours", np.int32, "", "number of lobes that share a pixel edge with the lobe", _HERE),
    Column("contact_length", np.float64, "px", "length of the part of the polygon of perimeter_contour that has "
           "another lobe on its other side", _HERE, "_nm"),
    Column("circle_diameter", np.float64, "px", "diameter of the circle of least squared distance to those points of "
           "the outline that lie against the background; NaN where fewer than five do", _HERE, "_nm"),
    Column("visible_fraction", np.float64, "", "area_subpixel / area of the circle of circle_diameter: below 1 where "
           "something hides a part of a round lobe", _HERE),
    Column("predicted_iou", np.float32, "", "the model's own estimate of the mask's IoU, 0–1", _SAM),
    Column("stability_score", np.float32, "", "IoU of the mask cut at a raised and at a lowered logit, 0–1", _SAM),
    Column("touches_edge", np.bool_, "", "whether the lobe touches the border of the analysed area", _HERE),
)


def _more(name: str, unit: str, definition: str, suffix: Suffix = "", dtype: DTypeLike = np.float64,
          source: str = _SKIMAGE) -> Column:
    return Column(name, dtype, unit, definition, source, suffix, "skimage")


def _moments() -> Iterator[Column]:
    for p in range(4):
        for q in range(4):
            yield _more(f"moments-{p}-{q}", f"px^{p + q}" if p + q else "", f"Σ r^{p} c^{q} of the pixels, row and "
                        "column from the corner of the box")
    for p in range(4):
        for q in range(4):
            yield _more(f"moments_central-{p}-{q}", f"px^{p + q}" if p + q else "", f"Σ r^{p} c^{q} of the pixels, row "
                        "and column from the centroid")
    for p in range(4):
        for q in range(4):
            yield _more(f"moments_normalized-{p}-{q}", "", f"moments_central-{p}-{q} / area^{(p + q) / 2 + 1:g}"
                        if p + q >= 2 else "NaN: not defined below order 2")
    for k in range(7):
        yield _more(f"moments_hu-{k}", "", f"invariant {k + 1} of Hu, of the normalised central moments")


_MORE: Final[tuple[Column, ...]] = (
    _more("num_pixels", "", "number of pixels", dtype=np.int64),
    _more("area_bbox", "px²", "number of pixels of the box", "_nm2", np.int64),
    _more("area_filled", "px²", "number of pixels of the lobe and of its holes", "_nm2", np.int64),
    _more("extent", "", "area / area_bbox"),
    _more("euler_number", "", "parts less holes, 8-connected", dtype=np.int64),
    _more("perimeter_crofton", "px", "Crofton's formula in four directions", "_nm"),
    _more("circularity_crofton", "", "4π area / perimeter_crofton²", source="Cox, J. Paleontol. 1, 179 (1927)"),
    _more("centroid_local-0", "px", "centroid-0 − bbox-0"),
    _more("centroid_local-1", "px", "centroid-1 − bbox-1"),
    _more("centroid_weighted-0", "px", "row of the mean pixel centre, pixels weighed by their grey value; NaN where "
          "these sum to 0"),
    _more("centroid_weighted-1", "px", "its column"),
    _more("centroid_weighted_local-0", "px", "centroid_weighted-0 − bbox-0"),
    _more("centroid_weighted_local-1", "px", "centroid_weighted-1 − bbox-1"),
    _more("intensity_median", "grey value", "median of the file's own pixel values"),
    _more("inertia_tensor-0-0", "px²", "variance of the columns"),
    _more("inertia_tensor-0-1", "px²", "− covariance of rows and columns"),
    _more("inertia_tensor-1-0", "px²", "the same"),
    _more("inertia_tensor-1-1", "px²", "variance of the rows"),
    _more("inertia_tensor_eigvals-0", "px²", "larger eigenvalue of the inertia tensor"),
    _more("inertia_tensor_eigvals-1", "px²", "smaller eigenvalue of the inertia tensor"),
    *_moments(),
)
"""What else scikit-image knows of a lobe. Its images and coordinates are no columns, and moments weighed by grey values
would say more of the detector's offset than of the lobe."""


def _imagej(name: str, unit: str, definition: str, suffix: Suffix = "", dtype: DTypeLike = np.float64) -> Column:
    return Column(name, dtype, unit, definition, _IMAGEJ, suffix, "imagej")


_IMAGEJ_COLUMNS: Final[tuple[Column, ...]] = (
    _imagej("Area", "px²", "number of pixels", "_nm2"),
    _imagej("Mean", "grey value", "mean of the file's own pixel values"),
    _imagej("StdDev", "grey value", "standard deviation of the file's own pixel values, by N − 1"),
    _imagej("Min", "grey value", "least of the file's own pixel values"),
    _imagej("Max", "grey value", "greatest of the file's own pixel values"),
    _imagej("X", "px", "centroid, from the left edge of the image: a pixel's centre is at 0.5", "_nm"),
    _imagej("Y", "px", "centroid, from the top edge of the image", "_nm"),
    _imagej("XM", "px", "centre of mass, pixels weighed by their grey value; NaN where these sum to 0", "_nm"),
    _imagej("YM", "px", "centre of mass, from the top", "_nm"),
    _imagej("Perim.", "px", "length of the outline traced round the pixels, a corner counted as √2; holes left out",
            "_nm"),
    _imagej("BX", "px", "left edge of the box", "_nm"),
    _imagej("BY", "px", "top edge of the box", "_nm"),
    _imagej("Width", "px", "of the box", "_nm"),
    _imagej("Height", "px", "of the box", "_nm"),
    _imagej("Major", "px", "major axis of the ellipse of the same area and the same ratio of second moments, pixels "
            "being squares", "_nm"),
    _imagej("Minor", "px", "its minor axis", "_nm"),
    _imagej("Angle", "°", "from the x axis to its major axis, counter-clockwise, 0 to 180"),
    _imagej("Circ.", "", "4π Area / Perim.², at most 1"),
    _imagej("Feret", "px", "largest distance of two corners of the outline traced round the pixels", "_nm"),
    _imagej("IntDen", "grey value", "Area × Mean, area in px²"),
    _imagej("Median", "grey value", "median of the file's own pixel values, of an even number the upper of the middle"),
    _imagej("Skew", "", "third moment about the mean / third power of the standard deviation; NaN where that is 0"),
    _imagej("Kurt", "", "fourth moment about the mean / fourth power of the standard deviation − 3"),
    _imagej("RawIntDen", "grey value", "sum of the file's own pixel values"),
    _imagej("FeretX", "px", "x of the left end of Feret", dtype=np.int64),
    _imagej("FeretY", "px", "y of the left end of Feret, of equally long ones of the first found", dtype=np.int64),
    _imagej("FeretAngle", "°", "from the x axis to Feret, counter-clockwise, 0 to 180"),
    _imagej("MinFeret", "px", "least distance of two parallel lines that hold the outline traced round the pixels",
            "_nm"),
    _imagej("AR", "", "Major / Minor"),
    _imagej("Round", "", "4 Area / (π Major²)"),
    _imagej("Solidity", "", "Area / area of the convex hull of the corners of the traced outline"),
)

LOBE_COLUMNS: Final = (*_STANDARD, *_MORE, *_IMAGEJ_COLUMNS)
"""Every column of the lobe table, in its order; ``lobe_columns`` tells which of them a choice of columns holds."""


def lobe_columns(choice: Columns) -> tuple[Column, ...]:
    """The columns of a choice: the standard ones, and those of scikit-image, of ImageJ or of both besides."""
    groups = {"standard", *(("skimage", "imagej") if choice == "all" else (choice,))}
    return tuple(column for column in LOBE_COLUMNS if column.group in groups)


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
