"""What sets are as wholes: the measures of the union of their lobes, and the clusters of particles that touch."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from . import measure
from .lobes import strips
from .partition import connected, in_order
from .table import Table
from .types import I32, I64, Area, Micrograph

F64 = NDArray[np.float64]

TOUCHING: Final = 2.0
"""Largest distance of two pixel centres at which lobes touch, px: one pixel of border between them."""
STRIP: Final = 2**21
"""px that are measured together, or as many as one set needs."""
OF_THE_WHOLE: Final = ("perimeter", "feret_diameter_max", "axis_major_length", "axis_minor_length", "aspect_ratio",
                       "orientation", "solidity")
"""Columns of the lobe table that are taken of the union too, under the same names and definitions."""


def wholes(labels: I32, lobes: Table, set_index: I32, micrograph: Micrograph) -> dict[str, NDArray[Any]]:
    """Column → (S,): the measures of the union of each set's lobes.

    Parameters: ``labels`` (H, W) int32, lobe i of N is label i + 1; ``lobes`` their table; ``set_index`` (N,) int32, 0
    to S − 1, −1 in no set. Gaps of one pixel between lobes of a set belong to the union.
    """
    n = int(set_index.max(initial=-1)) + 1
    found = {name: np.zeros(n) for name in ("area", *OF_THE_WHOLE)}
    top, bottom = np.full(n, labels.shape[0]), np.zeros(n, np.int64)
    inside = set_index >= 0
    np.minimum.at(top, set_index[inside], lobes["bbox-0"][inside])
    np.maximum.at(bottom, set_index[inside], lobes["bbox-2"][inside])
    for sets in strips(top, bottom, max(1, STRIP // labels.shape[1])):
        rows = slice(top[sets].min(), bottom[sets].max())
        number = np.zeros(n + 1, np.int32)
        number[sets] = np.arange(1, len(sets) + 1)
        union = closed(np.append(0, number[set_index]).astype(np.int32)[labels[rows]])
        part = replace(micrograph, pixels=micrograph.pixels[rows], area=Area(0, 0, *union.shape))
        ones = np.ones(len(sets), np.float32)
        table = measure.measure(union, part, ones, ones)
        for name, column in found.items():
            column[sets] = table[name]
    return {"area_whole": found.pop("area"), **found}


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
    touch = set_index[pairs[gap <= TOUCHING]].astype(np.int64)
    cluster = in_order(connected(int(set_index.max(initial=-1)) + 1, touch[(touch >= 0).all(1)]))
    return {"cluster": cluster + 1, "cluster_sets": np.bincount(cluster, minlength=1)[cluster].astype(np.int32)}
