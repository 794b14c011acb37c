"""The best partition of lobes, against all partitions there are."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import combinations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from samcolloid_edge.engine import kernels_partition, partition
from samcolloid_edge.engine.partition import candidates, grown, in_order, part


def partitions(lobes: list[int]) -> Iterator[list[list[int]]]:
    """All ways to part lobes into sets."""
    if not lobes:
        yield []
        return
    for k in range(len(lobes)):
        for others in combinations(lobes[1:], k):
            rest = [i for i in lobes[1:] if i not in others]
            for more in partitions(rest):
                yield [[lobes[0], *others], *more]


def links(lobes: list[int], weight: dict[tuple[int, int], float]) -> float:
    return sum(weight.get(pair, 0.0) for pair in combinations(sorted(lobes), 2))


def connected(lobes: list[int], weight: dict[tuple[int, int], float]) -> bool:
    reached, edge = {lobes[0]}, {lobes[0]}
    while edge:
        edge = {j for j in lobes for i in edge if tuple(sorted((i, j))) in weight} - reached
        reached |= edge
    return reached == set(lobes)


@settings(max_examples=60, deadline=None)
@given(st.dictionaries(st.sampled_from(list(combinations(range(6), 2))), st.floats(-2.5, 4), max_size=11),
       st.integers(2, 6))
def test_no_partition_gains_more(weight: dict[tuple[int, int], float], most: int) -> None:
    weight = dict(sorted(weight.items()))
    pairs = np.array(list(weight), np.int64).reshape(-1, 2)
    tried = candidates(6, pairs, np.array(list(weight.values()), np.float64), most)
    found = part(6, tried, tried.links)
    sets = [np.flatnonzero(found.sets == k).tolist() for k in range(found.sets.max() + 1)]
    assert all(len(s) <= most and connected(s, weight) for s in sets)
    best = max(sum(links(s, weight) for s in way) for way in partitions(list(range(6)))
               if all(len(s) <= most and connected(s, weight) for s in way))
    assert sum(links(s, weight) for s in sets) == pytest.approx(best, abs=1e-6)
    assert (found.odds > -np.log(len(tried.size) + 1) - 1e-6).all()


def test_candidates_are_listed_once_with_all_links_between_their_lobes() -> None:
    pairs = np.array([[0, 1], [0, 2], [1, 2], [2, 3]])
    tried = candidates(4, pairs, np.array([1.0, 2.0, 0.5, -9.0]), 3)
    found = {tuple(sorted(m[m >= 0].tolist())): link for m, link in zip(tried.members, tried.links, strict=True)}
    assert found == {(0, 1): 1.0, (0, 2): 2.0, (1, 2): 0.5, (0, 1, 2): 3.5} and len(tried.size) == 4


def test_an_unlikely_neighbour_is_worth_a_whole_set() -> None:
    pairs, weight = np.array([[0, 1], [1, 2]]), np.array([3.0, -1.0])
    tried = candidates(3, pairs, weight, 3)
    assert part(3, tried, tried.links).sets.tolist() == [0, 0, 1]
    assert part(3, tried, tried.links + np.where(tried.size == 3, 2, 0)).sets.tolist() == [0, 0, 0]


def test_the_surer_a_set_the_higher_its_odds() -> None:
    pairs = np.array([[0, 1], [2, 3]])
    tried = candidates(5, pairs, np.array([4.0, 1.0]), 2)
    odds = part(5, tried, tried.links).odds
    assert odds[0] == odds[1] == pytest.approx(4, abs=0.01) and odds[2] == pytest.approx(1, abs=0.01)
    assert odds[4] > 10


def test_a_long_chain_is_one_set() -> None:
    n = 11
    pairs = np.stack([np.arange(n - 1), np.arange(1, n)], 1)
    tried = candidates(n, pairs, np.full(n - 1, 3.0), partition.LARGEST)
    parted = part(n, tried, tried.links)
    whole = grown(parted, pairs, np.full(n - 1, 3.0))
    assert np.bincount(parted.sets).max() <= partition.LARGEST and whole.sets.tolist() == [0] * n
    assert whole.odds == pytest.approx([min(parted.odds.min(), 3.0)] * n)
    np.testing.assert_array_equal(grown(parted, pairs, np.full(n - 1, -1.0)).sets, parted.sets)


def test_sets_are_numbered_by_their_first_lobe() -> None:
    assert in_order(np.array([7, 3, 7, 0, 3])).tolist() == [0, 1, 0, 2, 1]


def exchanged(
    add: int, drop: int, sets: list[list[int]], gain: list[float], chosen: list[int]
) -> tuple[float, list[int]]:
    """What an exchange gains, and the sets it chooses, step by step: nothing is skipped because it can't gain."""
    gone = {chosen[i] for i in sets[max(add, drop)] if chosen[i] >= 0}
    free = {i for c in gone for i in sets[c]}
    total, fresh, taken = -sum(gain[c] for c in gone), [], set()
    if add >= 0:
        total, fresh, taken = total + gain[add], [add], set(sets[add])
    while True:
        fits = [c for c, lobes in enumerate(sets) if c != drop and (free - taken).intersection(lobes)
                and all((i in free or chosen[i] < 0) and i not in taken for i in lobes)]  # fmt: skip
        if not fits:
            return total, fresh
        total, fresh, taken = total + gain[fits[0]], [*fresh, fits[0]], taken | set(sets[fits[0]])


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 2**32 - 1), st.integers(8, 16))
def test_what_is_skipped_in_a_jam_changes_nothing(seed: int, n: int) -> None:
    rng = np.random.default_rng(seed)
    place = rng.random((n, 2))
    pairs = np.array([p for p in combinations(range(n), 2) if np.hypot(*(place[p[0]] - place[p[1]])) < 0.4], np.int64)
    tried = candidates(n, pairs.reshape(-1, 2), rng.normal(0.5, 2, len(pairs)), 4)
    gain = tried.links - rng.uniform(0, 1, len(tried.links))
    order = np.flatnonzero(gain > 0)[np.argsort(-gain[gain > 0], kind="stable")]
    members, gains = np.ascontiguousarray(tried.members[order]), gain[order]
    starts, rows = kernels_partition.candidates_of(members, n)
    found = kernels_partition.partition(members, gains, starts, rows, n)

    sets, amounts, chosen = [m[m >= 0].tolist() for m in members], gains.tolist(), [-1] * n
    for c, lobes in enumerate(sets):
        if all(chosen[i] < 0 for i in lobes):
            for i in lobes:
                chosen[i] = c
    better = True
    while better:
        better = False
        for c, lobes in enumerate(sets):
            total, fresh = exchanged(c, -1, sets, amounts, chosen) if chosen[lobes[0]] != c else (0.0, [])
            if total > 1e-9:
                gone = {chosen[i] for i in lobes} - {-1}
                chosen = [-1 if k in gone else k for k in chosen]
                for new in fresh:
                    for i in sets[new]:
                        chosen[i] = new
                better = True
    assert found.tolist() == chosen

    against = np.zeros(n)
    for c, lobes in enumerate(sets):
        held = chosen[lobes[0]] == c
        total, _ = exchanged(-1 if held else c, c if held else -1, sets, amounts, chosen)
        undone = {chosen[i] if chosen[i] >= 0 else -1 - i for i in lobes}
        for i in range(n):
            against[i] += np.exp(total) * ((chosen[i] if chosen[i] >= 0 else -1 - i) in undone)
    np.testing.assert_allclose(kernels_partition.margins(members, gains, starts, rows, found), against, atol=1e-9)
