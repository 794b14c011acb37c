"""Whether the model knows what it sees: where it is unsure of most of it, that may be no particles at all."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

import numpy as np

from .types import F32, I64

UNSURE: Final = 0.8
"""Predicted IoU that half of the lobes' pixels must exceed. Of 290 rendered micrographs of all kinds, among which it
was chosen, 81 stay below: 36 of them hold no particle, and in 12 lobes were found with an F1 of 0.8 (mask IoU ≥ 0.7)
or more; of the 209 others 6 hold none, and in 177 they were."""


def remarks(iou: F32, area: I64) -> Iterator[str]:
    """One sentence where the model is unsure; (N,) predicted IoU of the lobes, 0–1, and their areas, px."""
    if len(iou) and (usual := weighted_median(iou, area)) < UNSURE:
        yield (
            f"The model is unsure of what it found: half of the lobes' area has a predicted IoU of at most {usual:.2f} "
            "(0.9 is usual). It may be structure of the support, or of a kind the model does not know; "
            "look at the overlay."
        )


def weighted_median(values: F32, weights: I64) -> float:
    """The least of (N,) values, N at least 1, that is not exceeded by half of the weight."""
    order = np.argsort(values, kind="stable")
    up_to = np.cumsum(weights[order])
    return float(values[order][np.searchsorted(up_to, up_to[-1] / 2)])
