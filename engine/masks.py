"""From low-resolution candidates to masks: upsampled in their boxes, cleaned, without overlap, as runs."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any, Final, NamedTuple

import cv2
import numpy as np
from numpy.typing import NDArray

from . import kernels
from .types import F32, I32, I64, Area, Bool, Candidates, Frame, Masks, Patches

FAINT: Final = 1e-3
"""Logit of a filled hole, and its negative that of a removed island: nearly every other claim is stronger."""


class Resolved(NamedTuple):
    """Patches without overlap."""

    labels: I32
    """(H, W): 0 is background, label k + 1 is patch ``kept[k]``."""
    kept: I64
    """(K,) indices of the patches that are left, in the order given."""
    cut: int
    """Pixels that went to the background, as they no longer hung together with the rest of their label."""


def stability(logits: NDArray[Any], offset: float) -> F32:
    """(N, h, w) logits → (N,) float32, 0–1: IoU of the masks at logit > ``offset`` and > ``-offset``.

    SAM's ``calculate_stability_score`` at threshold 0; where nothing exceeds ``-offset`` it is 0.
    """
    n, h, w = logits.shape
    scores: F32 = kernels.stability(_plain(logits, np.float32).reshape(n, h * w), float(offset))
    return scores


def cut_by_window(candidates: Candidates, cells: tuple[int, int]) -> Bool:
    """(N,) bool: a mask (logit > 0) reaches a side of its window behind which the tile goes on.

    ``cells`` is (height, width) of the whole tile in mask cells.
    """
    _, h, w = candidates.logits.shape
    x0, y0, x1, y1 = _cell_boxes(candidates.logits).T
    left, top = candidates.origin.T
    height, width = cells
    low = ((x0 == 0) & (left > 0)) | ((y0 == 0) & (top > 0))
    high = ((x1 == w) & (left + w < width)) | ((y1 == h) & (top + h < height))
    cut: Bool = (x1 > 0) & (low | high)
    return cut


def upsample(candidates: Candidates, frame: Frame, stride: int, bounds: Area) -> tuple[Patches, I64]:
    """Low-resolution masks evaluated at the pixels of the file, each inside its own box only.

    The values are those of SAM's ``postprocess_masks``: cells to model px (× ``stride``), then model px to
    image px (÷ ``frame.scale``), both bilinear with ``align_corners=False``. Beyond its window a mask reads
    the window's edge, but pixels whose centre lies there belong to no patch, nor do those outside ``bounds``
    (px of the file). Returns the patches, and (K,) int64 which candidates they are: empty masks are dropped.
    """
    tile = frame.area
    x = _Axis.of(tile.shape[1], frame.model_shape[1], frame.scale[0], stride)
    y = _Axis.of(tile.shape[0], frame.model_shape[0], frame.scale[1], stride)
    origin = _plain(candidates.origin, np.int32)
    cells = _cell_boxes(candidates.logits) + np.tile(origin, 2)
    _, h, w = candidates.logits.shape
    x0, x1 = x.reach(cells[:, 0], cells[:, 2], origin[:, 0], w)
    y0, y1 = y.reach(cells[:, 1], cells[:, 3], origin[:, 1], h)
    x0, x1 = np.maximum(x0, bounds.col0 - tile.col0), np.minimum(x1, bounds.col1 - tile.col0)
    y0, y1 = np.maximum(y0, bounds.row0 - tile.row0), np.minimum(y1, bounds.row1 - tile.row0)
    boxes = _plain(np.stack([x0, y0, x1, y1], -1), np.int32)
    boxes[(cells[:, 0] == cells[:, 2]) | (x0 >= x1) | (y0 >= y1)] = 0
    tight, offsets, logits = kernels.interpolate(
        _plain(candidates.logits, np.float32), origin, boxes, x.first, x.weights, y.first, y.weights
    )
    kept = np.flatnonzero(np.diff(offsets)).astype(np.int64)
    chosen = candidates[kept]
    patches = Patches(
        points=frame.to_image(chosen.points),
        boxes=tight[kept] + np.array([tile.col0, tile.row0] * 2, np.int32),
        offsets=np.concatenate([offsets[:1], offsets[1:][kept]]),
        logits=logits,
        iou=chosen.iou,
        stability=chosen.stability,
        role=chosen.role,
    )
    return patches, kept


def upsample_with_stability(
    candidates: Candidates, frame: Frame, stride: int, bounds: Area, offset: float
) -> tuple[Patches, I64]:
    """``upsample``, with the stability score of the mask at the pixels of the file, as SAM's generator has it.

    ``offset`` as in ``stability``, which scores the low-resolution mask instead.
    """
    shift = np.float32(offset)
    # Of logits that are higher by the offset the patches hold all that counts: the weights of a pixel sum to 1.
    wide, kept = upsample(replace(candidates, logits=candidates.logits + shift), frame, stride, bounds)
    if len(wide) == 0:
        return wide, kept
    low, high = (np.add.reduceat(wide.logits > level, wide.offsets[:-1], dtype=np.int64) for level in (0, 2 * shift))
    wide = replace(wide, logits=wide.logits - shift, stability=(high / low).astype(np.float32))
    tight = kernels.tight_boxes(_plain(wide.boxes, np.int32), _plain(wide.offsets, np.int64), wide.logits)
    there = np.flatnonzero(tight[:, 2] > tight[:, 0]).astype(np.int64)
    return _cut(wide, there, tight[there]), kept[there]


def take(patches: Patches, index: NDArray[Any]) -> Patches:
    """The patches of an index array or a bool mask, in its order."""
    chosen = np.arange(len(patches), dtype=np.int64)[index]
    return _cut(patches, chosen, patches.boxes[chosen])


def concatenate(parts: Sequence[Patches]) -> Patches:
    """All patches in one record, in order; no parts give an empty record."""
    if len(parts) == 1:
        return parts[0]
    none = Patches(
        points=np.empty((0, 2), np.float32),
        boxes=np.empty((0, 4), np.int32),
        offsets=np.zeros(1, np.int64),
        logits=np.empty(0, np.float32),
        iou=np.empty(0, np.float32),
        stability=np.empty(0, np.float32),
        role=np.empty(0, np.uint8),
    )
    columns = {
        name: np.concatenate([getattr(part, name) for part in (none, *parts)])
        for name in ("points", "boxes", "logits", "iou", "stability", "role")
    }
    sizes = np.concatenate([np.diff(part.offsets) for part in (none, *parts)])
    return Patches(offsets=np.concatenate([none.offsets, np.cumsum(sizes)]), **columns)


def remove_small_regions(patches: Patches, min_area: int) -> Patches:
    """Holes, then islands, of fewer than ``min_area`` px² are filled or removed; boxes are tight again.

    SAM's ``remove_small_regions`` (8-connected, also for holes; of small islands only, the largest stays).
    A hole is what the mask encloses: bays that only the image border closes are left open.
    """
    if min_area <= 0 or len(patches) == 0:
        return patches
    logits = patches.logits.copy()
    for i in range(len(patches)):
        x0, y0, x1, y1 = patches.boxes[i]
        patch = logits[patches.offsets[i] : patches.offsets[i + 1]].reshape(y1 - y0, x1 - x0)
        # One pixel of outside all round makes all that is not enclosed one region, that of the corner.
        inside = cv2.copyMakeBorder((patch > 0).astype(np.uint8), 1, 1, 1, 1, cv2.BORDER_CONSTANT, value=0)
        n_regions, regions = cv2.connectedComponents(1 - inside, connectivity=8)
        if n_regions > 2:
            sizes = np.bincount(regions.ravel())
            sizes[0] = sizes[regions[0, 0]] = min_area
            holes = (sizes < min_area)[regions]
            inside[holes] = 1
            patch[holes[1:-1, 1:-1]] = FAINT
        n_regions, regions = cv2.connectedComponents(inside, connectivity=8)
        if n_regions > 2:
            sizes = np.bincount(regions.ravel())
            sizes[0] = sizes[1 + np.argmax(sizes[1:])] = min_area
            islands = (sizes < min_area)[regions]
            patch[islands[1:-1, 1:-1]] = -FAINT
    tight = kernels.tight_boxes(_plain(patches.boxes, np.int32), _plain(patches.offsets, np.int64), logits)
    return _cut(replace(patches, logits=logits), np.arange(len(patches), dtype=np.int64), tight)


def resolve(patches: Patches, order: NDArray[Any], shape: tuple[int, int], max_overlap: float) -> Resolved:
    """Greedy cover, then every pixel to one patch, then every label in one piece.

    In ``order`` (indices, best first) a patch is kept where at most ``max_overlap`` (0–1) of its own area is
    held by patches kept before. A pixel goes to the kept patch with the highest logit (> 0; of equals the
    earlier). Of each label only the largest 8-connected part stays; patches left without a pixel are dropped.
    ``shape`` is (H, W) of the label image; a box outside it is a ValueError.
    """
    boxes = _plain(patches.boxes, np.int32)
    if len(boxes) and (boxes.min() < 0 or boxes[:, 2].max() > shape[1] or boxes[:, 3].max() > shape[0]):
        raise ValueError(f"resolve: boxes reach outside the image of shape {shape}")
    painted, kept = kernels.paint(
        boxes,
        _plain(patches.offsets, np.int64),
        _plain(patches.logits, np.float32),
        _plain(order, np.int64),
        int(shape[0]),
        int(shape[1]),
        float(max_overlap),
    )
    parts = kernels.largest_parts(painted, len(kept))
    present = np.bincount(parts.ravel(), minlength=len(kept) + 1) > 0
    present[0] = False
    compact = (np.cumsum(present) * present).astype(np.int32)
    cut = np.count_nonzero(painted) - np.count_nonzero(parts)
    return Resolved(compact[parts], kept[present[1:]], int(cut))


def deepest_points(labels: I32) -> F32:
    """(N, 2) float32 (x, y): of every label 1 … N, without a gap, the pixel farthest from its outline."""
    inner = labels > 0
    for a, b in ((np.s_[:, 1:], np.s_[:, :-1]), (np.s_[1:], np.s_[:-1])):
        border = labels[a] != labels[b]
        inner[a] &= ~border
        inner[b] &= ~border
    depth = cv2.distanceTransform(inner.astype(np.uint8), cv2.DIST_L2, 3)
    pixels = np.flatnonzero(labels)
    pixels = pixels[np.argsort(depth.ravel()[pixels], kind="stable")]
    deepest = np.zeros(int(labels.max(initial=0)) + 1, np.int64)
    deepest[labels.ravel()[pixels]] = pixels  # of equal places the last, and so the deepest, stays
    row, column = np.divmod(deepest[1:], labels.shape[1])
    return np.stack([column, row], 1).astype(np.float32)


def from_labels(labels: NDArray[Any], iou: NDArray[Any], stability: NDArray[Any]) -> Masks:
    """(H, W) labels, 1 … N without a gap, and their (N,) scores → masks; mask i is label i + 1."""
    n = len(iou)
    plain = _plain(labels, np.int32)
    if plain.size and (plain.min() < 0 or plain.max() > n):
        raise ValueError(f"from_labels: labels must lie between 0 and the number of scores, {n}")
    boxes, segments = kernels.label_boxes(plain, n)
    if not segments.all():
        raise ValueError(f"from_labels: label {np.flatnonzero(segments == 0)[0] + 1} has no pixel")
    runs, offsets = kernels.run_lengths(plain, boxes, segments)
    height, width = plain.shape
    return Masks(
        shape=(height, width),
        boxes=boxes,
        runs=runs,
        offsets=offsets,
        iou=np.asarray(iou, np.float32),
        stability=np.asarray(stability, np.float32),
    )


class _Axis(NamedTuple):
    """Both interpolations along one axis of a tile: each image px weighs up to three neighbouring cells."""

    first: I32
    """(L,) the first cell that has weight."""
    last: I32
    """(L,) the last cell that has weight."""
    weights: F32
    """(L, 3) of the cells ``first + (0, 1, 2)``; a row sums to 1."""
    centre: NDArray[np.float64]
    """(L,) centre of the px in edge coordinates, cells."""

    @classmethod
    def of(cls, length: int, model_length: int, scale: float, stride: int) -> _Axis:
        """For ``length`` image px that the model sees as ``model_length`` px, ``stride`` of them a cell."""
        pixels = np.arange(length)
        position = np.maximum((pixels + 0.5) * scale - 0.5, 0)
        low = position.astype(np.int64)
        high = np.minimum(low + 1, model_length - 1)
        rest = position - low
        weights = np.zeros((length, 3))
        first = last = np.maximum((low + 0.5) / stride - 0.5, 0).astype(np.int64)
        for tap, share in ((low, 1 - rest), (high, rest)):
            place = np.maximum((tap + 0.5) / stride - 0.5, 0)
            cell = place.astype(np.int64)
            part = place - cell
            weights[pixels, cell - first] += share * (1 - part)
            weights[pixels, cell - first + 1] += share * part
            last = np.where(share > 0, cell + (part > 0), last)
        centre = (pixels + 0.5) * scale / stride
        return cls(first.astype(np.int32), last.astype(np.int32), weights.astype(np.float32), centre)

    def reach(
        self, start: NDArray[Any], stop: NDArray[Any], origin: NDArray[Any], side: int
    ) -> tuple[NDArray[Any], NDArray[Any]]:
        """(N,) first and past-the-end px where cells ``start`` … ``stop - 1`` have weight, in the window."""
        window = np.searchsorted(self.centre, origin), np.searchsorted(self.centre, origin + side)
        reached = np.searchsorted(self.last, start), np.searchsorted(self.first, stop)
        return np.maximum(window[0], reached[0]), np.minimum(window[1], reached[1])


def _cut(patches: Patches, index: I64, boxes: I32) -> Patches:
    """The patches ``index`` (K,), cut to ``boxes`` (K, 4), which lie within theirs."""
    offsets, logits = kernels.crop(
        _plain(patches.boxes, np.int32),
        _plain(patches.offsets, np.int64),
        _plain(patches.logits, np.float32),
        index,
        _plain(boxes, np.int32),
    )
    columns = {name: getattr(patches, name)[index] for name in ("points", "iou", "stability", "role")}
    return Patches(boxes=boxes, offsets=offsets, logits=logits, **columns)


def _cell_boxes(logits: NDArray[Any]) -> I32:
    """(N, h, w) logits → (N, 4) int32 tight boxes of logit > 0, cells of the window, zeros where none."""
    n, h, w = logits.shape
    boxes = np.tile(np.array([0, 0, w, h], np.int32), (n, 1))
    offsets = np.arange(n + 1, dtype=np.int64) * (h * w)
    tight: I32 = kernels.tight_boxes(boxes, offsets, _plain(logits, np.float32).reshape(-1))
    return tight


def _plain(array: NDArray[Any], dtype: type) -> NDArray[Any]:
    """The array as kernels are compiled for it: of this type, contiguous and writable."""
    return np.require(array, dtype, ["C", "W"])
