"""How alike the masks of two runs are: each with the nearest of the other run."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Final

import numpy as np
from numpy.typing import NDArray

from ..engine.ragged import Patches
from ..engine.types import Bool

Mask = tuple[tuple[int, int, int, int], Bool]
"""Its box, x0, y0, x1, y1, image px, and what it holds of it, (y1 − y0, x1 − x0)."""
SAME: Final = 0.9
"""Mask IoU from which a mask of one run is found again in the other."""


def bitmaps(patches: Patches) -> Iterator[Mask]:
    """The masks of patches, one by one."""
    for box, first, last in zip(patches.boxes.tolist(), patches.offsets[:-1], patches.offsets[1:], strict=True):
        x0, y0, x1, y1 = box
        yield (x0, y0, x1, y1), (patches.logits[first:last] > 0).reshape(y1 - y0, x1 - x0)


def _iou(one: Mask, two: Mask) -> float:
    (ax0, ay0, ax1, ay1), a = one
    (bx0, by0, bx1, by1), b = two
    x0, y0, x1, y1 = max(ax0, bx0), max(ay0, by0), min(ax1, bx1), min(ay1, by1)
    if x0 >= x1 or y0 >= y1:
        return 0.0
    shared = int((a[y0 - ay0 : y1 - ay0, x0 - ax0 : x1 - ax0] & b[y0 - by0 : y1 - by0, x0 - bx0 : x1 - bx0]).sum())
    return shared / max(int(a.sum()) + int(b.sum()) - shared, 1)


def _ious(ones: Sequence[Mask], twos: Sequence[Mask]) -> NDArray[np.float64]:
    return np.array([[_iou(a, b) for b in twos] for a in ones], np.float64).reshape(len(ones), len(twos))


def best_iou(theirs: Sequence[Mask], ours: Sequence[Mask]) -> NDArray[np.float64]:
    """(N,) IoU of each of their masks with the nearest of ours; 0 where there is none."""
    return _ious(theirs, ours).max(1, initial=0.0)


def matched(theirs: Sequence[Mask], ours: Sequence[Mask]) -> int:
    """Pairs of masks that are each other's nearest, at IoU ``SAME`` or more."""
    iou = _ious(theirs, ours)
    if iou.size == 0:
        return 0
    nearest = iou.argmax(1)
    mutual = iou.argmax(0)[nearest] == np.arange(len(iou))
    return int((mutual & (iou.max(1) >= SAME)).sum())
