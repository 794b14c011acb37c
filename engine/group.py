"""Lobes → sets: by the model's own particle masks, or by the neighbour rules of the published method."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from ..models.errors import SettingsError
from . import kernels_measure
from .ragged import Patches
from .settings import Particle
from .types import F32, I32

F64 = NDArray[np.float64]

_DISTANCE_BLOCK: Final = 2**22
"""Entries of the distance matrix that are held at once: 32 MB."""


LINK: Final = 0.2
"""Affinity from which two lobes are held to be of one particle: on rendered scenes of trimers two of three pairs of one
particle lie above 0.44 (the far ends of a trimer hardly know of each other), 99 of 100 between particles below 0.17."""


def affinity(labels: I32, patches: Patches, lobe_of_patch: NDArray[np.integer[Any]]) -> tuple[I32, F32]:
    """How much the model holds two lobes to be of one particle.

    Parameters: ``labels`` (H, W) int32, lobe i is label i + 1; ``patches`` K particle masks in px of the same
    image; ``lobe_of_patch`` (K,) int, the lobe whose prompt gave the particle mask.

    Returns ``pairs`` (M, 2) int32, i < j, in ascending order, every pair where one lobe has pixels in the box
    of the other's particle mask, and ``weight`` (M,) float32, 0–1: the mean over the pixels of lobe j of the
    sigmoid of the particle logit prompted in lobe i (0 outside its box), and the same with i and j exchanged,
    averaged. Of a lobe with several particle masks their mean is taken; of a lobe without, the other's alone.

    Raises ValueError where the arrays do not belong together.
    """
    labels = np.ascontiguousarray(labels, np.int32)
    height, width = labels.shape
    n = int(labels.max(initial=0))
    owner = np.asarray(lobe_of_patch, np.int64)
    if len(owner) != len(patches) or (len(owner) and not 0 <= owner.min() <= owner.max() < n):
        raise ValueError(f"affinity: lobe_of_patch {owner.shape} does not name one of {n} lobes for each of "
                         f"{len(patches)} particle masks")
    if len(owner) and (patches.boxes.min() < 0 or patches.boxes[:, 2].max() > width
                       or patches.boxes[:, 3].max() > height):
        raise ValueError(f"affinity: a particle mask reaches out of the image of {height} × {width} px")
    capacity = 32 * len(owner)
    while True:
        size, patch, label, total = kernels_measure.patch_sums(
            labels, patches.boxes, patches.offsets, patches.logits, n, capacity)
        if size <= capacity:
            break
        capacity = size
    patch, label, total = patch[:size], label[:size], total[:size]
    area = np.bincount(labels.ravel(), minlength=n + 1)
    masks_of = np.bincount(owner, minlength=n)
    one, other = owner[patch], label - 1
    mean = total / area[label] / masks_of[one]
    low, high = np.minimum(one, other), np.maximum(one, other)
    key, where = np.unique((low * n + high)[low < high], return_inverse=True)
    pairs = np.stack(np.divmod(key, max(n, 1)), axis=1)
    directions = np.minimum(masks_of, 1)[pairs].sum(axis=1)
    weight = np.bincount(where, weights=mean[low < high], minlength=len(key)) / directions
    return pairs.astype(np.int32), np.minimum(weight, 1).astype(np.float32)


def group_by_model(n_lobes: int, pairs: I32, weight: F32, max_lobes: int, threshold: float = LINK) -> I32:
    """Sets by single linkage: again and again the two groups with the strongest link become one.

    Single, as the particle mask asked for at one end of a particle holds the lobe beside it, but often not the
    one at the far end. Parameters: ``pairs`` (M, 2) int32 of different lobes, each pair once, and ``weight`` (M,)
    float32 0–1, as from ``affinity``. Links below ``threshold`` do not count, and groups of more than
    ``max_lobes`` are not made (0: any size). Of equal links the first listed goes first.

    Returns (n_lobes,) int32, the set of each lobe, 0 to S − 1 in the order of each set's first lobe.
    """
    members = [[i] for i in range(n_lobes)]
    order = np.argsort(-weight, kind="stable")
    for i, j in pairs[order[weight[order] >= threshold]].tolist():
        one, other = members[i], members[j]
        if one is other or (max_lobes and len(one) + len(other) > max_lobes):
            continue
        one += other
        for lobe in other:
            members[lobe] = one
    first = np.array([min(group) for group in members], np.int64)
    return np.unique(first, return_inverse=True)[1].astype(np.int32).reshape(n_lobes)


def group_published(centroids: F64, axis_major_length: F64, particle: Particle) -> I32:
    """Sets by the neighbour rules of Monteiro et al., Sci. Rep. 15, 2341 (2025).

    Dumbbells: a pair is made where a lobe is the nearest of its own n-th nearest (n = 1, 2, 3 in turn), lobes
    being visited in order of their centroid (row, then column); the pair stays where the centres are nearer
    than half the sum of the major axes. Trimers: each lobe proposes itself and its two nearest, each takes of
    the proposals that hold it the one whose proposer is nearest to its two (sum of both distances), and a
    proposal that all three take is a set. Spheres: every lobe is a set.

    Parameters: ``centroids`` (N, 2) float64, (row, col), px; ``axis_major_length`` (N,) float64, px.

    Returns (N,) int32, the set of each lobe, 0 to S − 1 in the order of each set's first lobe; −1 in no set.
    Raises SettingsError where ``particle`` is "auto": the rules differ from particle to particle.
    """
    n = len(centroids)
    if particle == "auto":
        raise SettingsError("The published grouping has other rules for each particle: name it (sphere, "
                            "dumbbell or trimer) instead of auto, or group by the model.")
    if particle == "sphere":
        return np.arange(n, dtype=np.int32)
    order = np.lexsort((centroids[:, 1], centroids[:, 0]))
    sets = np.full(n, -1, np.int32)
    rule = _trimers if particle == "trimer" else _dumbbells
    for group in rule(centroids[order], axis_major_length[order]):
        sets[order[group]] = order[group].min()
    inside = sets >= 0
    sets[inside] = np.unique(sets[inside], return_inverse=True)[1]
    return sets


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
