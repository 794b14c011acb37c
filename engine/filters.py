"""Which lobes and sets count: named filters, each with its unit and threshold. Without settings nothing is left out.

What a filter leaves out stays in tables, masks and label image; the column ``excluded_by`` names the filter.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any, Final

import cv2
import numpy as np
from numpy.typing import NDArray

from ..models.errors import ImageError
from . import edge
from .columns import Column, build_table
from .settings import Settings
from .table import Table
from .types import Area, Bool, Filter, Masks, Micrograph

F64 = NDArray[np.float64]
Names = NDArray[np.str_]
Values = Callable[[Table, Masks, Micrograph], F64]

EXCLUDED_BY: Final = Column("excluded_by", "<U24", "", "name of the filter that leaves it out; empty where it counts",
                            "samcolloid-edge")  # fmt: skip
EDGE_WEIGHT: Final = Column("edge_weight", np.float64, "", "weight in statistics, for those that the edge of the "
                            "analysed area hides; 0 where it touches that edge",
                            "Miles–Lantuéjoul, docs/statistics.md")  # fmt: skip
COUNTING: Final = (EXCLUDED_BY, EDGE_WEIGHT)
"""The columns that say whether a row counts, and how much, at the end of both tables."""


def check(micrograph: Micrograph, settings: Settings) -> None:
    """Raises ImageError where a filter of ``settings`` cannot be applied to ``micrograph``."""
    if micrograph.pixel_size is None:
        for name in ("min_diameter", "max_diameter"):
            if getattr(settings, name) is not None:
                raise ImageError(f"{micrograph.source}: {name} is in nm, but the pixel size is unknown; give it with "
                                 "--pixel-size (nm per px).")  # fmt: skip
    if settings.roi is not None:
        roi, area = Area(*settings.roi), micrograph.area
        if min(roi.row1, area.row1) <= max(roi.row0, area.row0) or min(roi.col1, area.col1) <= max(roi.col0, area.col0):
            raise ImageError(f"{micrograph.source}: the region of interest {','.join(map(str, settings.roi))} px lies "
                             f"outside the analysed area, rows {area.row0} to {area.row1} and columns {area.col0} to "
                             f"{area.col1}.")  # fmt: skip


def before_grouping(
    lobes: Table, masks: Masks, micrograph: Micrograph, settings: Settings
) -> tuple[Names, tuple[Filter, ...]]:
    """(N,) the filter that leaves each lobe out, "" where none does, and the filters in the order they were applied.

    The order is the paper's: circularity, first trim, border, bounds of size, last trim. Each sees what those before
    it have left, so that a trim's quantiles are theirs. Call ``check`` first.
    """
    excluded = np.zeros(lobes.n_rows, EXCLUDED_BY.dtype)
    applied = []
    for asked, values_of in _asked(settings):
        values = values_of(lobes, masks, micrograph)
        left = excluded == ""
        chosen = _trim(asked, values[left]) if asked.name in ("trim_area_first", "trim_area_last") else asked
        out = left & _excludes(chosen, values)
        excluded[out] = asked.name
        applied.append(replace(chosen, lobes_before=int(left.sum()), lobes_excluded=int(out.sum())))
    return excluded, tuple(applied)


def after_grouping(
    lobes: Table, sets: Table, frame: Area, excluded: Names, settings: Settings, applied: tuple[Filter, ...] = ()
) -> tuple[Table, Table, tuple[Filter, ...]]:
    """Both tables with their columns ``COUNTING``, the region of interest applied, and all filters that were.

    A lobe or a set counts where its centroid lies in the region. Particles are whole before it is looked at, so its
    border cuts none, and a lobe outside keeps its set. ``frame`` is the analysed area; ``excluded`` (N,) and
    ``applied`` are from ``before_grouping``.
    """
    of_sets = np.zeros(sets.n_rows, EXCLUDED_BY.dtype)
    roi = None
    if settings.roi is not None:
        roi, left = Area(*settings.roi), excluded == ""
        out = left & ~_inside(lobes, roi)
        excluded = np.where(out, "roi", excluded)
        of_sets[~_inside(sets, roi)] = "roi"
        applied += (Filter("roi", "centroid", "px", settings.roi, lobes_before=int(left.sum()),
                           lobes_excluded=int(out.sum())),)  # fmt: skip
    boxes = np.stack([lobes[f"bbox-{side}"] for side in range(4)], axis=1)
    of_both = []
    for table, names, box in ((lobes, excluded, boxes),
                              (sets, of_sets, edge.boxes_of_sets(boxes, lobes["set"], sets.n_rows))):  # fmt: skip
        centroids = np.stack([table["centroid-0"], table["centroid-1"]], axis=1)
        weight = edge.weights(box, centroids, frame, settings.border or 1, roi)
        if settings.edge_weighting == "none":
            weight = (weight > 0).astype(np.float64)
        of_both.append(with_counting(table, {EXCLUDED_BY.name: names, EDGE_WEIGHT.name: weight}))
    return of_both[0], of_both[1], applied


def with_counting(table: Table, values: dict[str, NDArray[Any]]) -> Table:
    """The table with those of the columns ``COUNTING`` that ``values`` has, new or replaced."""
    columns = build_table((column for column in COUNTING if column.name in values), values, None)
    return Table({**table.columns, **columns.columns}, {**table.units, **columns.units})


def contour_circularity(masks: Masks) -> F64:
    """(N,) 4π area / P² with P the number of points of the outer contours, as Monteiro et al. have it.

    P is what OpenCV's findContours gives with every point of the border kept: fewer than the perimeter is long, as a
    diagonal step counts 1, so a disc reaches about 1.2.
    """
    circularity = np.empty(len(masks))
    for i in range(len(masks)):
        mask = masks.bitmap(i).astype(np.uint8)
        contours, _ = cv2.findContours(mask, cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_NONE)
        circularity[i] = 4 * math.pi * int(mask.sum()) / sum(map(len, contours)) ** 2
    return circularity


def _asked(settings: Settings) -> Iterator[tuple[Filter, Values]]:
    """The filters of ``settings`` that look at lobes alone, in their order, and what they look at."""
    def column(name: str) -> Values:
        return lambda lobes, _masks, _micrograph: np.asarray(lobes[name], np.float64)

    area, diameter = "area", "equivalent_diameter_area_nm"
    filters: tuple[tuple[str, str, str, Values], ...] = (
        ("min_circularity", "circularity", "", column("circularity")),
        ("min_contour_circularity", "4π area / (number of contour points)²", "",
         lambda _lobes, masks, _micrograph: contour_circularity(masks)),
        ("trim_area_first", area, "px²", column(area)),
        ("border", "distance of the bounding box from the edge of the analysed area", "px", _distance_from_edge),
        ("min_area", area, "px²", column(area)),
        ("max_area", area, "px²", column(area)),
        ("min_diameter", diameter, "nm", column(diameter)),
        ("max_diameter", diameter, "nm", column(diameter)),
        ("trim_area_last", area, "px²", column(area)),
    )
    for name, quantity, unit, values in filters:
        threshold = getattr(settings, name)
        if threshold is not None:
            bound = {"high" if name.startswith("max") else "low": threshold}
            yield Filter(name, quantity, unit, threshold, **bound), values


def _excludes(chosen: Filter, values: F64) -> Bool:
    """(N,) bool: which values do not count; what is not defined (NaN) does."""
    low = -math.inf if chosen.low is None else chosen.low
    high = math.inf if chosen.high is None else chosen.high
    outside: Bool = (values <= low) | (values >= high) if chosen.strict else (values < low) | (values > high)
    return outside


def _trim(asked: Filter, values: F64) -> Filter:
    """The filter with the quantiles that it trims at; everything lies between them where there are no values."""
    share = float(np.asarray(asked.threshold))
    if not len(values):
        return replace(asked, low=None)
    low, high = np.quantile(values, (share, 1 - share))
    return replace(asked, low=float(low), high=float(high), strict=True)


def _distance_from_edge(lobes: Table, _masks: Masks, micrograph: Micrograph) -> F64:
    """(N,) px between the box of each lobe and the nearest edge of the analysed area; 0 where it touches."""
    area = micrograph.area
    sides = (lobes["bbox-0"] - area.row0, lobes["bbox-1"] - area.col0,
             area.row1 - lobes["bbox-2"], area.col1 - lobes["bbox-3"])  # fmt: skip
    distance: F64 = np.minimum.reduce(sides).astype(np.float64)
    return distance


def _inside(table: Table, roi: Area) -> Bool:
    """(N,) bool: the centroid lies in the region; a pixel reaches half a pixel from its centre to all sides."""
    row, col = table["centroid-0"] + 0.5, table["centroid-1"] + 0.5
    inside: Bool = (row >= roi.row0) & (row < roi.row1) & (col >= roi.col0) & (col < roi.col1)
    return inside
