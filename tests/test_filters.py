"""Filters: what each leaves out, in which order, and that nothing is lost by it."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest
from handmade import discs, result_of, small_result
from hypothesis import given
from hypothesis import strategies as st
from samcolloid_edge import ImageError, Settings
from samcolloid_edge.engine import filters, masks
from samcolloid_edge.engine.types import Area, Result

ROW = [(30, 20 + 30 * i, 4 + i, i) for i in range(8)]
"""Eight discs of growing size, each a set of its own."""


def row(**settings: object) -> Result:
    return result_of(*discs((60, 260), ROW), settings=Settings.from_mapping(settings))


EIGHT = row()


def test_nothing_is_left_out_by_default() -> None:
    result = row()
    assert result.filters == ()
    for table in (result.lobes, result.sets):
        assert table["excluded_by"].tolist() == [""] * 8


def test_what_is_left_out_stays_in_the_table_and_the_label_image_but_in_no_set() -> None:
    result = row(min_diameter=25.0)
    small = result.lobes["equivalent_diameter_area_nm"] < 25
    assert 0 < small.sum() < 8
    assert (result.lobes["excluded_by"] == np.where(small, "min_diameter", "")).all()
    assert ((result.lobes["set"] == 0) == small).all()
    assert (result.lobes["lobe"][small] == "").all()
    assert result.sets.n_rows == 8 - small.sum()
    assert np.unique(result.masks.labels()).tolist() == list(range(9))


@pytest.mark.parametrize(("setting", "column", "unit"), [
    ("min_area", "area", "px²"), ("max_area", "area", "px²"), ("min_circularity", "circularity", ""),
    ("min_diameter", "equivalent_diameter_area_nm", "nm"), ("max_diameter", "equivalent_diameter_area_nm", "nm"),
])  # fmt: skip
def test_a_bound_itself_still_counts(setting: str, column: str, unit: str) -> None:
    values = row().lobes[column]
    bound = values[3].item()
    result = row(**{setting: bound})
    outside = values > bound if setting.startswith("max") else values < bound
    assert outside.any()
    assert ((result.lobes["excluded_by"] == setting) == outside).all()
    (applied,) = result.filters
    assert (applied.name, applied.quantity, applied.unit, applied.threshold) == (setting, column, unit, bound)
    assert (applied.lobes_before, applied.lobes_excluded) == (8, outside.sum())


def test_the_filter_that_comes_first_is_the_one_named() -> None:
    result = row(min_area=100, min_diameter=20.0, border=20)
    names = result.lobes["excluded_by"].tolist()
    assert names[0] == "border"  # it is small as well
    assert set(names) == {"border", "min_area", ""}
    assert [f.name for f in result.filters] == ["border", "min_area", "min_diameter"]
    assert [f.lobes_before for f in result.filters] == [8, 8 - names.count("border"), names.count("")]


def test_a_trim_takes_the_ends_of_what_the_filters_before_it_left() -> None:
    result = row(trim_area_first=0.2, trim_area_last=0.2)
    assert result.lobes["excluded_by"].tolist() == [
        "trim_area_first", "trim_area_first", "trim_area_last", "", "", "trim_area_last",
        "trim_area_first", "trim_area_first",
    ]  # fmt: skip
    first, last = result.filters
    area = result.lobes["area"]
    assert (first.low, first.high) == tuple(np.quantile(area, (0.2, 0.8)))
    assert (last.low, last.high) == tuple(np.quantile(area[2:6], (0.2, 0.8)))
    assert first.strict and last.strict


@pytest.mark.parametrize("n", [0, 1, 2])
def test_every_filter_takes_few_lobes_and_none(n: int) -> None:
    everything = Settings(
        min_circularity=0.1, min_contour_circularity=0.1, trim_area_first=0.05, border=1, min_area=1, max_area=9999,
        min_diameter=1.0, max_diameter=999.0, trim_area_last=0.05, roi=(0, 0, 60, 260),
    )  # fmt: skip
    result = result_of(*discs((60, 260), ROW[:n]), settings=everything)
    assert len(result.filters) == 10
    assert result.lobes["excluded_by"].tolist() == ["trim_area_first"] * n  # nothing lies between its own ends
    assert result.lobes["excluded_by"].dtype == result.sets["excluded_by"].dtype == filters.EXCLUDED_BY.dtype


def test_the_border_is_that_of_the_analysed_area() -> None:
    lobes = [(30, 30, 5, 0), (30, 60, 5, 1)]
    result = result_of(*discs((60, 100), lobes), bar=15, settings=Settings(border=10))
    assert (result.lobes["excluded_by"] == "border").all()  # rows 25 to 35, and the bar begins at 45: 9 px
    result = result_of(*discs((60, 100), lobes), bar=15, settings=Settings(border=9))
    assert (result.lobes["excluded_by"] == "").all()


def test_a_region_counts_centroids_and_cuts_no_particle() -> None:
    # The dumbbell's lobes have their centroids at columns 60 and 84, its own at about 67.
    result = small_result(settings=Settings(roi=(60, 70, 120, 110)))
    assert result.lobes["excluded_by"].tolist() == ["roi"] * 4 + [""]
    assert result.lobes["set"].tolist() == [1, 1, 1, 2, 2]
    assert result.sets["lobes"].tolist() == [3, 2]
    assert result.sets["excluded_by"].tolist() == ["roi", "roi"]
    assert small_result(settings=Settings(roi=(60, 60, 120, 70))).sets["excluded_by"].tolist() == ["roi", ""]


@given(st.integers(1, 59), st.integers(1, 259))
def test_regions_that_tile_the_image_count_every_lobe_once(cut_row: int, cut_col: int) -> None:
    tiles = [(r0, c0, r1, c1) for r0, r1 in ((0, cut_row), (cut_row, 60)) for c0, c1 in ((0, cut_col), (cut_col, 260))]
    counted, frame = np.zeros(8), EIGHT.micrograph.area
    for tile in tiles:
        lobes, sets, _ = filters.after_grouping(EIGHT.lobes, EIGHT.sets, frame, np.full(8, ""), Settings(roi=tile))
        assert (lobes["excluded_by"] == sets["excluded_by"]).all()
        counted += lobes["excluded_by"] == ""
    assert (counted == 1).all()


def test_a_diameter_in_nm_needs_a_pixel_size_and_a_region_needs_to_be_in_the_image() -> None:
    unscaled = small_result(pixel_size=None, source="a.tif").micrograph
    for settings in (Settings(min_diameter=10.0), Settings(max_diameter=10.0)):
        with pytest.raises(ImageError, match=r"a\.tif: m.._diameter is in nm, but the pixel size is unknown"):
            filters.check(unscaled, settings)
    filters.check(unscaled, Settings(min_area=10, roi=(100, 100, 200, 200)))
    below = replace(unscaled, area=Area(0, 0, 100, 110))
    with pytest.raises(ImageError, match=r"a\.tif: .*100,100,200,200 px lies outside .*rows 0 to 100"):
        filters.check(below, Settings(roi=(100, 100, 200, 200)))


def test_circularity_by_contour_points_is_that_of_the_paper() -> None:
    block, ring, line = np.zeros((3, 40, 40), np.int32)
    block[5:15, 5:25] = ring[5:15, 5:25] = line[5, 5:25] = 1
    ring[8:12, 8:22] = 0
    one = np.ones(1, np.float32)
    values = [filters.contour_circularity(masks.from_labels(image, one, one))[0] for image in (block, ring, line)]
    # A hole has no part in the contour, and a line's goes there and back.
    np.testing.assert_allclose(values, [4 * math.pi * n / p**2 for n, p in ((200, 56), (144, 56), (20, 38))])


def test_the_published_preset_applies_the_papers_filters_in_its_order() -> None:
    settings = Settings.preset("published")
    result = result_of(*discs((60, 260), ROW), settings=settings)
    assert [(f.name, f.threshold) for f in result.filters] == [
        ("min_contour_circularity", 0.35), ("trim_area_first", 0.05), ("border", 40), ("min_area", 301),
        ("max_area", 9999), ("trim_area_last", 0.05),
    ]  # fmt: skip
