"""How much each particle counts for those that the edge of the frame hides: Miles–Lantuéjoul weights.

A large particle touches the edge more often than a small one, so the particles that lie wholly inside are a sample in
which large ones are too few. Each stands for the reciprocal of the chance that it lies inside (R. E. Miles, "On the
elimination of edge effects in planar sampling", in Stochastic Geometry, Wiley 1974; C. Lantuéjoul, J. Microsc. 117
(1978); J. Serra, Image Analysis and Mathematical Morphology, 1982): W·H / ((W − w)(H − h)) for a bounding box w · h in
a frame W · H.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from .types import Area

F64 = NDArray[np.float64]
Ints = NDArray[np.integer[Any]]


def weights(boxes: Ints, centroids: F64, frame: Area, margin: int = 1, roi: Area | None = None) -> F64:
    """(N,) weight of each particle in statistics; 0 for one that comes nearer than ``margin`` px to the frame's edge.

    On the grid of pixels: a box of h rows has H − h + 1 − 2 ``margin`` places in H rows that keep the margin, and a
    pixel of the frame is the place of H of them; with the margin of 1 that is H / (H − h − 1), and the same along
    columns. Where only particles with their centroid in ``roi`` count, both numbers are those of such places.

    Parameters: ``boxes`` (N, 4) int, row0, col0, row1, col1, half-open, px; ``centroids`` (N, 2) float64 (row, col),
    px; ``frame`` the analysed area, without the data bar; ``margin`` px that lobes keep from its edge: 1 where those
    that hold a pixel of its outermost row or column leave.
    """
    weight = np.ones(len(boxes))
    region = frame if roi is None else roi
    for axis, (first, last, low, high) in enumerate((
        (frame.row0, frame.row1, max(region.row0, frame.row0), min(region.row1, frame.row1)),
        (frame.col0, frame.col1, max(region.col0, frame.col0), min(region.col1, frame.col1)),
    )):  # fmt: skip
        start, end = boxes[:, axis], boxes[:, axis + 2]
        # Edge coordinates of the centroid at the first place of the box, and behind its last one.
        into_box = centroids[:, axis] - start
        lowest = first + margin + into_box
        highest = last - margin - (end - start) + 1 + into_box
        places = np.minimum(highest, high) - np.maximum(lowest, low)
        inside = (start >= first + margin) & (end <= last - margin) & (places > 0)
        weight *= np.divide(high - low, places, out=np.zeros(len(boxes)), where=inside)
    return weight


def boxes_of_sets(boxes: Ints, set_number: Ints, n_sets: int) -> NDArray[np.int64]:
    """(S, 4) int64: the box round all lobes of each set 1 … S; ``set_number`` (N,) is 0 for a lobe of none."""
    inside = set_number > 0
    of = set_number[inside] - 1
    round_all = np.empty((n_sets, 4), np.int64)
    for side, (extreme, start) in enumerate(((np.minimum, np.iinfo(np.int64).max),) * 2 + ((np.maximum, 0),) * 2):
        column = np.full(n_sets, start, np.int64)
        extreme.at(column, of, boxes[inside, side])
        round_all[:, side] = column
    return round_all
