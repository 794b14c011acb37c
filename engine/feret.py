"""Convex hulls and calipers of lobes, from the extent of each lobe in each of its rows."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from . import kernels_measure
from .types import I64


def hull_measures(extents: I64, offsets: I64) -> tuple[I64, NDArray[np.float64]]:
    """Area of the convex hull and largest caliper width of N lobes.

    Parameters: ``extents`` (2, rows) int64, first column of a lobe in one of its rows and minus its last
    column there, px, as ``kernels_measure.outline_sums`` gives them; ``offsets`` (N + 1,) int64, lobe i has
    the rows ``offsets[i]:offsets[i + 1]``, at least one.

    Returns ``area_convex`` (N,) int64, px²: pixels whose centre lies in or on the convex hull of the middles
    of the lobe's pixel edges (``skimage.morphology.convex_hull_image`` with its defaults; exact, since all of
    it is integer arithmetic). ``feret_diameter_max`` (N,) float64, px: largest distance between two points of
    the outline of that pixel set, the outline running through the middles of pixel edges (scikit-image's
    definition).
    """
    area, squared = kernels_measure.hull_sums(extents, offsets)
    return area, np.sqrt(squared) / 2
