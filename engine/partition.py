"""Lobes → the best partition into sets, each of them connected by evidence and of a plausible shape and size."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from . import kernels_partition, kernels_search
from .types import I32, I64

F64 = NDArray[np.float64]

LARGEST: Final = 6
"""Lobes of a set up to which all ways to part them are weighed; larger sets grow from those."""
PLAUSIBLE: Final = -3.0
"""Log-odds of a pair below which no set is tried that only this pair would connect."""
SLACK: Final = 4.0
"""Log-odds by which the links of a set that is tried may fall short of letting its lobes be apart."""
BEAM: Final = 32
"""Sets of each size that are tried of a lobe: those of the strongest links. It bounds time and memory in a jam."""
STEPS: Final = 20000
"""Of branch and bound in one group of lobes; a larger group keeps what exchanges found."""


@dataclass(frozen=True, slots=True)
class Partition:
    """Every one of N lobes in one set."""

    sets: I32
    """(N,) 0 to S − 1 in the order of each set's first lobe."""
    odds: F64
    """(N,) log-odds of the lobe's set against everything else that was tried; equal in a set."""


@dataclass(frozen=True, slots=True)
class Candidates:
    """C sets that were tried, of two lobes and more."""

    members: I32
    """(C, LARGEST) lobes in no order, −1 after the last."""
    size: I64
    """(C,) how many."""
    links: F64
    """(C,) sum of the log-odds of all pairs of neighbours in the set."""


def candidates(n: int, pairs: I64, weight: F64, most: int) -> Candidates:
    """All sets of 2 to ``most`` (at most ``LARGEST``) of N lobes that plausible pairs connect.

    Parameters: ``pairs`` (M, 2) neighbours, i < j in ascending order, and ``weight`` (M,) their log-odds.
    """
    likely = weight > PLAUSIBLE
    one, other = np.concatenate([pairs[likely], pairs[likely][:, ::-1]]).T.reshape(2, -1)
    order = np.argsort(one, kind="stable")
    other, starts = other[order], np.searchsorted(one[order], np.arange(n + 1))
    key = pairs[:, 0] * n + pairs[:, 1]
    # A set is known by the sum of numbers drawn once for each lobe, whatever the order of its lobes.
    number = np.random.default_rng(0).integers(0, 2**63, n, dtype=np.uint64)
    members, links, names = np.arange(n, dtype=np.int32)[:, None], np.zeros(n), number
    found_members, found_links = [np.empty((0, LARGEST), np.int32)], [np.empty(0)]
    for size in range(2, min(most, LARGEST) + 1):
        degree = starts[members + 1] - starts[members]
        row = np.repeat(np.arange(len(members)), degree.sum(1))
        flat = degree.ravel()
        new = other[np.arange(flat.sum()) + np.repeat(starts[members].ravel() - np.cumsum(flat) + flat, flat)]
        outside = (members[row] != new[:, None]).all(1)
        row, new = row[outside], new[outside]
        names, once = np.unique(names[row] + number[new], return_index=True)
        row, new = row[once], new[once]
        old = members[row]
        wanted = np.minimum(old, new[:, None]).astype(np.int64) * n + np.maximum(old, new[:, None])
        at = np.searchsorted(key, wanted)
        linked = np.append(key, -1)[at] == wanted
        links = links[row] + np.where(linked, np.append(weight, 0.0)[at], 0.0).sum(1)
        members = np.column_stack([old, new]).astype(np.int32)
        worth = (links > -SLACK) & _among_best(members, links, n, BEAM)
        members, links, names = members[worth], links[worth], names[worth]
        found_members.append(np.pad(members, ((0, 0), (0, LARGEST - size)), constant_values=-1))
        found_links.append(links)
        if len(members) == 0:
            break
    tried = np.concatenate(found_members)
    return Candidates(tried, (tried >= 0).sum(1), np.concatenate(found_links))


def _among_best(members: I32, links: F64, n: int, most: int) -> NDArray[np.bool_]:
    """(C,) whether a set, (C, K) members and (C,) links, is among the ``most`` strongest of one of its N lobes."""
    count, size = members.shape
    lobe, row = members.ravel(), np.repeat(np.arange(count), size)
    order = np.lexsort((row, -links[row], lobe))
    rank = np.arange(len(order)) - np.searchsorted(lobe[order], np.arange(n))[lobe[order]]
    kept = np.zeros(count, bool)
    kept[row[order[rank < most]]] = True
    return kept


def part(n: int, tried: Candidates, gain: F64, odds: bool = True) -> Partition:
    """The partition of N lobes into sets of ``tried`` and single lobes that gains most.

    ``gain`` (C,) log-odds of a set against its lobes being alone; ``odds``: those of the sets found are wanted, which
    takes as long again (else they are NaN).
    """
    worth = np.flatnonzero(gain > 0)
    order = worth[np.argsort(-gain[worth], kind="stable")]
    members, gains = np.ascontiguousarray(tried.members[order]), gain[order]
    starts, rows = kernels_partition.candidates_of(members, n)
    chosen = kernels_partition.partition(members, gains, starts, rows, n)
    kernels_search.search(members, gains, starts, rows, chosen, STEPS)
    # A lobe that is alone is known by its own number, a set by its candidate's.
    sets = in_order(np.where(chosen >= 0, chosen + n, np.arange(n)))
    if not odds:
        return Partition(sets, np.full(n, np.nan))
    return Partition(sets, -np.log(kernels_partition.margins(members, gains, starts, rows, chosen) + 1e-9))


def grown(found: Partition, pairs: I64, weight: F64) -> Partition:
    """The partition with sets joined to more than ``LARGEST`` lobes where the pairs between them say so.

    Again and again the two sets with the largest sum of log-odds between them, above 0, become one, whose odds are
    the least of both and of that sum. ``pairs`` and ``weight`` as of ``candidates``.
    """
    sets, odds = found.sets.astype(np.int64), found.odds.copy()
    while True:
        n_sets, size = int(sets.max(initial=-1)) + 1, np.bincount(sets)
        one, other = np.sort(sets[pairs], axis=1).T
        apart = one != other
        key, where = np.unique(one[apart] * n_sets + other[apart], return_inverse=True)
        between = np.bincount(where, weights=weight[apart], minlength=len(key))
        a, b = np.divmod(key, max(n_sets, 1))
        between[size[a] + size[b] <= LARGEST] = 0
        if between.max(initial=0) <= 0:
            return Partition(in_order(sets), odds)
        best = int(between.argmax())
        sets[sets == b[best]] = a[best]
        joined = sets == a[best]
        odds[joined] = min(odds[joined].min(), between[best])
        sets = in_order(sets).astype(np.int64)


def connected(n: int, pairs: I64) -> I64:
    """(n,) int64: of each of n the first of those it hangs together with through ``pairs`` (M, 2)."""
    number = np.arange(n, dtype=np.int64)
    one, other = pairs.T
    while len(one) and (number[one] != number[other]).any():
        least = np.minimum(number[one], number[other])
        np.minimum.at(number, one, least)
        np.minimum.at(number, other, least)
    return number


def in_order(names: NDArray[np.integer]) -> I32:
    """(N,) any number for each set → (N,) int32 0 to S − 1 in the order of each set's first lobe."""
    _, first, inverse = np.unique(names, return_index=True, return_inverse=True)
    rank = np.empty(len(first), np.int32)
    rank[np.argsort(first)] = np.arange(len(first))
    return rank[inverse].reshape(len(names))
