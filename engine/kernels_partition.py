"""Loops over the ways to part lobes into sets; bare, no validation. See partition."""

# mypy: allow-untyped-decorators
from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from .caches import njit

Array = NDArray[Any]


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
def _exchange(add: int, drop: int, members: Array, gain: Array, starts: Array, rows: Array, chosen: Array,
              state: Array, stamp: int, fresh: Array) -> tuple[float, int]:
    """What is gained where candidate ``add`` is chosen and ``drop`` is not (−1: none), and how many are new.

    Chosen candidates that share a lobe with ``add`` go; then the best that fit take the lobes that became free, again
    and again. fresh (≥ n_lobes of all involved,) int64 is filled with the new ones, ``add`` first. state (n,) int64 is
    scratch that holds numbers up to ``stamp``: afterwards ``stamp`` + 1 marks free lobes, + 2 those of new candidates.
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
    while True:
        best = len(members)
        for k in range(n_freed):
            if state[freed[k]] != stamp + 1:
                continue
            for at in range(starts[freed[k]], starts[freed[k] + 1]):
                if rows[at] >= best:
                    break  # they ascend, and gains fall with them
                fits = rows[at] != drop
                for lobe in members[rows[at]]:
                    fits &= lobe < 0 or state[lobe] == stamp + 1 or (chosen[lobe] < 0 and state[lobe] <= stamp)
                if fits:
                    best = rows[at]
                    break
        if best == len(members):
            return total, n_fresh
        total += gain[best]
        fresh[n_fresh] = best
        n_fresh += 1
        for lobe in members[best]:
            if lobe >= 0:
                state[lobe] = stamp + 2


@njit(cache=True, nogil=True)
def partition(members: Array, gain: Array, starts: Array, rows: Array, n: int, most_steps: int) -> Array:
    """Disjoint candidates of the largest total gain: the best first, exchanges while one gains, then what is exact.

    members (C, K) int32 with −1 where a row is shorter, gain (C,) float64 above 0 and falling, starts and rows as from
    candidates_of → (n,) int64, the candidate that holds each lobe, −1 for none. Exact for every group of lobes that
    candidates connect where trying all takes at most ``most_steps`` steps.
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
    better = True
    while better:
        better = False
        for c in range(len(members)):
            if chosen[members[c, 0]] == c:
                continue
            total, n_fresh = _exchange(c, none, members, gain, starts, rows, chosen, state, stamp, fresh)
            if total > 1e-9:
                for lobe in members[c]:
                    if lobe >= 0 and chosen[lobe] >= 0:
                        for other in members[chosen[lobe]]:
                            if other >= 0:
                                chosen[other] = -1
                for k in range(n_fresh):
                    for lobe in members[fresh[k]]:
                        if lobe >= 0:
                            chosen[lobe] = fresh[k]
                better = True
            stamp += 3
    _search(members, gain, starts, rows, chosen, most_steps)
    return chosen


@njit(cache=True, nogil=True)
def _search(members: Array, gain: Array, starts: Array, rows: Array, chosen: Array, most_steps: int) -> None:
    """Branch and bound in each group of connected lobes, from the partition in ``chosen``, which it changes.

    A lobe goes to one of its candidates or stays alone; no partition gains more than the free lobes' best shares.
    """
    n = len(chosen)
    share = np.zeros(n)
    for c in range(len(members)):
        size = 0
        for lobe in members[c]:
            size += lobe >= 0
        for lobe in members[c]:
            if lobe >= 0:
                share[lobe] = max(share[lobe], gain[c] / size)
    seen = np.zeros(n, np.bool_)
    group = np.empty(n, np.int64)
    taken = np.full(n, -1, np.int64)
    at = np.empty(n + 1, np.int64)  # of the lobe at each depth: which of its candidates is tried, the last is none
    lobe_at = np.empty(n + 1, np.int64)
    for first in range(n):
        if seen[first] or starts[first] == starts[first + 1]:
            continue
        size, k = 1, 0
        group[0] = first
        seen[first] = True
        while k < size:
            for row in range(starts[group[k]], starts[group[k] + 1]):
                for lobe in members[rows[row]]:
                    if lobe >= 0 and not seen[lobe]:
                        seen[lobe] = True
                        group[size] = lobe
                        size += 1
            k += 1
        best, bound = 0.0, 0.0
        for k in range(size):
            bound += share[group[k]]
            c = chosen[group[k]]
            if c >= 0 and members[c, 0] == group[k]:
                best += gain[c]
        value, depth, steps = 0.0, 0, 0
        lobe_at[0], at[0] = 0, starts[group[0]] - 1
        while depth >= 0 and steps < most_steps:
            steps += 1
            place = lobe_at[depth]
            lobe = group[place]
            if at[depth] >= starts[lobe]:  # take back what was tried
                if at[depth] == starts[lobe + 1]:
                    bound += share[lobe]
                    taken[lobe] = -1
                    depth -= 1
                    continue
                c = rows[at[depth]]
                value -= gain[c]
                for member in members[c]:
                    if member >= 0:
                        taken[member] = -1
                        bound += share[member]
            at[depth] += 1
            while at[depth] < starts[lobe + 1]:
                fits = True
                for member in members[rows[at[depth]]]:
                    fits &= member < 0 or taken[member] == -1
                if fits:
                    break
                at[depth] += 1
            if at[depth] < starts[lobe + 1]:
                c = rows[at[depth]]
                value += gain[c]
                for member in members[c]:
                    if member >= 0:
                        taken[member] = c
                        bound -= share[member]
            else:
                taken[lobe] = -2
                bound -= share[lobe]
            if value + bound <= best + 1e-9:
                continue
            while place < size and taken[group[place]] != -1:
                place += 1
            if place < size:
                depth += 1
                lobe_at[depth], at[depth] = place, starts[group[place]] - 1
                continue
            best = value
            for k in range(size):
                chosen[group[k]] = max(taken[group[k]], -1)
        for k in range(size):
            taken[group[k]] = -1


@njit(cache=True, nogil=True)
def margins(members: Array, gain: Array, starts: Array, rows: Array, chosen: Array) -> tuple[Array, Array]:
    """How far every other choice falls short: of each lobe's set, the sum of exp(gain) over the exchanges that undo it.

    Arguments as of ``partition``, which gave ``chosen`` → against (n,) float64, and best (n,) float64, the gain of the
    best exchange (≤ 0 but for groups too large to be exact; −inf where there is none), equal in the lobes of a set.
    """
    n = len(chosen)
    none: Any = np.int64(-1)  # plain numbers are types of their own, for which _exchange would be compiled once more
    stamp: Any = np.int64(0)
    state = np.zeros(n, np.int64)
    fresh = np.empty(members.shape[1] ** 2 + 1, np.int64)
    against, best = np.zeros(n), np.full(n, -np.inf)
    for c in range(len(members)):
        is_chosen = chosen[members[c, 0]] == c
        total, _ = _exchange(none if is_chosen else c, c if is_chosen else none, members, gain, starts, rows, chosen,
                             state, stamp, fresh)
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
                best[lobe] = max(best[lobe], total)
                continue
            for member in members[chosen[lobe]]:
                if member >= 0:
                    against[member] += np.exp(total)
                    best[member] = max(best[member], total)
    return against, best
