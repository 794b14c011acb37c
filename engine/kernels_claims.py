"""Loop over what lobes may take of their particle; bare, no validation. See claims."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from .caches import njit

Array = NDArray[Any]


@njit(cache=True, nogil=True)
def claim(
    boxes: Array, offsets: Array, logits: Array, whole_boxes: Array, whole_offsets: Array, whole_logits: Array,
    whole_of: Array, height: int, width: int, least: float,
) -> Array:  # fmt: skip
    """Logits of lobes, raised to min(that of the particle, own less the best rival's) where own ≥ ``least``.

    Patches of N lobes and of particles as in kernels, boxes inside (height, width); whole_of (N,) int64 is each lobe's
    particle or −1 → logits as given, in the same order.
    """
    none = np.float32(-np.inf)
    best, second = np.full((height, width), none), np.full((height, width), none)
    holder = np.full((height, width), np.int32(-1))
    for i in range(boxes.shape[0]):
        at = offsets[i]
        for y in range(boxes[i, 1], boxes[i, 3]):
            for x in range(boxes[i, 0], boxes[i, 2]):
                if logits[at] > best[y, x]:
                    second[y, x] = best[y, x]
                    best[y, x] = logits[at]
                    holder[y, x] = i
                elif logits[at] > second[y, x]:
                    second[y, x] = logits[at]
                at += 1
    raised = logits.copy()
    for i in range(boxes.shape[0]):
        k = whole_of[i]
        if k < 0:
            continue
        wide = np.int64(whole_boxes[k, 2] - whole_boxes[k, 0])
        at = offsets[i]
        for y in range(boxes[i, 1], boxes[i, 3]):
            row = whole_offsets[k] + (y - whole_boxes[k, 1]) * wide - whole_boxes[k, 0]
            inside = whole_boxes[k, 1] <= y < whole_boxes[k, 3]
            for x in range(boxes[i, 0], boxes[i, 2]):
                if inside and whole_boxes[k, 0] <= x < whole_boxes[k, 2] and logits[at] >= least:
                    rival = second[y, x] if holder[y, x] == i else best[y, x]
                    raised[at] = max(logits[at], min(whole_logits[row + x], logits[at] - rival))
                at += 1
    return raised
