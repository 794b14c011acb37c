"""Lobes → sets: by the evidence of shape, grey values and particle masks, or by the published neighbour rules."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Final, Self

import numpy as np
from numpy.typing import NDArray

from ..models.errors import SettingsError
from . import evidence, partition
from .evidence import Contacts
from .settings import LOBES_OF, Particle
from .types import F32, I32, Bool

F64 = NDArray[np.float64]

_DISTANCE_BLOCK: Final = 2**22
"""Entries of the distance matrix that are held at once: 32 MB."""
SHARES: Final[dict[str, tuple[float, ...]]] = {
    "sphere": (1.0,),
    "dumbbell": (0.1, 0.9),
    "trimer": (0.05, 0.05, 0.9),
    "chain": (0.04, 0.04, 0.04, 0.88),
}
"""Expected shares of sets of 1, 2, … lobes; the last is of that many and more. What is short of whole is rare."""
ROUNDS: Final = 4
"""How often the composition of a micrograph is taken from the sets that the last one gave."""
UNSEEN: Final = 1.0
"""Sets of every size that are added to those counted, so that no size is ruled out."""
USUAL: Final = 0.75
"""Share of sets from which their size is what particles of a micrograph have, where it was not given."""
INCOMPLETE: Final = {
    "edge": "the border of the analysed area cuts the particle",
    "no neighbour": "too few lobes, and none beside it",
    "neighbours taken": "too few lobes, and all beside it are of particles that are whole",
    "weak evidence": "too few lobes, and not enough speaks for those beside it",
}
"""Why a set is incomplete: as the set table says it, and what it means."""


@dataclass(frozen=True, slots=True)
class Grouping:
    """N lobes in S sets."""

    sets: I32
    """(N,) set of each lobe, 0 to S − 1 in the order of each set's first lobe; −1 in no set."""
    confidence: F64
    """(S,) probability that the set has all lobes of one particle and no other, 0–1; NaN where none is known."""
    incomplete: NDArray[np.str_]
    """(S,) why lobes of the particle may be missing from the set, see ``INCOMPLETE``; empty where none is."""
    shares: tuple[float, ...] = ()
    """Of sets of 1, 2, … lobes, as found in this micrograph; empty where they were given."""

    @classmethod
    def told(cls, sets: I32) -> Self:
        """Sets, (N,) as above, by rules that tell nothing more about them."""
        n = int(sets.max(initial=-1)) + 1
        return cls(sets, np.full(n, np.nan), np.zeros(n, "<U20"))

    def within(self, counts: Bool) -> Grouping:
        """The same where these are the lobes that count among all (M,); the others are in no set."""
        sets = np.full(len(counts), -1, np.int32)
        sets[counts] = self.sets
        return replace(self, sets=sets)


def group_by_evidence(found: Contacts, iou: F32, particle: Particle) -> Grouping:
    """The best partition into sets, given what speaks for each pair of neighbours and how large particles are.

    Parameters: ``found`` the neighbours among N lobes; ``iou`` (N,) predicted IoU of the lobes, 0–1; ``particle`` what
    sets are expected: where it is "auto", how many lobes they have is taken from the sets themselves.
    """
    n = len(iou)
    weight = evidence.log_odds(found)
    cut = found.touches_edge
    tried = partition.candidates(n, found.pairs, weight, LOBES_OF[particle] or partition.LARGEST)
    if particle != "auto":
        best = partition.part(n, tried, _gain(tried, cut, SHARES[particle]))
        if particle == "chain":
            best = partition.grown(best, found.pairs, weight)
        return Grouping(best.sets, _confidence(best, iou, found),
                        _incomplete(best.sets, found, len(SHARES[particle])))
    shares = (1 / partition.LARGEST,) * partition.LARGEST
    for remaining in reversed(range(ROUNDS)):
        best = partition.part(n, tried, _gain(tried, cut, shares), odds=not remaining)
        size = np.bincount(best.sets)
        whole = size[np.bincount(best.sets, weights=cut, minlength=len(size)) == 0]
        count = np.bincount(np.minimum(whole, partition.LARGEST), minlength=partition.LARGEST + 1)[1:] + UNSEEN
        shares = tuple((count / count.sum()).tolist())
    best = partition.grown(best, found.pairs, weight)
    usual = int(np.argmax(shares)) + 1 if max(shares) >= USUAL else 1
    return Grouping(best.sets, _confidence(best, iou, found), _incomplete(best.sets, found, usual), shares)


def _gain(tried: partition.Candidates, cut: Bool, shares: tuple[float, ...]) -> F64:
    """(C,) log-odds of each set that was tried against its lobes being particles of their own.

    A set that the border of the image cuts may have had any number of lobes more.
    """
    share = np.array(shares)
    whole, more = np.log(share), np.log(np.cumsum(share[::-1])[::-1])
    alone = np.where(cut, more[0], whole[0])
    present = tried.members >= 0
    reaches = (cut[tried.members] & present).any(1)
    place = np.minimum(tried.size, len(share)) - 1
    gain: F64 = tried.links + np.where(reaches, more[place], whole[place])
    gain -= np.where(present, alone[tried.members], 0.0).sum(1)
    return gain


