"""Branch and bound over the ways to part lobes into sets; bare, no validation. See partition."""

# mypy: allow-untyped-decorators
from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from .caches import njit

Array = NDArray[Any]


@njit(cache=True, nogil=True)
def search(members: Array, gain: Array, starts: Array, rows: Array, chosen: Array, most_steps: int) -> None:
    """Branch and bound in each group of connected lobes, from the partition in ``chosen``, which it changes.

    Arguments as of ``kernels_partition.partition``, chosen (n,) int64 as it gives them. Exact for every group of lobes
    that candidates connect where trying all takes at most ``most_steps`` steps.

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
