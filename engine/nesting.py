"""Roles for masks without any, as SAM's: which are lobes and which whole particles, from what lies in what.

A mask that two or more smaller ones tile is a whole; what nothing tiles is a lobe. A whole says which lobes belong
together, as the particle masks do that other models give.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any, Final, NamedTuple

import cv2
import numpy as np
from numpy.typing import NDArray

from . import kernels_nesting, masks, partition
from .crop import Found
from .ragged import Patches
from .types import F32, I32, I64, U8, Bool, Role

_NONE: Final = np.zeros(0, np.int64)

SAME: Final = 0.85
"""IoU of two masks at which they are one, seen twice: a dumbbell's larger lobe has less with the whole."""
WITHIN: Final = 0.85
"""Share of a mask, 0–1, that lies in the mask that holds it."""
HELD: Final = 0.6
"""Share of a lobe, 0–1, that lies in its whole at least, where it is not within any."""
SMALLER: Final = 0.85
"""Area of a mask ÷ that of the mask that holds it, at most."""
TILED: Final = 0.75
"""Share of a whole, 0–1, that its lobes hold together at least."""
CONVEX: Final = 0.85
"""Area ÷ area of the convex hull that a mask has at least if it is one lobe with spots on it, and if it is thin."""
THIN: Final = 0.4
"""Radius of the largest disc in a mask ÷ that of the disc of its area, below which it is thin."""
FREE: Final = 0.25
"""Share of the outline of a lobe, 0–1, that runs along the outline of its whole at least; a spot on a lobe has less."""
RIM: Final = 2.5
"""How far from an outline another still runs along it, px."""
SPOTS: Final = 3
"""Most spots on a lobe; what holds more that do not tile it is ground."""
ALONE: Final = 0.95
"""How sure it is that a lobe in no whole is a particle of its own, 0–1."""


class Nested(NamedTuple):
    """What is left of N masks."""

    lobes: I64
    """(L,) indices, in the order given."""
    whole: I64
    """(L,) index of the smallest whole that holds the lobe, −1 where none does."""


def with_roles(found: Found) -> Found:
    """What a tile gave, its masks told apart where the model says of none what it is; else as it was.

    Each lobe has its whole for a particle mask; one in no whole has itself, as sure as ``ALONE`` says.
    """
    given = found.lobes
    if Role.UNKNOWN not in given.role:
        return found
    nested = nest(given)
    lobes, held = given[nested.lobes], np.flatnonzero(nested.whole >= 0)
    alone = np.flatnonzero(nested.whole < 0)
    own = replace(lobes[alone], logits=np.minimum(lobes[alone].logits, np.float32(np.log(ALONE / (1 - ALONE)))))
    particles = Patches.concatenate([given[nested.whole[held]], own])
    return replace(found, lobes=_as(lobes, Role.LOBE), particles=_as(particles, Role.PARTICLE),
                   lobe_of_particle=np.append(held, alone))  # fmt: skip


