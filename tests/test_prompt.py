from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from samcolloid_edge.engine.prompt import crop_areas, grid, point_grid, spaced_grid, waves
from samcolloid_edge.engine.types import Area
from segment_anything.utils import amg

SIDE = st.integers(1, 1500)


@pytest.mark.parametrize("n", [1, 2, 7, 32, 36])
def test_point_grid_is_that_of_sam(n):
    np.testing.assert_allclose(point_grid(n), amg.build_point_grid(n), atol=1e-12)


def test_grid_lies_in_its_area_as_sam_lays_it_over_an_image():
    area = Area(row0=40, col0=7, row1=140, col1=207)
    points = grid(area, 36)
    assert points.dtype == np.float32
    np.testing.assert_allclose(points, amg.build_point_grid(36) * (200, 100) + (7, 40), atol=1e-4)


def test_grid_takes_columns_and_rows():
    points = grid(Area(0, 0, 20, 30), (3, 2))
    assert points.tolist() == [[5, 5], [15, 5], [25, 5], [5, 15], [15, 15], [25, 15]]


@given(SIDE, SIDE, st.floats(0.5, 200))
def test_spaced_grid_is_the_coarsest_that_keeps_the_spacing(height, width, spacing):
    height, width = min(height, 300), min(width, 300)
    points, (rows, columns) = spaced_grid(Area(0, 0, height, width), spacing)
    assert len(points) == rows * columns
    for side, n in ((height, rows), (width, columns)):
        assert side / n <= spacing * (1 + 1e-9) or n == 1
        assert n == 1 or side / (n - 1) > spacing


def test_a_single_pixel_gets_one_point():
    points, lattice = spaced_grid(Area(3, 4, 4, 5), 9.0)
    assert lattice == (1, 1)
    assert points.tolist() == [[4.5, 3.5]]


@given(st.integers(40, 1500), st.integers(40, 1500), st.integers(0, 3), st.floats(0, 0.9))
def test_crops_are_those_of_sam(height, width, n_layers, overlap_ratio):
    boxes, layers = amg.generate_crop_boxes((height, width), n_layers, overlap_ratio)
    ours = crop_areas(Area(0, 0, height, width), n_layers, overlap_ratio)
    assert [[a.col0, a.row0, a.col1, a.row1] for a, _ in ours] == boxes
    assert [layer for _, layer in ours] == layers


@given(SIDE, SIDE, st.integers(0, 300), st.integers(0, 300))
def test_crops_move_with_the_area_and_stay_inside(height, width, row0, col0):
    here = crop_areas(Area(0, 0, height, width), 2, 0.34)
    there = crop_areas(Area(row0, col0, row0 + height, col0 + width), 2, 0.34)
    assert [(a.row0 + row0, a.col0 + col0, a.shape, layer) for a, layer in here] == [
        (a.row0, a.col0, a.shape, layer) for a, layer in there
    ]
    for a, _ in here:
        assert 0 <= a.row0 < a.row1 <= height and 0 <= a.col0 < a.col1 <= width


@given(st.integers(1, 40), st.integers(1, 40), st.integers(1, 4))
def test_waves_ask_each_point_once_and_never_leave_a_gap(rows, columns, levels):
    parts = waves(rows, columns, levels)
    assert len(parts) == levels
    assert sorted(np.concatenate(parts).tolist()) == list(range(rows * columns))
    asked = np.empty(0, np.int64)
    every = np.indices((rows, columns)).reshape(2, -1).T
    for level, part in enumerate(parts):
        asked = np.concatenate([asked, part])
        lattice = np.stack(np.divmod(asked, columns), -1)
        gap = np.abs(every[:, None] - lattice[None]).max(-1).min(1)
        step = 2 ** (levels - 1 - level)
        assert gap.max() <= (step / 2 if level == 0 else step - 1)


def test_the_first_wave_is_every_fourth_point_centred():
    first, second, third = waves(8, 12)
    assert [divmod(int(i), 12) for i in first] == [(r, c) for r in (1, 5) for c in (1, 5, 9)]
    assert (len(second), len(third)) == (4 * 6 - 6, 8 * 12 - 4 * 6)
