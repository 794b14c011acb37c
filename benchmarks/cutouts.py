"""Masks that may overlap each other, as a generator gives them: how two lists of them overlap."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
from samcolloid_edge.engine.matching import Overlaps, box_overlaps
from samcolloid_edge.engine.types import I64, Bool


@dataclass(frozen=True, slots=True)
class Cutouts:
    """N masks that may overlap each other, each inside its box."""

    boxes: I64
    """(N, 4)."""
    inside: Sequence[Bool]
    """Of each mask (height, width) bool, of its box."""

    @classmethod
    def of(cls, masks: Iterable[Bool]) -> Cutouts:
        """Of masks (H, W) bool that have a pixel."""
        boxes, inside = [], []
        for mask in masks:
            rows, cols = (np.flatnonzero(mask.any(axis)) for axis in (1, 0))
            row0, col0, row1, col1 = (int(n) for n in (rows[0], cols[0], rows[-1] + 1, cols[-1] + 1))
            boxes.append((row0, col0, row1, col1))
            inside.append(mask[row0:row1, col0:col1].copy())
        return cls(np.array(boxes, np.int64).reshape(-1, 4), inside)


def cutout_overlaps(first: Cutouts, second: Cutouts) -> Overlaps:
    """Overlaps of two lists of masks."""
    near = box_overlaps(first.boxes, second.boxes)
    shared = np.zeros(len(near.first))
    for k, (i, j) in enumerate(zip(near.first, near.second, strict=True)):
        corner = np.maximum(first.boxes[i, :2], second.boxes[j, :2])
        end = np.minimum(first.boxes[i, 2:], second.boxes[j, 2:])
        a, b = (
            masks.inside[n][tuple(slice(*span) for span in np.stack([corner, end], 1) - masks.boxes[n, :2, None])]
            for masks, n in ((first, i), (second, j))
        )
        shared[k] = np.count_nonzero(a & b)
    real = shared > 0
    i, j, shared = near.first[real], near.second[real], shared[real]
    area_a, area_b = (np.array([np.count_nonzero(m) for m in masks.inside], np.float64) for masks in (first, second))
    return Overlaps(i, j, shared, shared / (area_a[i] + area_b[j] - shared), near.lengths)
