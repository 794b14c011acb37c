"""An outline goes once round its lobe, and through the places where the logits say it is."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from numpy.typing import NDArray
from samcolloid_edge.engine import kernels
from samcolloid_edge.engine.outline import Gathered, Outlines, of_labels
from skimage.measure import find_contours
from test_measure import adversarial, compact, disc


def area(polygon: NDArray[Any]) -> float:
    """Shoelace, positive where it runs clockwise on the screen."""
    x, y = polygon.T
    return float((x * np.roll(y, -1) - np.roll(x, -1) * y).sum() / 2)


def as_set(polygon: NDArray[Any]) -> set[tuple[float, float]]:
    return {(float(x), float(y)) for x, y in polygon}


@settings(max_examples=60, deadline=None)
@given(arrays(np.int32, st.tuples(st.integers(1, 12), st.integers(1, 13)), elements=st.integers(0, 3)))
def test_outlines_of_pixels_are_the_contours_that_scikit_image_finds(labels: NDArray[Any]) -> None:
    labels = kernels.largest_parts(compact(labels), int(labels.max()))
    labels = compact(labels)
    outlines = of_labels(labels)
    for i in range(len(outlines)):
        theirs = find_contours(np.pad(labels == i + 1, 1).astype(float), 0.5, fully_connected="high")
        outer = max(theirs, key=lambda c: abs(area(c)))
        ours = outlines.polygon(i)
        # theirs has the padding, pixel centres at integers and repeats its first point
        assert as_set(ours) == as_set(outer[:, ::-1] - 0.5)
        assert len(ours) == len(outer) - 1
        assert area(ours) == pytest.approx(abs(area(outer)))


def test_one_pixel_is_a_diamond_round_its_centre() -> None:
    polygon = of_labels(adversarial()["one pixel"]).polygon(0)
    assert polygon.tolist() == [[7.5, 4], [8, 4.5], [7.5, 5], [7, 4.5]]


def test_of_a_ring_the_outer_side_is_told() -> None:
    ring, whole = adversarial()["ring"], disc(23, 31, 11, 15, 9.5).astype(np.int32)
    assert of_labels(ring).polygon(0).tolist() == of_labels(whole).polygon(0).tolist()


def test_outlines_join_in_order_and_none_are_none() -> None:
    neighbours = of_labels(adversarial()["neighbours"])
    ring = of_labels(adversarial()["ring"])
    gathered = Gathered()
    gathered.add(neighbours)
    gathered.add(ring)
    both = gathered.whole()
    assert len(both) == 4
    assert both.polygon(3).tolist() == ring.polygon(0).tolist()
    assert len(Gathered().whole()) == len(of_labels(np.zeros((4, 5), np.int32))) == 0


def test_points_that_do_not_belong_to_outlines_are_refused() -> None:
    with pytest.raises(ValueError, match="Outlines"):
        Outlines(np.zeros((3, 2)), np.array([0, 4]), np.ones(3, bool), np.ones(1))
