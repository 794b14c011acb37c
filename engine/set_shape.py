"""What sets are as wholes: the measures of the union of their lobes, and the clusters of particles that touch."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from . import measure
from .partition import in_order
from .types import I32, I64, Micrograph

F64 = NDArray[np.float64]

TOUCHING: Final = 2.0
"""Largest distance of two pixel centres at which lobes touch, px: one pixel of border between them."""
OF_THE_WHOLE: Final = ("perimeter", "feret_diameter_max", "axis_major_length", "axis_minor_length", "aspect_ratio",
                       "orientation", "solidity")
"""Columns of the lobe table that are taken of the union too, under the same names and definitions."""


def wholes(labels: I32, set_index: I32, micrograph: Micrograph) -> dict[str, NDArray[Any]]:
    """Column → (S,): the measures of the union of each set's lobes.

    Parameters: ``labels`` (H, W) int32, lobe i of N is label i + 1; ``set_index`` (N,) int32, 0 to S − 1, −1 in no
    set. Gaps of one pixel between lobes of a set belong to the union.
    """
    union = closed(np.append(0, set_index + 1).astype(np.int32)[labels])
    n = int(set_index.max(initial=-1)) + 1
    ones = np.ones(n, np.float32)
    table = measure.measure(union, micrograph, ones, ones)
    return {"area_whole": table["area"], **{name: table[name] for name in OF_THE_WHOLE}}


def closed(labels: I32) -> I32:
    """The label image (H, W) with every background pixel between two of one label, in its row or column, in it."""
    filled = labels.copy()
    for axis in (0, 1):
        turned, out = (np.moveaxis(image, axis, 0) for image in (labels, filled))
        gap = (turned[1:-1] == 0) & (turned[:-2] == turned[2:])
        out[1:-1][gap] = turned[:-2][gap]
    return filled


def clusters(set_index: I32, pairs: I64, gap: F64) -> Mapping[str, I32]:
    """Free clusters: sets that touch, directly or through others.

    Parameters: ``set_index`` (N,) int32, 0 to S − 1, −1 in no set; ``pairs`` (M, 2) lobes that are neighbours, and
    ``gap`` (M,) the least distance of their pixel centres, px. Returns ``cluster`` (S,) int32, from 1 in the order of
    the first set, and ``cluster_sets`` (S,) int32, how many sets the cluster has.
    """
    number = np.arange(int(set_index.max(initial=-1)) + 1)
    touch = set_index[pairs[gap <= TOUCHING]]
    one, other = touch[(touch >= 0).all(1)].T
    while len(one) and (number[one] != number[other]).any():
        least = np.minimum(number[one], number[other])
        np.minimum.at(number, one, least)
        np.minimum.at(number, other, least)
    cluster = in_order(number)
    return {"cluster": cluster + 1, "cluster_sets": np.bincount(cluster, minlength=1)[cluster].astype(np.int32)}
