"""Lobes find their sets: by the model's particle masks, and as the published rules have it."""

from __future__ import annotations

import csv
from collections import defaultdict
from itertools import combinations
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest
import reference_measure
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from numpy.typing import NDArray
from samcolloid_edge.engine import group, kernels_measure
from samcolloid_edge.engine.group import affinity, group_by_model, group_published
from samcolloid_edge.engine.ragged import Patches
from samcolloid_edge.engine.settings import Particle
from samcolloid_edge.models.errors import SettingsError

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
    return Patches(np.zeros((n, 2), np.float32), boxes, offsets, flat, ones, ones, np.ones(n, np.uint8))


def three_lobes() -> NDArray[np.int32]:
    """Lobes 0 and 1 side by side, lobe 2 some way off, in an image that is not square."""
    labels = np.zeros((10, 24), np.int32)
    labels[2:6, 2:6], labels[2:6, 6:10], labels[2:6, 14:18] = 1, 2, 3
    return labels


def as_dict(pairs: Array, weight: Array) -> dict[tuple[int, int], float]:
    return {(int(i), int(j)): float(w) for (i, j), w in zip(pairs, weight, strict=True)}


def test_lobes_whose_particle_masks_hold_each_other_are_of_one_particle() -> None:
    both = ((2, 2, 10, 6), np.full((4, 8), SURE))
    alone = ((14, 2, 18, 6), np.full((4, 4), SURE))
    found = as_dict(*affinity(three_lobes(), patches([both, both, alone]), np.array([0, 1, 2])))
    assert found == {(0, 1): pytest.approx(1)}


def test_affinity_is_the_mean_of_both_directions_and_nothing_counts_outside_the_box() -> None:
    half_of_lobe_1 = ((2, 2, 8, 6), np.full((4, 6), SURE))
    unsure = ((2, 2, 10, 6), np.zeros((4, 8)))
    found = as_dict(*affinity(three_lobes(), patches([half_of_lobe_1, unsure]), np.array([0, 1])))
    assert found == {(0, 1): pytest.approx((0.5 + 0.5) / 2)}
    found = as_dict(*affinity(three_lobes(), patches([unsure, half_of_lobe_1]), np.array([1, 2])))
    assert found == {(0, 1): pytest.approx(0.5), (0, 2): pytest.approx(1), (1, 2): pytest.approx(0.25)}


def test_several_particle_masks_of_one_lobe_are_averaged() -> None:
    yes, no = ((2, 2, 10, 6), np.full((4, 8), SURE)), ((2, 2, 10, 6), np.full((4, 8), -SURE))
    found = as_dict(*affinity(three_lobes(), patches([yes, no, yes]), np.array([0, 0, 1])))
    assert found == {(0, 1): pytest.approx(0.75)}


def test_no_particle_masks_no_pairs() -> None:
    for labels in (three_lobes(), np.zeros((4, 6), np.int32)):
        pairs, weight = affinity(labels, patches([]), np.empty(0, np.int32))
        assert pairs.shape == (0, 2) and weight.shape == (0,)
        assert pairs.dtype == np.int32 and weight.dtype == np.float32


def test_a_mask_over_more_lobes_than_expected_is_weighed_in_full() -> None:
    labels = np.arange(1, 10 * 20 + 1, dtype=np.int32).reshape(10, 20)
    pairs, weight = affinity(labels, patches([((0, 0, 20, 10), np.full((10, 20), SURE))]), np.array([7]))
    assert len(pairs) == 199 and weight.min() > 0.999
    assert (pairs[:, 0] < pairs[:, 1]).all() and (pairs == 7).any(axis=1).all()


@pytest.mark.parametrize(("owners", "x0", "y0"), [([3], 0, 0), ([0, 1], 0, 0), ([0], 23, 0), ([0], 0, 9),
                                                  ([0], -1, 0)])
def test_masks_that_do_not_belong_to_the_lobes_are_refused(owners: list[int], x0: int, y0: int) -> None:
    mask = patches([((x0, y0, x0 + 2, y0 + 2), np.zeros((2, 2)))])
    with pytest.raises(ValueError, match="affinity"):
        affinity(three_lobes(), mask, np.array(owners))


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


def pairs_of(weights: dict[tuple[int, int], float]) -> tuple[NDArray[np.int32], NDArray[np.float32]]:
    return np.array(list(weights), np.int32).reshape(-1, 2), np.array(list(weights.values()), np.float32)


def test_lobes_without_pairs_are_sets_of_their_own() -> None:
    assert group_by_model(3, *pairs_of({}), max_lobes=0).tolist() == [0, 1, 2]
    assert group_by_model(0, *pairs_of({}), max_lobes=0).shape == (0,)


def test_a_chain_of_sure_links_is_one_particle_though_its_ends_do_not_know_each_other() -> None:
    weights = {(0, 1): 0.9, (1, 2): 0.8, (0, 2): 0.0, (2, 3): 0.1}
    assert group_by_model(4, *pairs_of(weights), max_lobes=0).tolist() == [0, 0, 0, 1]
    assert group_by_model(4, *pairs_of(weights), max_lobes=0, threshold=0.85).tolist() == [0, 0, 1, 2]


