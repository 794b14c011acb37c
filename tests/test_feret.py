"""Hulls and calipers against scikit-image and against what can be counted by hand."""

from __future__ import annotations

import math
from types import ModuleType
from typing import Any

import numpy as np
import pytest
import reference_measure
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from numpy.typing import NDArray
from samcolloid_edge.engine import kernels_measure, kernels_polygon
from samcolloid_edge.engine.feret import hull_measures
from skimage.measure import regionprops
from skimage.morphology import convex_hull_image

both = pytest.mark.parametrize("kernels", [kernels_measure, reference_measure])


def extents(mask: NDArray[Any]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Extents and offsets of the one lobe of a mask whose first and last row have pixels."""
    offsets = np.array([0, len(mask)], np.int64)
    labels = np.ascontiguousarray(mask, np.int32)
    return kernels_measure.outline_sums(labels, np.array([0], np.int32), offsets, 1)[1], offsets


@both
def test_a_rectangle_is_its_own_hull(kernels: ModuleType) -> None:
    area, feret = kernels.hull_sums(*extents(np.ones((4, 6))))
    assert area.tolist() == [24]
    assert feret.tolist() == [4 * (3**2 + 6**2)]  # (0, -0.5) to (3, 5.5), in half pixels


@both
def test_a_pixel_is_a_diamond_of_width_one(kernels: ModuleType) -> None:
    assert [column.tolist() for column in kernels.hull_sums(*extents(np.ones((1, 1))))] == [[1], [4]]


@both
def test_the_hull_bridges_rows_without_pixels(kernels: ModuleType) -> None:
    mask = np.zeros((9, 30))
    mask[0, 0] = mask[8, 29] = 1
    area, feret = kernels.hull_sums(*extents(mask))
    assert area.tolist() == [convex_hull_image(mask).sum()]
    expected = regionprops(mask.astype(int))[0].feret_diameter_max
    assert np.sqrt(feret[0]) / 2 == pytest.approx(expected, rel=1e-14)


@both
def test_no_lobes_no_hulls(kernels: ModuleType) -> None:
    area, feret = kernels.hull_sums(np.empty((2, 0), np.int64), np.zeros(1, np.int64))
    assert len(area) == len(feret) == 0


@settings(max_examples=80, deadline=None)
@given(arrays(np.bool_, st.tuples(st.integers(1, 16), st.integers(1, 16))))
def test_any_mask_has_the_hull_of_scikit_image(mask: NDArray[np.bool_]) -> None:
    if not mask.any():
        return
    rows = np.flatnonzero(mask.any(axis=1))
    mask = mask[rows[0]:rows[-1] + 1]
    sums = extents(mask)
    area, feret = hull_measures(*sums)
    expected = regionprops(mask.astype(int))[0]
    assert area[0] == expected.area_convex
    assert feret[0] == pytest.approx(expected.feret_diameter_max, rel=1e-14)
    np.testing.assert_array_equal(kernels_measure.hull_sums(*sums), reference_measure.hull_sums(*sums))


def test_a_cross_is_measured_tip_to_tip() -> None:
    mask = np.zeros((41, 61))
    mask[20, :] = 1
    mask[:, 30] = 1
    assert hull_measures(*extents(mask))[1][0] == 61


@settings(max_examples=60, deadline=None)
@given(arrays(np.int8, st.tuples(st.integers(1, 12), st.just(2)), elements=st.integers(0, 9)))
def test_calipers_find_the_largest_and_the_least_width_of_any_points(points: NDArray[Any]) -> None:
    points = points.astype(np.float64)
    turned = kernels_polygon.calipers(points, np.array([0, len(points)]))[0]
    apart = np.linalg.norm(points[:, None] - points[None], axis=2)
    assert turned[2] == pytest.approx(apart.max())
    assert np.hypot(*(turned[3:5] - turned[5:7])) == pytest.approx(apart.max())
    sides = [b - a for a in points for b in points if (a != b).any()]
    widths = [np.ptp(points @ [-y, x]) / math.hypot(x, y) for x, y in sides]
    assert turned[7] == pytest.approx(min(widths, default=0), abs=1e-9)
