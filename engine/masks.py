"""From patches to masks: cleaned, without overlap, as runs."""

from __future__ import annotations

from dataclasses import replace
from typing import Any, Final, NamedTuple

import cv2
import numpy as np
from numpy.typing import NDArray

from . import kernels
from .ragged import Patches
from .types import F32, I32, I64, U8, Area, Bool, Candidates, Masks
from .upsample import rim_at

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


def remove_small_regions(patches: Patches, min_area: int, area: Area) -> tuple[Patches, Bool]:
    """Holes, then islands, of fewer than ``min_area`` px² are filled or removed; boxes fit again.

    SAM's ``remove_small_regions`` in its ``postprocess_small_regions``: 8-connected, also for holes; a hole may be
    closed by the edge of the analysed ``area``; of small islands alone the largest stays. Returns the patches, and (N,)
    bool which of them changed.
    """
    logits, changed = patches.logits.copy(), np.zeros(len(patches), bool)
    for i, (x0, y0, x1, y1) in enumerate(patches.boxes.tolist()):
        patch = logits[patches.offsets[i] : patches.offsets[i + 1]].reshape(y1 - y0, x1 - x0)
        # One pixel of outside all round, but at the area's edges, makes all that is not enclosed one region.
        inside = (patch > 0).astype(np.uint8)
        rim = int(y0 > area.row0), int(y1 < area.row1), int(x0 > area.col0), int(x1 < area.col1)
        framed = cv2.copyMakeBorder(inside, *rim, cv2.BORDER_CONSTANT, value=0)
        middle = framed[rim[0] : framed.shape[0] - rim[1], rim[2] : framed.shape[1] - rim[3]]
        n_regions, regions = cv2.connectedComponents(1 - framed, connectivity=8)
        if n_regions > 1:
            sizes = np.bincount(regions.ravel(), minlength=n_regions)
            sizes[0] = min_area
            for side, label in zip(rim, (regions[0], regions[-1], regions[:, 0], regions[:, -1]), strict=True):
                if side:  # what the rim belongs to goes on in the image
                    sizes[label] = min_area
            holes = (sizes < min_area)[regions]
            if holes.any():
                framed[holes] = 1
                patch[(middle > 0) & (patch <= 0)] = FAINT
                changed[i] = True
        n_regions, regions = cv2.connectedComponents(framed, connectivity=8)
        if n_regions > 2:
            sizes = np.bincount(regions.ravel())
            sizes[0] = min_area
            small = sizes < min_area
            if small.any():
                small[1 + np.argmax(sizes[1:])] = False
                framed[small[regions]] = 0
                patch[(middle == 0) & (patch > 0)] = -FAINT
                changed[i] = True
    cleaned = replace(patches, logits=logits)
    low, high = patches.boxes[:, [0, 1, 0, 1]], patches.boxes[:, [2, 3, 2, 3]]
    fit = np.clip(cleaned.tight + rim_at(patches.zoom)[:, None] * np.array([-1, -1, 1, 1], np.int32), low, high)
    return _cut(cleaned, np.arange(len(patches), dtype=np.int64), fit), changed


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


def solidity(shape: U8 | Bool) -> float:
    """Area ÷ area of the convex hull of the pixels' corners, 0–1; of nothing 0."""
    rows, first = np.flatnonzero(shape.any(1)), shape.argmax(1)
    if len(rows) == 0:
        return 0.0
    last = shape.shape[1] - shape[:, ::-1].argmax(1)
    ends = [np.stack([x[rows], rows + step], 1) for x in (first, last) for step in (0, 1)]
    hull = cv2.convexHull(np.concatenate(ends).astype(np.float32))
    return float(np.count_nonzero(shape) / cv2.contourArea(hull))


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


def _cut(patches: Patches, index: I64, boxes: I32) -> Patches:
    """The patches ``index`` (K,), cut to ``boxes`` (K, 4), which lie within theirs."""
    offsets, logits = kernels.crop(
        _plain(patches.boxes, np.int32),
        _plain(patches.offsets, np.int64),
        _plain(patches.logits, np.float32),
        index,
        _plain(boxes, np.int32),
    )
    columns = {name: getattr(patches, name)[index] for name in ("points", "iou", "stability", "role", "zoom")}
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