def test_the_surest_pair_is_joined_first() -> None:
    assert group_by_model(3, *pairs_of({(0, 1): 0.6, (1, 2): 0.7}), max_lobes=2).tolist() == [0, 1, 1]


def test_no_set_grows_beyond_the_particle() -> None:
    chain = {(i, j): 1.0 - 0.01 * i for i, j in combinations(range(4), 2)}
    assert group_by_model(4, *pairs_of(chain), max_lobes=0).tolist() == [0, 0, 0, 0]
    assert group_by_model(4, *pairs_of(chain), max_lobes=3).tolist() == [0, 0, 0, 1]
    assert group_by_model(4, *pairs_of(chain), max_lobes=2).tolist() == [0, 0, 1, 1]
    assert group_by_model(4, *pairs_of(chain), max_lobes=1).tolist() == [0, 1, 2, 3]


@settings(max_examples=60, deadline=None)
@given(st.permutations(list(combinations(range(6), 2))), st.integers(0, 15), st.integers(0, 4))
def test_joining_the_strongest_link_of_all_groups_gives_the_same_sets(
    order: list[tuple[int, int]], listed: int, most: int
) -> None:
    weights = {pair: 1 - k / 15 for k, pair in enumerate(order[:listed])}
    groups = [[i] for i in range(6)]
    while True:
        links = {(a, b): max(weights.get((min(i, j), max(i, j)), 0.0) for i in groups[a] for j in groups[b])
                 for a, b in combinations(range(len(groups)), 2)
                 if not most or len(groups[a]) + len(groups[b]) <= most}  # fmt: skip
        best = max(links.values(), default=0.0)
        if best < 0.5:
            break
        a, b = next(pair for pair, link in links.items() if link == best)
        groups[a] += groups.pop(b)
    sets = group_by_model(6, *pairs_of(dict(sorted(weights.items()))), max_lobes=most, threshold=0.5)
    found = [np.flatnonzero(sets == k).tolist() for k in range(sets.max() + 1)]
    assert found == sorted(sorted(g) for g in groups)


def test_the_published_rules_need_the_particle_named() -> None:
    with pytest.raises(SettingsError, match="name it"):
        group_published(np.zeros((2, 2)), np.ones(2), "auto")


@pytest.mark.parametrize("particle", ["sphere", "dumbbell", "trimer"])
@pytest.mark.parametrize("n", [0, 1, 2, 3])
def test_few_lobes_are_grouped_too(n: int, particle: Particle) -> None:
    sets = group_published(np.arange(2.0 * n).reshape(n, 2), np.full(n, 50.0), particle)
    expected = {"sphere": list(range(n)), "dumbbell": [0, 0] if n >= 2 else [-1] * n,
                "trimer": [0] * 3 if n == 3 else [-1] * n}[particle]
    assert sets.dtype == np.int32 and sets.tolist()[:len(expected)] == expected


def test_dumbbells_whose_lobes_do_not_touch_are_no_set() -> None:
    centroids = np.array([[10.0, 10.0], [10.0, 30.0], [80.0, 10.0], [80.0, 30.0]])
    sets = group_published(centroids, np.array([24.0, 18.0, 20.0, 20.0]), "dumbbell")
    assert sets.tolist() == [0, 0, -1, -1]


def test_published_sets_depend_neither_on_the_order_of_the_lobes_nor_on_memory(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    rng = np.random.default_rng(3)
    centroids, axes, order = rng.random((90, 2)) * 300, rng.uniform(20, 60, 90), rng.permutation(90)
    particles: tuple[Particle, ...] = ("dumbbell", "trimer")
    for particle in particles:
        whole = group_published(centroids, axes, particle)
        assert whole.max() > 8
        monkeypatch.setattr(group, "_DISTANCE_BLOCK", 700)
        np.testing.assert_array_equal(group_published(centroids, axes, particle), whole)
        shuffled = group_published(centroids[order], axes[order], particle)
        np.testing.assert_array_equal(shuffled < 0, whole[order] < 0)
        np.testing.assert_array_equal(shuffled[:, None] == shuffled, whole[order][:, None] == whole[order])


@pytest.mark.parametrize(("sample", "particle", "right", "total"),
                         [("trimers", "trimer", 213, 213), ("dumbbells", "dumbbell", 515, 517)])
def test_the_published_rules_give_back_the_published_sets(published: Path, sample: str, particle: Particle,
                                                          right: int, total: int) -> None:
    images = defaultdict(list)
    with (published / "published" / "lobes.csv").open(encoding="utf-8", newline="") as file:
        for row in csv.DictReader(file):
            if row["sample"] == sample:
                images[row["image"]].append(row)
    found = expected = 0
    for rows in images.values():
        centroids = np.array([(float(r["centroid_row"]), float(r["centroid_col"])) for r in rows])
        ours = group_published(centroids, np.array([float(r["axis_major_length"]) for r in rows]), particle)
        theirs = np.array([int(r["set"]) for r in rows])
        members = [{frozenset(np.flatnonzero(sets == k).tolist()) for k in np.unique(sets[sets >= 0])}
                   for sets in (ours, theirs)]
        found += len(members[0] & members[1])
        expected += len(members[1])
    assert (found, expected) == (right, total)
