"""Loops over sets of lobes that are exchanged for others while that gains; bare, no validation. See partition."""

# mypy: allow-untyped-decorators
from __future__ import annotations

from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from .caches import njit

Array = NDArray[Any]
NOTHING: Final = -30.0
"""Log-odds of a choice that is as good as ruled out: how much less likely still need not be known."""


@njit(cache=True, nogil=True)
def candidates_of(members: Array, n: int) -> tuple[Array, Array]:
    """members (C, K) int32, −1 where a row is shorter → starts (n + 1,) int64 and rows int64: those that hold lobe i
    are ``rows[starts[i]:starts[i + 1]]``, in ascending order."""
    starts = np.zeros(n + 1, np.int64)
    for row in members:
        for lobe in row:
            if lobe >= 0:
                starts[lobe + 1] += 1
    starts = np.cumsum(starts)
    rows = np.empty(starts[n], np.int64)
    filled = starts[:n].copy()
    for c in range(len(members)):
        for lobe in members[c]:
            if lobe >= 0:
                rows[filled[lobe]] = c
                filled[lobe] += 1
    return starts, rows


@njit(cache=True, nogil=True)
def _most(lobe: int, members: Array, gain: Array, starts: Array, rows: Array, chosen: Array) -> float:
    """The most that a lobe can bring when it becomes free: of its candidates the largest gain ÷ number of lobes of it
    that are in sets; those that are alone come with it for nothing."""
    most = 0.0
    for at in range(starts[lobe], starts[lobe + 1]):
        size = 0
        for other in members[rows[at]]:
            size += other >= 0 and (other == lobe or chosen[other] >= 0)
        most = max(most, gain[rows[at]] / size)
    return most


@njit(cache=True, nogil=True)
def _exchange(add: int, drop: int, members: Array, gain: Array, starts: Array, rows: Array, chosen: Array,
              state: Array, stamp: int, fresh: Array, most: Array, known: Array, changed: Array,
              least: float) -> tuple[float, int]:
    """What is gained where candidate ``add`` is chosen and ``drop`` is not (−1: none), and how many are new.

    Chosen candidates that share a lobe with ``add`` go; then the best that fit take the lobes that became free, again
    and again. fresh (≥ n_lobes of all involved,) int64 is filled with the new ones, ``add`` first. state (n,) int64 is
    scratch that holds numbers up to ``stamp``: afterwards ``stamp`` + 1 marks free lobes, + 2 those of new candidates.
    Where ``add`` can't gain more than ``least`` that is returned, and 0: by most (n,) float64 as of _most, found anew
    where a lobe was changed, (n,) int64, after the stamp at which it was known, (n,) int64.
    """
    total, n_fresh, n_freed = 0.0, 0, 0
    freed = np.empty(members.shape[1] ** 2, np.int64)
    for k in range(members.shape[1]):
        lobe = members[add if add >= 0 else drop, k]
        if lobe < 0 or chosen[lobe] < 0 or state[lobe] > stamp:
            continue
        total -= gain[chosen[lobe]]
        for other in members[chosen[lobe]]:
            if other >= 0:
                state[other] = stamp + 1
                freed[n_freed] = other
                n_freed += 1
    if add >= 0:
        total += gain[add]
        fresh[0] = add
        n_fresh = 1
        for lobe in members[add]:
            if lobe >= 0:
                state[lobe] = stamp + 2
    if add >= 0:
        bound = total
        for k in range(n_freed):
            lobe = freed[k]
            if state[lobe] == stamp + 1:
                if known[lobe] < changed[lobe]:
                    most[lobe], known[lobe] = _most(lobe, members, gain, starts, rows, chosen), stamp
                bound += most[lobe]
        if bound <= least:
            return least, 0
    at = np.empty(n_freed, np.int64)
    for k in range(n_freed):
        at[k] = starts[freed[k]]
    while True:
        best = len(members)
        for k in range(n_freed):
            if state[freed[k]] != stamp + 1:
                continue
            while at[k] < starts[freed[k] + 1] and rows[at[k]] < best:  # they ascend, and gains fall with them
                fits = rows[at[k]] != drop
                for lobe in members[rows[at[k]]]:
                    fits &= lobe < 0 or state[lobe] == stamp + 1 or (chosen[lobe] < 0 and state[lobe] <= stamp)
                if fits:
                    best = rows[at[k]]
                    break
                at[k] += 1  # free lobes only become fewer: what does not fit now never will
        if best == len(members):
            return total, n_fresh
        total += gain[best]
        fresh[n_fresh] = best
        n_fresh += 1
        for lobe in members[best]:
            if lobe >= 0:
                state[lobe] = stamp + 2


