"""Roles of lobes in their sets, and the geometry of the sets."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from samcolloid_edge.engine.measure import measure
from samcolloid_edge.engine.set_table import SET_COLUMNS, roles, sets, with_sets
from samcolloid_edge.engine.table import Table
from samcolloid_edge.engine.types import Area, Micrograph

Array = NDArray[Any]


def discs(circles: Sequence[tuple[float, float, float]], pixel_size: float | None = None) -> Table:
    """The lobe table of discs (row, col, radius) that do not overlap, on 120 × 200 px."""
    labels = np.zeros((120, 200), np.int32)
    rows, cols = np.ogrid[:120, :200]
    for i, (row, col, radius) in enumerate(circles):
        labels[(rows - row) ** 2 + (cols - col) ** 2 <= radius**2] = i + 1
    pixels, scores = np.zeros(labels.shape, np.uint8), np.ones(len(circles), np.float32)
    micrograph = Micrograph(pixels, "array", "", pixel_size, "none", Area(0, 0, 120, 200))
    return measure(labels, micrograph, scores, scores)


SCENE = [(30, 30, 10), (30, 51, 8), (80, 40, 6), (80, 55, 7), (96, 55, 8), (60, 150, 9), (6, 100, 7)]
SET_OF = np.array([2, 2, 0, 0, 0, -1, 1], np.int32)
"""A dumbbell (2), a right-angled trimer (0), a lobe in no set and a sphere at the edge (1)."""


def scene(pixel_size: float | None = None) -> tuple[Table, NDArray[np.str_]]:
    lobes = discs(SCENE, pixel_size)
    centroids = np.column_stack((lobes["centroid-0"], lobes["centroid-1"]))
    return lobes, roles(SET_OF, centroids, lobes["area"])


def test_lobes_are_named_as_in_the_paper() -> None:
    assert scene()[1].tolist() == ["large", "small", "c", "b", "a", "", "sphere"]


def test_equal_lobes_are_named_by_where_they_lie() -> None:
    pair = roles(np.zeros(2, np.int32), np.array([[9.0, 4.0], [9.0, 3.0]]), np.array([50, 50]))
    assert pair.tolist() == ["small", "large"]
    centroids = np.array([[4.0, 8.0], [4.0, 2.0], [4.0, 5.0]])
    assert roles(np.zeros(3, np.int32), centroids, np.array([50, 50, 99])).tolist() == ["c", "a", "b"]


def test_equal_angles_make_the_first_lobe_the_middle_one() -> None:
    right = np.array([[0.0, 0.0], [0.0, 2.0], [2.0, 0.0], [2.0, 2.0]])
    at_one_point = roles(np.zeros(3, np.int32), np.zeros((3, 2)), np.array([3, 2, 1]))
    assert sorted(at_one_point.tolist()) == ["a", "b", "c"]
    assert roles(np.zeros(3, np.int32), right[[3, 1, 2]], np.array([5, 9, 7])).tolist() == ["b", "a", "c"]


def test_longer_chains_are_lettered_by_falling_area() -> None:
    n = 30
    names = roles(np.zeros(n, np.int32), np.arange(2.0 * n).reshape(n, 2), np.arange(n))
    assert names[::-1].tolist()[:4] == ["a", "b", "c", "d"]
    assert names[::-1].tolist()[25:28] == ["z", "aa", "ab"]


def test_a_dumbbell_has_two_diameters_and_a_distance() -> None:
    lobes, names = scene()
    row = {name: column[2] for name, column in sets(lobes, SET_OF, names, None).items()}
    assert (row["set"], row["lobes"], row["kind"]) == (3, 2, "dumbbell")
    assert row["diameter_large"] == lobes["equivalent_diameter_area"][0]
    assert row["diameter_small"] == lobes["equivalent_diameter_area"][1]
    assert row["distance"] == pytest.approx(21)
    assert row["area"] == lobes["area"][:2].sum()
    assert row["equivalent_diameter_area"] == pytest.approx(math.sqrt(4 * row["area"] / math.pi))
    assert row["centroid-0"] == pytest.approx(30)
    assert row["centroid-1"] == pytest.approx((30 * lobes["area"][0] + 51 * lobes["area"][1]) / row["area"])
    assert all(math.isnan(row[name]) for name in ("diameter_a", "diameter_b", "diameter_c", "distance_ab",
                                                  "distance_bc", "angle_max"))


def test_a_trimer_has_three_diameters_two_distances_and_an_angle() -> None:
    lobes, names = scene()
    row = {name: column[0] for name, column in sets(lobes, SET_OF, names, None).items()}
    assert (row["set"], row["lobes"], row["kind"]) == (1, 3, "trimer")
    diameters = [row[f"diameter_{role}"] for role in "abc"]
    assert diameters == lobes["equivalent_diameter_area"][[4, 3, 2]].tolist()
    assert (row["distance_ab"], row["distance_bc"], row["angle_max"]) == pytest.approx((16, 15, 90))
    assert math.isnan(row["distance"]) and math.isnan(row["diameter_large"])


def test_a_straight_trimer_has_an_angle_of_180_degrees() -> None:
    lobes = discs([(50, 30, 9), (50, 50, 9), (50, 70, 9)])
    one = np.zeros(3, np.int32)
    names = roles(one, np.column_stack((lobes["centroid-0"], lobes["centroid-1"])), lobes["area"])
    assert names.tolist() == ["a", "b", "c"]
    assert sets(lobes, one, names, None)["angle_max"][0] == pytest.approx(180)


def test_longer_chains_have_a_size_and_a_place_only() -> None:
    lobes = discs([(20 + 20 * k, 60, 8) for k in range(4)])
    row = sets(lobes, np.zeros(4, np.int32), np.array(list("abcd")), None)
    assert row["kind"].tolist() == ["chain"] and row["lobes"].tolist() == [4]
    assert row["area"][0] == lobes["area"].sum()
    assert np.isnan([row[name][0] for name in ("diameter_large", "diameter_a", "distance", "distance_ab",
                                               "angle_max")]).all()


def test_a_set_touches_the_edge_where_a_lobe_does() -> None:
    lobes = discs([(60, 7, 8), (60, 25, 8), (60, 150, 8)])
    table = sets(lobes, np.array([0, 0, 1], np.int32), np.array(["large", "small", "sphere"]), None)
    assert table["touches_edge"].tolist() == [True, False]
    assert table["kind"].tolist() == ["dumbbell", "sphere"]


def test_a_known_scale_adds_the_same_lengths_in_nm() -> None:
    lobes, names = scene(4.0)
    table = sets(lobes, SET_OF, names, 4.0)
    assert table["distance_nm"][2] == 4 * table["distance"][2] and table.units["distance_nm"] == "nm"
    assert table["area_nm2"][0] == 16 * table["area"][0] and table.units["area_nm2"] == "nm²"
    assert not [name for name in table if name.startswith(("angle", "centroid")) and "_nm" in name]
    assert not [name for name in sets(lobes, SET_OF, names, None) if "_nm" in name]


def test_no_sets_make_an_empty_typed_table() -> None:
    none = np.empty(0, np.int32)
    lobes = discs([])
    for of, table in ((none, lobes), (np.full(1, -1, np.int32), discs([(50, 50, 9)]))):
        empty = sets(table, of, roles(of, np.zeros((len(of), 2)), np.zeros(len(of))), None)
        assert empty.n_rows == 0 and list(empty) == [c.name for c in SET_COLUMNS]
        assert [empty[c.name].dtype for c in SET_COLUMNS] == [np.dtype(c.dtype) for c in SET_COLUMNS]
        assert [empty.units[c.name] for c in SET_COLUMNS] == [c.unit for c in SET_COLUMNS]


def test_the_lobe_table_names_set_and_role_after_the_label() -> None:
    lobes, names = scene(4.0)
    table = with_sets(lobes, SET_OF, names)
    assert list(table)[:4] == ["label", "set", "lobe", "area"]
    assert table["set"].tolist() == [3, 3, 1, 1, 1, 0, 2] and table["set"].dtype == np.int32
    assert table["lobe"].tolist() == names.tolist()
    assert list(table)[3:] == list(lobes)[1:] and "set" not in lobes
    assert with_sets(discs([]), np.empty(0, np.int32), np.empty(0, "<U6")).n_rows == 0


def test_sets_tell_their_fusion_ratios_and_shape() -> None:
    lobes, names = scene()
    table = sets(lobes, SET_OF, names, None)
    d = lobes["equivalent_diameter_area"]
    assert table["fusion"][2] == pytest.approx(1 - 2 * 21 / (d[0] + d[1]))
    assert table["fusion"][0] == pytest.approx(1 - 16 / (d[4] + d[3]) - 15 / (d[3] + d[2]))
    assert table["ratio_small_large"][2] == d[1] / d[0]
    assert (table["ratio_ba"][0], table["ratio_ca"][0]) == (d[3] / d[4], d[2] / d[4])
    assert table["distance_ac"][0] == pytest.approx(math.hypot(16, 15))
    assert table["shape"].tolist() == ["triangular", "", ""]
    assert math.isnan(table["fusion"][1]) and math.isnan(table["ratio_ba"][2])


def test_what_the_grouping_tells_stands_in_the_table() -> None:
    lobes, names = scene(4.0)
    plain = sets(lobes, SET_OF, names, 4.0)
    assert plain["complete"].all() and np.isnan(plain["confidence"]).all() and (plain["cluster"] == 0).all()
    more = {"confidence": np.array([0.9, 0.5, 0.7]), "incomplete": np.array(["", "edge", ""]),
            "feret_diameter_max": np.array([1.0, 2.0, 3.0])}
    table = sets(lobes, SET_OF, names, 4.0, more)
    assert table["confidence"].tolist() == [0.9, 0.5, 0.7] and table["complete"].tolist() == [True, False, True]
    assert table["feret_diameter_max_nm"].tolist() == [4.0, 8.0, 12.0]
