"""Whole-particle masks vote on which lobes belong together."""

from __future__ import annotations

from types import ModuleType
from typing import Any

import numpy as np
import pytest
import reference_measure
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from numpy.typing import NDArray
from samcolloid_edge.engine import kernels_measure
from samcolloid_edge.engine.ragged import Patches
from samcolloid_edge.engine.votes import Votes, count

Array = NDArray[Any]
SURE = 30.0
"""A logit whose sigmoid is 1 for all purposes."""


def patches(masks: list[tuple[tuple[int, int, int, int], Array]]) -> Patches:
    """Particle masks from boxes (x0, y0, x1, y1) and logits."""
    n = len(masks)
    boxes = np.array([box for box, __ in masks], np.int32).reshape(n, 4)
    logits = [np.asarray(values, np.float32).ravel() for __, values in masks]
    offsets = np.append(0, np.cumsum([len(v) for v in logits])).astype(np.int64)
    ones = np.ones(n, np.float32)
    flat = np.concatenate([*logits, np.empty(0, np.float32)])
    return Patches(np.zeros((n, 2), np.float32), boxes, offsets, flat, ones, ones, np.ones(n, np.uint8), ones)


def three_lobes() -> NDArray[np.int32]:
    """Lobes 0 and 1 side by side, lobe 2 some way off, in an image that is not square."""
    labels = np.zeros((10, 24), np.int32)
    labels[2:6, 2:6], labels[2:6, 6:10], labels[2:6, 14:18] = 1, 2, 3
    return labels


def of(votes: Votes, i: int, j: int) -> tuple[float, float]:
    """Votes for and against a pair."""
    yes, no = votes.of(np.array([i]), np.array([j]))
    return float(yes[0]), float(no[0])


def test_a_mask_that_holds_two_lobes_votes_for_them_and_against_the_third() -> None:
    votes = count(three_lobes(), patches([((2, 2, 10, 6), np.full((4, 8), SURE))]))
    assert of(votes, 0, 1) == of(votes, 1, 0) == pytest.approx((1, 0))
    assert of(votes, 0, 2) == of(votes, 1, 2) == pytest.approx((0, 1))


def test_votes_add_up_over_masks_and_count_as_much_as_a_mask_holds() -> None:
    both, half = ((2, 2, 10, 6), np.full((4, 8), SURE)), ((2, 2, 8, 6), np.full((4, 6), SURE))
    votes = count(three_lobes(), patches([both, both, half]))
    assert of(votes, 0, 1) == pytest.approx((1 + 1 + 0.5, 0.25))


def test_lobes_in_no_mask_have_no_votes_at_all() -> None:
    votes = count(three_lobes(), patches([]))
    assert not votes.any and of(votes, 0, 1) == (0, 0)
    assert count(np.zeros((4, 6), np.int32), patches([])).n_lobes == 0


def test_lists_of_pairs_are_added_up_in_any_order_and_lobes_that_are_gone_left_out() -> None:
    votes = Votes.summed(3, [np.array([[2, 0], [0, 0]]), np.array([[0, 2], [-1, 1]])],
                         [np.array([0.5, 2.0]), np.array([0.25, 1.0])])
    assert votes.pairs.tolist() == [[0, 0], [0, 2]] and votes.amount.tolist() == [2.0, 0.75]


def test_a_mask_over_more_lobes_than_expected_is_counted_in_full() -> None:
    labels = np.arange(1, 10 * 20 + 1, dtype=np.int32).reshape(10, 20)
    votes = count(labels, patches([((0, 0, 20, 10), np.full((10, 20), SURE))]))
    assert len(votes.pairs) == 200 * 201 // 2 and votes.amount.min() > 0.999


@pytest.mark.parametrize(("x0", "y0"), [(23, 0), (0, 9), (-1, 0)])
def test_masks_that_reach_out_of_the_image_are_refused(x0: int, y0: int) -> None:
    with pytest.raises(ValueError, match="reaches out of the image"):
        count(three_lobes(), patches([((x0, y0, x0 + 2, y0 + 2), np.zeros((2, 2)))]))


@settings(max_examples=40, deadline=None)
@given(arrays(np.int32, (7, 11), elements=st.integers(0, 4)), st.integers(0, 2**31), st.integers(0, 12))
def test_the_loop_agrees_with_its_reference(labels: Array, seed: int, capacity: int) -> None:
    rng = np.random.default_rng(seed)
    masks = []
    for __ in range(3):
        (x0, x1), (y0, y1) = sorted(rng.integers(0, 12, 2)), sorted(rng.integers(0, 8, 2))
        masks.append(((x0, y0, x1, y1), rng.normal(0, 3, (y1 - y0, x1 - x0))))
    of = patches(masks)
    args = labels, of.boxes, of.offsets, of.logits, 4
    size, *expected = reference_measure.patch_sums(*args, 100)
    assert size == kernels_measure.patch_sums(*args, capacity)[0]
    for ours, theirs in zip(kernels_measure.patch_sums(*args, size)[1:], expected, strict=True):
        np.testing.assert_allclose(ours, theirs, rtol=1e-9)


@pytest.mark.parametrize("kernels", [kernels_measure, reference_measure])
def test_a_patch_sums_over_each_lobe_in_its_box(kernels: ModuleType) -> None:
    of = patches([((4, 0, 8, 4), np.zeros((4, 4)))])
    size, patch, label, total = kernels.patch_sums(three_lobes(), of.boxes, of.offsets, of.logits, 3, 2)
    assert (size, patch.tolist(), label.tolist(), total.tolist()) == (2, [0, 0], [1, 2], [2.0, 2.0])
