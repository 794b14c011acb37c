"""Lobes and sets are matched one to one, best total first."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from samcolloid_edge.engine import matching
from scipy.optimize import linear_sum_assignment


def square_labels(*squares: tuple[int, int, int]) -> np.ndarray:
    """A 60×80 label image of squares (row0, col0, side), numbered from 1."""
    labels = np.zeros((60, 80), np.int32)
    for number, (row, col, side) in enumerate(squares, start=1):
        labels[row : row + side, col : col + side] = number
    return labels


def test_box_iou_is_intersection_over_union() -> None:
    overlaps = matching.box_overlaps([[0, 0, 10, 10], [30, 30, 40, 40]], [[0, 5, 10, 15], [50, 50, 60, 60]])
    assert overlaps.first.tolist() == [0] and overlaps.second.tolist() == [0]
    assert overlaps.iou == pytest.approx([50 / 150])


def test_mask_iou_equals_the_count_of_pixels() -> None:
    rng = np.random.default_rng(0)
    first, second = rng.integers(0, 4, (7, 9)), rng.integers(0, 5, (7, 9))
    overlaps = matching.mask_overlaps(first, second)
    assert overlaps.lengths == (3, 4)
    for i, j, iou in zip(overlaps.first, overlaps.second, overlaps.iou, strict=True):
        a, b = first == i + 1, second == j + 1
        assert iou == pytest.approx((a & b).sum() / (a | b).sum())


def test_matching_is_one_to_one_and_takes_the_largest_total() -> None:
    # Greedy would give the first truth its best partner and leave the second without one.
    overlaps = matching.Overlaps(
        np.array([0, 0, 1]), np.array([0, 1, 0]), np.ones(3), np.array([0.9, 0.8, 0.85]), (2, 2)
    )
    assert matching.match(overlaps, 0.5).tolist() == [[0, 1], [1, 0]]
    assert matching.match(overlaps, 0.87).tolist() == [[0, 0]]
    assert matching.match(overlaps, 0.95).shape == (0, 2)


@given(st.integers(0, 2**32 - 1), st.integers(0, 8), st.integers(0, 8), st.floats(0.1, 1), st.booleans())
def test_the_total_is_that_of_the_hungarian_algorithm(seed: int, n: int, m: int, share: float, tied: bool) -> None:
    rng = np.random.default_rng(seed)
    iou = rng.integers(1, 4, (n, m)) / 4 if tied else rng.uniform(0.01, 1, (n, m))
    iou = np.where(rng.random((n, m)) < share, iou, 0)
    first, second = np.nonzero(iou)
    shuffled = rng.permutation(len(first))
    first, second = first[shuffled], second[shuffled]
    pairs = matching.match(
        matching.Overlaps(first, second, np.ones(len(first)), iou[first, second], (n, m)), 1e-6
    )
    assert len(np.unique(pairs[:, 0])) == len(np.unique(pairs[:, 1])) == len(pairs)
    assert (iou[tuple(pairs.T)] > 0).all()
    best = iou[linear_sum_assignment(iou, maximize=True)].sum()
    assert iou[tuple(pairs.T)].sum() == pytest.approx(best)


def test_matching_a_label_image_with_itself_finds_everything_in_any_order() -> None:
    labels = square_labels((0, 0, 10), (0, 10, 10), (20, 20, 15), (50, 60, 5))
    order = np.array([0, 3, 1, 4, 2])
    pairs = matching.match(matching.mask_overlaps(labels, order[labels]), 0.99)
    assert pairs.tolist() == [[0, 2], [1, 0], [2, 3], [3, 1]]


def test_empty_lists_match_nothing() -> None:
    empty = np.zeros((4, 5), np.int32)
    assert matching.match(matching.mask_overlaps(empty, empty), 0.5).shape == (0, 2)
    assert matching.match(matching.box_overlaps(np.empty((0, 4)), [[0, 0, 1, 1]]), 0.5).shape == (0, 2)


def test_an_ignored_lobe_is_neither_missed_nor_false() -> None:
    ignored = np.array([False, True, True])
    score = matching.score(np.array([[0, 0], [1, 1]]), (3, 3), ignored)
    assert (score.found, score.truth, score.predicted) == (1, 1, 2)
    assert score.f1 == pytest.approx(2 / 3)


def test_scores_add_before_they_divide() -> None:
    total = matching.Score(1, 1, 1) + matching.Score(0, 3, 1)
    assert (total.recall, total.precision) == (0.25, 0.5)


def test_sets_are_the_same_only_with_the_same_members() -> None:
    identity = np.column_stack([np.arange(6)] * 2)
    truth = np.array([1, 1, 2, 2, 3, 3])
    assert matching.same_sets(identity, truth, np.array([7, 7, 4, 4, 9, 9])).tolist() == [
        [2, 4],
        [1, 7],
        [3, 9],
    ]
    assert matching.same_sets(identity, truth, np.array([1, 1, 1, 2, 0, 3])).tolist() == []
    one_more = matching.same_sets(identity[:4], truth[:4], np.array([1, 1, 2, 2, 2]))
    assert one_more.tolist() == [[1, 1]], "a set with an unmatched member is another set"


def test_a_hidden_member_may_be_missing_from_a_set() -> None:
    pairs, truth, ours = np.array([[0, 0], [1, 1]]), np.array([1, 1, 1]), np.array([5, 5])
    assert matching.same_sets(pairs, truth, ours).tolist() == []
    assert matching.same_sets(pairs, truth, ours, np.array([False, False, True])).tolist() == [[1, 5]]


def test_sets_are_counted_by_size() -> None:
    assert matching.sets_of_size(np.array([0, 0, 3, 1, 1, 2, 2, 2]), 2).tolist() == [1]