def nest(given: Patches) -> Nested:
    """Lobes among N masks of which none says what it is, and the wholes that hold them.

    From the smallest to the largest: a mask in which no lobe lies is a lobe, and one that two or more tile is a whole.
    Where lobes lie in it that do not tile it, they are spots on it if it is convex and its outline is not theirs; if
    not, it is a whole of which lobes were not seen. Of masks that are the same the one of the highest predicted IoU
    stays; slivers, thin and bent, go.
    """
    ragged = given.plain
    n = len(given)
    area = np.array([np.count_nonzero(given.patch(i) > 0) for i in range(n)], np.int64)
    overlaps = _overlaps(ragged, area)
    real = (area > 0) & ~overlaps.duplicates(given.iou)
    inside = overlaps.inside(real, WITHIN)
    lobe, whole = np.zeros(n, bool), np.zeros(n, bool)
    for i in np.flatnonzero(real)[np.argsort(area[real], kind="stable")].tolist():
        shape = kernels_nesting.remainder(*ragged, i, _NONE)
        if _is_sliver(shape):
            continue
        members = inside[i][lobe[inside[i]]]
        rest = kernels_nesting.remainder(*ragged, i, members)
        if len(members) == 0:
            lobe[i] = True
        elif len(members) > 1 and 1 - np.count_nonzero(rest) / area[i] >= TILED:
            whole[i] = True
        elif len(members) <= SPOTS and _are_spots(shape, rest):
            lobe[members] = False
            lobe[i] = True
        else:
            whole[i] = True
    lobes = np.flatnonzero(lobe)
    nearly = overlaps.inside(real & lobe, HELD)
    wholes = np.flatnonzero(whole)[np.argsort(-area[whole], kind="stable")]
    holder = np.full(n, -1, np.int64)
    for members_of in (nearly, inside):
        for i in wholes.tolist():
            members = members_of[i][lobe[members_of[i]]]
            # With room for more lobes than a particle has it is a cluster.
            if area[i] <= partition.LARGEST * area[members].max(initial=0):
                holder[members] = i
    return Nested(lobes, holder[lobes])


class _Overlaps(NamedTuple):
    """K pairs of N masks that share pixels, either way round."""

    one: I64
    other: I64
    shared: I64
    """(K,) px."""
    area: I64
    """(N,) px."""

    def duplicates(self, score: NDArray[Any]) -> Bool:
        """(N,) bool: a mask that stays is the same, and scores better."""
        iou = self.shared / (self.area[self.one] + self.area[self.other] - self.shared)
        same = iou >= SAME
        gone = np.zeros(len(self.area), bool)
        one, other = self.one[same], self.other[same]
        for i in np.argsort(-score, kind="stable").tolist():
            if not gone[i]:
                gone[other[one == i]] = True
        return gone

    def inside(self, real: Bool, share: float) -> list[I64]:
        """Of each mask the real ones of which a share, 0–1, lies in it, and that are clearly smaller."""
        within = (self.shared >= share * self.area[self.one]) & (
            self.area[self.one] <= SMALLER * self.area[self.other]) & real[self.one]  # fmt: skip
        inner, outer = self.one[within], self.other[within]
        order = np.argsort(outer, kind="stable")
        ends = np.searchsorted(outer[order], np.arange(1, len(self.area)))
        return np.split(inner[order], ends)


def _overlaps(ragged: tuple[I32, I64, F32], area: I64) -> _Overlaps:
    capacity = 16 * len(area)
    while True:
        size, pairs, shared = kernels_nesting.shared(*ragged, capacity)
        if size <= capacity:
            break
        capacity = size
    (one, other), shared = pairs[:size].T, shared[:size]
    return _Overlaps(np.append(one, other), np.append(other, one), np.append(shared, shared), area)


def _are_spots(shape: U8, rest: U8) -> bool:
    """Whether a mask (h, w) is convex, and what is gone where ``rest`` is left does not lie along its outline."""
    if masks.solidity(shape) < CONVEX:
        return False
    gone = np.pad(shape - rest, 1)
    outline = (gone - cv2.erode(gone, np.ones((3, 3), np.uint8))) > 0
    return bool((_depth(shape)[outline] <= RIM).mean() < FREE)


def _depth(shape: U8) -> F32:
    """(h + 2, w + 2) distance of the pixels of a mask (h, w) to the outside, px."""
    return np.asarray(cv2.distanceTransform(np.pad(shape, 1), cv2.DIST_L2, 3), np.float32)


def _is_sliver(shape: U8) -> bool:
    """Whether a mask (h, w) is thin and bent: what is left of a disc, or runs around one."""
    radius = np.sqrt(np.count_nonzero(shape) / np.pi)
    return bool(_depth(shape).max() < THIN * radius) and masks.solidity(shape) < CONVEX


def _as(patches: Patches, role: Role) -> Patches:
    return replace(patches, role=np.full(len(patches), role, np.uint8))