def _incomplete(sets: I32, found: Contacts, least: int) -> NDArray[np.str_]:
    """(S,) why each set may lack lobes, where it has fewer than ``least`` or the border of the image cuts it."""
    size = np.bincount(sets)
    short = size < least
    beside = sets[found.pairs]
    apart = beside[beside[:, 0] != beside[:, 1]]
    some, open_ = np.zeros(len(size), bool), np.zeros(len(size), bool)
    for one, other in (apart.T, apart[:, ::-1].T):
        some[one] = True
        open_[one[short[other]]] = True
    at_edge = np.bincount(sets, weights=found.touches_edge, minlength=len(size)) > 0
    reasons = [at_edge, short & ~some, short & ~open_, short]
    return np.select(reasons, list(INCOMPLETE), "").astype("<U20")


def _confidence(best: partition.Partition, iou: F32, found: Contacts) -> F64:
    """(S,) the calibrated probability of each set."""
    n_sets = int(best.sets.max(initial=-1)) + 1
    first = np.unique(best.sets, return_index=True)[1]
    least, cut = np.ones(n_sets), np.zeros(n_sets, bool)
    np.minimum.at(least, best.sets, iou)
    cut[best.sets[found.touches_edge]] = True
    return evidence.confidence(best.odds[first], np.bincount(best.sets, minlength=n_sets), least, cut, found.voted)


def remarks(found: Grouping) -> Iterator[str]:
    """What the composition was found to be, one sentence, where it was not given."""
    names = ("spheres", "dumbbells", "trimers", "chains of four", "chains of five", "longer chains")
    parts = [f"{share:.0%} {name}" for name, share in zip(names, found.shares, strict=False) if share >= 0.01]
    if parts and len(found.confidence):
        yield (f"How many lobes a particle has was taken from the micrograph itself: {', '.join(parts)}; "
               "--particle says it.")


def group_published(centroids: F64, axis_major_length: F64, particle: Particle) -> Grouping:
    """Sets by the neighbour rules of Monteiro et al., Sci. Rep. 15, 2341 (2025).

    Dumbbells: a pair is made where a lobe is the nearest of its own n-th nearest (n = 1, 2, 3 in turn), lobes
    being visited in order of their centroid (row, then column); the pair stays where the centres are nearer
    than half the sum of the major axes. Trimers: each lobe proposes itself and its two nearest, each takes of
    the proposals that hold it the one whose proposer is nearest to its two (sum of both distances), and a
    proposal that all three take is a set. Spheres: every lobe is a set.

    Parameters: ``centroids`` (N, 2) float64, (row, col), px; ``axis_major_length`` (N,) float64, px.

    Raises SettingsError where ``particle`` is "auto" or "chain", for which the paper has no rules.
    """
    n = len(centroids)
    if particle not in ("sphere", "dumbbell", "trimer"):
        raise SettingsError("The published grouping has other rules for each particle: name it (sphere, "
                            f"dumbbell or trimer) instead of {particle}, or group by evidence.")
    if particle == "sphere":
        return Grouping.told(np.arange(n, dtype=np.int32))
    order = np.lexsort((centroids[:, 1], centroids[:, 0]))
    sets = np.full(n, -1, np.int32)
    rule = _trimers if particle == "trimer" else _dumbbells
    for group in rule(centroids[order], axis_major_length[order]):
        sets[order[group]] = order[group].min()
    inside = sets >= 0
    sets[inside] = np.unique(sets[inside], return_inverse=True)[1]
    return Grouping.told(sets)


def _dumbbells(centroids: F64, axis_major_length: F64) -> Iterator[list[int]]:
    neighbour, distance = _nearest(centroids, 3)
    partner = np.full(len(centroids), -1)
    for n in range(neighbour.shape[1]):
        for i, j in enumerate(neighbour[:, n]):
            if partner[i] < 0 and partner[j] < 0 and neighbour[j, 0] == i:
                partner[i], partner[j] = j, i
                if distance[i, n] < (axis_major_length[i] + axis_major_length[j]) / 2:
                    yield [i, int(j)]


def _trimers(centroids: F64, _axis_major_length: F64) -> Iterator[list[int]]:
    neighbour, distance = _nearest(centroids, 2)
    if neighbour.shape[1] < 2:
        return
    proposals = np.column_stack((np.arange(len(centroids)), neighbour))
    taken = np.full(len(centroids), -1)
    for i in np.argsort(distance.sum(axis=1), kind="stable")[::-1]:  # the nearest last: it overwrites
        taken[proposals[i]] = i
    for i, lobes in enumerate(proposals):
        if (taken[lobes] == i).all():
            yield lobes.tolist()


def _nearest(centroids: F64, k: int) -> tuple[NDArray[np.intp], F64]:
    """The k nearest others of each lobe, nearest first, and their distances, px; both (N, k).

    k is less where there are fewer others. Equal distances: the lobe that comes first.
    """
    n = len(centroids)
    k = max(min(k, n - 1), 0)
    neighbour, distance = np.empty((n, k), np.intp), np.empty((n, k))
    rows = max(1, _DISTANCE_BLOCK // max(n, 1))
    for start in range(0, n, rows):
        block = np.arange(start, min(start + rows, n))
        apart = sum(np.subtract.outer(axis[block], axis) ** 2 for axis in centroids.T)
        line = np.arange(len(block))
        apart[line, block] = np.inf
        for m in range(k):
            nearest = apart.argmin(axis=1)
            neighbour[block, m], distance[block, m] = nearest, np.sqrt(apart[line, nearest])
            apart[line, nearest] = np.inf
    return neighbour, distance
