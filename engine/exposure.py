"""Whether grey values end where outlines lie: what lies beyond the detector's range cannot be measured."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

import cv2
import numpy as np

from .types import I32, Micrograph

BESIDE: Final = 2
"""How far from an outline, px, a pixel counts as lying beside it."""
MUCH: Final = 0.5
"""Share of the pixels beside outlines, on one side, that have the lowest or the highest grey value of the micrograph,
from which it is said. Of rendered spheres of 8 to 30 px radius, diameters come out 0.9 to 2.6 px too small where the
black level hides the lower half of their edges; the share outside then is 0.55 to 0.9."""


def remarks(labels: I32, micrograph: Micrograph) -> Iterator[str]:
    """One sentence for each side of the outlines, and each end of the grey values, where ``MUCH`` is clipped.

    Parameters: ``labels`` (H, W), 0 is background.
    """
    held = (labels[micrograph.area.slices] > 0).astype(np.uint8)
    near = np.ones((2 * BESIDE + 1, 2 * BESIDE + 1), np.uint8)
    pixels = micrograph.pixels[micrograph.area.slices]
    low, high = pixels.min(), pixels.max()
    if low == high:
        return
    sides = {
        "outside": cv2.dilate(held, near) > held,
        "inside": cv2.erode(held, near, borderType=cv2.BORDER_CONSTANT, borderValue=1) < held,
    }
    for side, where in sides.items():
        beside = pixels[where]
        for name, value in (("lowest", low), ("highest", high)):
            share = float(np.count_nonzero(beside == value) / max(beside.size, 1))
            if share >= MUCH:
                yield (
                    f"Just {side} the particles {share:.0%} of the pixels have the {name} grey value, {value:g}: where "
                    f"the range of the detector cuts off an edge, diameters may be off by a px or more."
                )