@njit(cache=True, nogil=True)
def partition(members: Array, gain: Array, starts: Array, rows: Array, n: int) -> Array:
    """Disjoint candidates of a large total gain: the best first, then exchanges while one gains.

    members (C, K) int32 with −1 where a row is shorter, gain (C,) float64 above 0 and falling, starts and rows as from
    candidates_of → (n,) int64, the candidate that holds each lobe, −1 for none.
    """
    chosen = np.full(n, -1, np.int64)
    for c in range(len(members)):
        fits = True
        for lobe in members[c]:
            fits &= lobe < 0 or chosen[lobe] < 0
        if fits:
            for lobe in members[c]:
                if lobe >= 0:
                    chosen[lobe] = c
    none: Any = np.int64(-1)  # plain numbers are types of their own, for which _exchange would be compiled once more
    stamp: Any = np.int64(0)
    state = np.zeros(n, np.int64)
    fresh = np.empty(members.shape[1] ** 2 + 1, np.int64)
    changed = np.zeros(n, np.int64)  # the stamp at which a lobe, or one that shares a candidate with it, last changed
    most, known = np.empty(n), np.full(n, -1, np.int64)
    tried = np.full(len(members), -1, np.int64)
    better = True
    while better:
        better = False
        for c in range(len(members)):
            if chosen[members[c, 0]] == c or not _concerned(members[c], members, chosen, changed, tried[c]):
                continue
            total, n_fresh = _exchange(
                c, none, members, gain, starts, rows, chosen, state, stamp, fresh, most, known, changed, 1e-9)
            tried[c] = stamp
            if total > 1e-9:
                for lobe in members[c]:
                    if lobe >= 0 and chosen[lobe] >= 0:
                        for other in members[chosen[lobe]]:
                            if other >= 0:
                                _tell(other, members, starts, rows, changed, stamp + 1)
                                chosen[other] = -1
                for k in range(n_fresh):
                    for lobe in members[fresh[k]]:
                        if lobe >= 0:
                            _tell(lobe, members, starts, rows, changed, stamp + 1)
                            chosen[lobe] = fresh[k]
                better = True
            stamp += 3
    return chosen


@njit(cache=True, nogil=True)
def _concerned(candidate: Array, members: Array, chosen: Array, changed: Array, tried: int) -> bool:
    """Whether anything that decides what an exchange gains has changed since it was last tried."""
    for lobe in candidate:
        if lobe >= 0:
            if changed[lobe] > tried:
                return True
            if chosen[lobe] >= 0:
                for other in members[chosen[lobe]]:
                    if other >= 0 and changed[other] > tried:
                        return True
    return False


@njit(cache=True, nogil=True)
def _tell(lobe: int, members: Array, starts: Array, rows: Array, changed: Array, stamp: int) -> None:
    """A lobe changes: so it is for all that share a candidate with it."""
    changed[lobe] = stamp
    for at in range(starts[lobe], starts[lobe + 1]):
        for other in members[rows[at]]:
            if other >= 0:
                changed[other] = stamp


@njit(cache=True, nogil=True)
def margins(members: Array, gain: Array, starts: Array, rows: Array, chosen: Array) -> Array:
    """How far every other choice falls short: of each lobe's set, the sum of exp(gain) over the exchanges that undo it.

    Arguments as of ``partition``, with ``chosen`` as it gives them → (n,) float64, equal in the lobes of a set.
    """
    n = len(chosen)
    none: Any = np.int64(-1)  # plain numbers are types of their own, for which _exchange would be compiled once more
    stamp: Any = np.int64(0)
    state = np.zeros(n, np.int64)
    fresh = np.empty(members.shape[1] ** 2 + 1, np.int64)
    most, known, changed = np.empty(n), np.full(n, -1, np.int64), np.zeros(n, np.int64)
    against = np.zeros(n)
    for c in range(len(members)):
        is_chosen = chosen[members[c, 0]] == c
        total, _ = _exchange(none if is_chosen else c, c if is_chosen else none, members, gain, starts, rows, chosen,
                             state, stamp, fresh, most, known, changed, NOTHING)
        stamp += 3
        for lobe in members[c]:
            if lobe < 0:
                continue
            # Once for each set that goes: at the first of its lobes that the candidate holds.
            for other in members[c]:
                if other == lobe or (chosen[lobe] >= 0 and chosen[other] == chosen[lobe]):
                    first = other
                    break
            if first != lobe:
                continue
            if chosen[lobe] < 0:
                against[lobe] += np.exp(total)
                continue
            for member in members[chosen[lobe]]:
                if member >= 0:
                    against[member] += np.exp(total)
    return against
