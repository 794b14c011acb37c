"""Sets as wholes: the union of their lobes, and which of them touch."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
from handmade import discs
from numpy.typing import NDArray
from samcolloid_edge.engine import set_shape
from samcolloid_edge.engine.measure import measure
from samcolloid_edge.engine.set_shape import closed, clusters, wholes
from samcolloid_edge.engine.types import I32, Area, Micrograph


def micrograph(labels: I32) -> Micrograph:
    return Micrograph(np.zeros(labels.shape, np.uint8), "array", "", 2.0, "a test", Area(0, 0, *labels.shape))


def wholes_of(labels: I32, of: I32) -> dict[str, NDArray[Any]]:
    ones = np.ones(len(of), np.float32)
    return wholes(labels, measure(labels, micrograph(labels), ones, ones), of, micrograph(labels))


def test_a_set_of_one_lobe_measures_as_the_lobe() -> None:
    labels, of = discs((60, 90), [(20, 20, 9, 1), (30, 60, 14, 0)])
    ones = np.ones(2, np.float32)
    lobes, found = measure(labels, micrograph(labels), ones, ones), wholes_of(labels, of)
    for name, column in found.items():
        assert column.tolist() == lobes["area" if name == "area_whole" else name][::-1].tolist()


def test_a_dumbbell_is_as_long_as_both_its_lobes() -> None:
    labels, of = discs((60, 90), [(30, 30, 12, 0), (30, 50, 12, 0)])
    found = wholes_of(labels, of)
    assert 0 <= found["area_whole"][0] - np.count_nonzero(labels) <= 4  # the pixel in each notch is closed
    assert found["feret_diameter_max"][0] == pytest.approx(20 + 2 * 12 + 1, abs=0.5)
    assert abs(found["orientation"][0]) == pytest.approx(math.pi / 2, abs=0.01)
    # Two circles of radius 12 less the arcs inside each other.
    outside = 2 * (2 * math.pi - 2 * math.acos(10 / 12)) * 12
    assert found["perimeter"][0] == pytest.approx(outside, rel=0.05)
    assert found["aspect_ratio"][0] > 1.6 and found["solidity"][0] < 0.99


def test_strips_of_the_image_give_what_the_image_gives(monkeypatch: pytest.MonkeyPatch) -> None:
    grid = [(row, col) for row in range(9) for col in range(4)]
    places = [(8 + 17 * row, 8 + 17 * col, 7 + row % 2, (row + 3 * col) // 2 - 1) for row, col in grid]
    labels, of = discs((170, 80), places)
    together = wholes_of(labels, of)
    monkeypatch.setattr(set_shape, "STRIP", 80 * 40)
    for name, column in wholes_of(labels, of).items():
        np.testing.assert_allclose(column, together[name], rtol=1e-9, atol=1e-9, err_msg=name)


def test_a_gap_of_one_pixel_inside_a_set_is_of_the_particle_and_one_between_sets_is_not() -> None:
    one = np.array([[1, 0, 1, 0, 2], [1, 0, 0, 1, 2]], np.int32)
    assert closed(one).tolist() == [[1, 1, 1, 0, 2], [1, 0, 0, 1, 2]]
    assert closed(one.T.copy()).tolist() == closed(one).T.tolist()


def test_sets_that_touch_through_others_are_one_cluster() -> None:
    set_index = np.array([0, 0, 1, 2, -1, 3], np.int32)
    pairs, gap = np.array([[0, 1], [1, 2], [2, 3], [3, 4], [4, 5]]), np.array([1.0, 1.0, 2.0, 1.0, 1.0])
    found = clusters(set_index, pairs, gap)
    assert found["cluster"].tolist() == [1, 1, 1, 2] and found["cluster_sets"].tolist() == [3, 3, 3, 1]
    far = clusters(set_index, pairs, gap + 2)
    assert far["cluster"].tolist() == [1, 2, 3, 4] and far["cluster_sets"].tolist() == [1] * 4


def test_no_sets_have_no_shape() -> None:
    none = np.empty(0, np.int32)
    assert all(len(column) == 0 for column in wholes_of(np.zeros((5, 6), np.int32), none).values())
    assert all(len(column) == 0 for column in clusters(none, np.empty((0, 2), np.int64), np.empty(0)).values())
