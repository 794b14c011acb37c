"""Tiles → one label image: each lobe once and whole, whichever tiles saw it.

Only the label image is as large as the micrograph. Of a tile there remain the scores of its lobes, one pixel of each,
and how strongly they hang together; by that pixel a lobe that two tiles saw is known to be one.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from types import MappingProxyType
from typing import Any, Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from . import claims, kernels, masks, nesting, outline, pieces, votes
from .crop import Found
from .outline import Gathered, Outlines
from .preprocess import Tile
from .ragged import Patches
from .types import F32, I32, I64, Area, Bool, Role
from .votes import F64, Votes

MARGIN: Final = 8
"""How far from its core a tile still places lobes, px: two tiles may differ that much about a lobe's middle."""


_NONE: Final[Mapping[str, Any]] = MappingProxyType({})


class Whole(NamedTuple):
    """All tiles together."""

    labels: I32
    """(H, W): 0 is background, lobe i is label i + 1."""
    iou: F32
    """(N,) predicted IoU of the lobes, 0–1."""
    stability: F32
    """(N,) their stability scores, 0–1."""
    votes: Votes
    """Of the model's particle masks."""
    cut: int
    """Pixels that went to the background, as they no longer hung together with the rest of their lobe."""
    joined: int
    """Lobes that became part of another, of which they were pieces; where tiles overlap they count in each."""
    outlines: Outlines
    """Of the N lobes, from their logits, calibrated."""


class Disjoint(NamedTuple):
    """A tile's lobes without overlap."""

    labels: I32
    """(h, w): lobe i is label i + 1."""
    found: Found
    """The lobes that are left, in px of the tile, best first."""
    cut: int
    """As in ``Whole``."""
    joined: int
    """Lobes that became part of another."""


def disjoint(
    found: Found, tile: Area, max_overlap: float, fill: bool = False, pixels: NDArray[Any] | None = None
) -> Disjoint:
    """Every pixel of a tile to one of its lobes; what reaches all four edges of the tile is ground, not a lobe.

    See ``masks.resolve``, ``claims`` for ``fill``, and ``pieces`` for ``pixels``, (h, w) grey values by which pieces of
    one lobe are told; None: they are not.
    """
    corner = np.array([tile.col0, tile.row0] * 2, np.int32)
    told = Role.UNKNOWN not in found.lobes.role
    found = nesting.with_roles(found)
    found = replace(found, lobes=replace(found.lobes, boxes=found.lobes.boxes - corner),
                    particles=replace(found.particles, boxes=found.particles.boxes - corner))  # fmt: skip
    if told:
        found = found[np.flatnonzero(~_spans(found.lobes, tile))]
    order = np.argsort(-found.lobes.iou, kind="stable")
    resolved = masks.resolve(found.lobes, order, tile.shape, max_overlap)
    if fill:
        found = claims.claimed(found[resolved.kept], tile.shape)
        resolved = masks.resolve(found.lobes, np.arange(len(found.lobes)), tile.shape, 1.0)
    apart = found[resolved.kept]
    whole = apart if pixels is None or not told else pieces.joined(apart, resolved.labels, pixels)
    if whole is apart:
        return Disjoint(resolved.labels, apart, resolved.cut, 0)
    joined = len(apart.lobes) - len(whole.lobes)
    resolved = masks.resolve(whole.lobes, np.arange(len(whole.lobes)), tile.shape, 1.0)
    return Disjoint(resolved.labels, whole[resolved.kept], resolved.cut, joined)


def _spans(lobes: Patches, tile: Area) -> Bool:
    """(N,) bool: a mask, px of the tile, reaches all its edges."""
    tight = lobes.tight
    height, width = tile.shape
    return np.asarray((tight <= 0)[:, :2].all(1) & (tight >= [width, height] * 2)[:, 2:].all(1), np.bool_)


class Mosaic:
    """The label image of a micrograph as tiles are added to it, in any order; earlier ones keep their pixels."""

    def __init__(
        self, shape: tuple[int, int], max_overlap: float, fill: bool = False, calibration: Mapping[str, Any] = _NONE,
        pixels: NDArray[Any] | None = None,
    ) -> None:  # fmt: skip
        self.labels = np.zeros(shape, np.int32)
        self.pixels = pixels
        self.max_overlap, self.fill, self.calibration = max_overlap, fill, calibration
        self.cut = self.joined = 0
        self._scores: list[tuple[F32, F32]] = []
        self._outlines = Gathered()
        self._n = 0
        self._votes: list[tuple[I64, F64]] = []
        """Of each pair with votes the pixel of one lobe and of the other, flat in the image; and the amount."""

    def add(self, tile: Tile, found: Found) -> None:
        """Make a tile's lobes disjoint, and place those whose middle lies in its core and is not taken yet."""
        area = tile.area
        pixels = None if self.pixels is None else self.pixels[area.slices]
        labels, kept, cut, joined = disjoint(found, area, self.max_overlap, self.fill, pixels)
        self.cut += cut
        self.joined += joined
        if len(kept.lobes) == 0:
            return
        column, row = masks.deepest_points(labels).astype(np.int64).T
        middle = (row + area.row0) * self.labels.shape[1] + column + area.col0
        core = tile.core
        ours = (abs(row + area.row0 + 0.5 - (core.row0 + core.row1) / 2) < core.shape[0] / 2 + MARGIN) & (
            abs(column + area.col0 + 0.5 - (core.col0 + core.col1) / 2) < core.shape[1] / 2 + MARGIN
        )
        # A particle mask votes in the tile whose core has its lobe: there it is whole.
        cast = votes.count(labels, kept.particles[ours[kept.lobe_of_particle]])
        self._votes.append((middle[cast.pairs], cast.amount))
        self._place(area, labels, ours, kept.lobes)

    def _place(self, area: Area, labels: I32, ours: Bool, lobes: Patches) -> None:
        """Give the free pixels of a tile to its lobes that are ours."""
        whole = self.labels[area.slices]
        n = len(lobes)
        free = np.where(whole == 0, labels, 0)
        before, after = (np.bincount(part.ravel(), minlength=n + 1)[1:] for part in (labels, free))
        placed = ours & (before - after <= self.max_overlap * before)
        free *= np.append(False, placed)[free]
        parts = kernels.largest_parts(np.ascontiguousarray(free), n)
        self.cut += int(np.count_nonzero(free) - np.count_nonzero(parts))
        present = np.flatnonzero(np.bincount(parts.ravel(), minlength=n + 1)[1:])
        number = np.zeros(n + 1, np.int32)
        number[1 + present] = self._n + 1 + np.arange(len(present), dtype=np.int32)
        whole += number[parts]
        self._n += len(present)
        self._scores.append((lobes.iou[present], lobes.stability[present]))
        outlines = outline.of_patches(parts, labels, lobes, (area.col0, area.row0))
        self._outlines.add(outline.calibrated(outlines, self.calibration))

    def finish(self) -> Whole:
        """What all tiles gave together."""
        none = np.empty(0, np.float32)
        iou, stability = (np.concatenate([none, *(s[k] for s in self._scores)]) for k in (0, 1))
        pairs = [self.labels.ravel()[pixels].astype(np.int64) - 1 for pixels, _ in self._votes]
        cast = Votes.summed(self._n, pairs, [amount for _, amount in self._votes])
        return Whole(self.labels, iou, stability, cast, self.cut, self.joined, self._outlines.whole())
