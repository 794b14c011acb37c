"""Edge weights: on average over every place that a particle may have, they give back what the edge hides."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from samcolloid_edge.engine import edge
from samcolloid_edge.engine.types import Area

FRAME = Area(10, 20, 40, 60)


def placed(height: int, width: int) -> tuple[np.ndarray, np.ndarray]:
    """A box at every place where it may meet ``FRAME``, and a point in it."""
    rows, cols = np.meshgrid(np.arange(-30, 80), np.arange(-30, 100), indexing="ij")
    boxes = np.stack([rows, cols, rows + height, cols + width], axis=-1).reshape(-1, 4)
    return boxes, boxes[:, :2] + np.array([0.4 * (height - 1), 0.7 * (width - 1)])


@given(st.integers(1, 24), st.integers(1, 34), st.integers(1, 3))
def test_the_weights_of_all_places_add_up_to_the_frame(height: int, width: int, margin: int) -> None:
    weight = edge.weights(*placed(height, width), FRAME, margin)
    assert weight.sum() == pytest.approx(30 * 40)
    assert np.ptp(weight[weight > 0]) < 1e-9  # it depends on the size alone


@given(st.integers(1, 20), st.integers(1, 30))
def test_with_a_region_they_add_up_to_what_it_has_of_the_frame(height: int, width: int) -> None:
    boxes, centroids = placed(height, width)
    roi = Area(0, 25, 30, 50)
    inside = (centroids + 0.5 >= [0, 25]).all(1) & (centroids + 0.5 < [30, 50]).all(1)
    weight = edge.weights(boxes, centroids, FRAME, roi=roi)
    # Where the places are no whole number of pixels their count varies with where the pixels fall.
    assert weight[inside].sum() == pytest.approx(20 * 25, rel=0.1)


def test_a_box_of_w_by_h_px_weighs_as_miles_and_lantuejoul_say() -> None:
    boxes = np.array([[100, 100, 120, 140], [0, 100, 20, 140], [1, 100, 21, 140], [470, 30, 490, 70]])
    weight = edge.weights(boxes, boxes[:, :2] + 10.0, Area(0, 0, 490, 1000))
    inside = 490 / (490 - 20 - 1) * 1000 / (1000 - 40 - 1)
    assert weight == pytest.approx([inside, 0, inside, 0])
    assert inside == pytest.approx(490 * 1000 / ((490 - 20) * (1000 - 40)), rel=0.004)


def test_what_fills_the_frame_has_no_weight() -> None:
    boxes = np.array([[10, 25, 40, 30], [10, 20, 40, 60], [11, 21, 39, 59]])
    weight = edge.weights(boxes, boxes[:, :2] + 2.0, FRAME)
    assert weight == pytest.approx([0, 0, 30 * 40])
    assert edge.weights(boxes[:0], np.zeros((0, 2)), FRAME).shape == (0,)


def test_the_box_of_a_set_is_round_all_its_lobes() -> None:
    boxes = np.array([[5, 6, 9, 9], [0, 0, 3, 3], [2, 8, 4, 12], [50, 50, 60, 60]])
    assert edge.boxes_of_sets(boxes, np.array([2, 1, 2, 0]), 2).tolist() == [[0, 0, 3, 3], [2, 6, 9, 12]]
    assert edge.boxes_of_sets(boxes[:0], np.zeros(0, int), 0).shape == (0, 4)
