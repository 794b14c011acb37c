"""What measures of lobes are made of: sums, boxes, grey values and the outlines of the pixels, each taken once."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any, Final, Self

import numpy as np
from numpy.typing import NDArray

from . import kernels_measure, kernels_measure_grey
from .columns import FAR
from .outline import Outlines, of_pixels
from .types import I32, I64, Area, Micrograph

F64 = NDArray[np.float64]
STRIP: Final = 2**22
"""px of an image that are measured together, or as many as one lobe needs."""
Values = dict[str, NDArray[Any]]
"""(N,) arrays by the names of columns."""


@dataclass(frozen=True, slots=True)
class Lobes:
    """N lobes of a label image, lobe i being label i + 1."""

    labels: I32
    """(H, W)."""
    micrograph: Micrograph
    pixels: NDArray[Any]
    """(H, W), the micrograph's, in the byte order of this machine."""
    sums: I64
    """(N, 6) count, Σr, Σc, Σr², Σc², Σrc of the pixels."""
    boxes: I32
    """(N, 4) row0, col0, row1, col1, half-open."""
    values: NDArray[Any]
    """The grey values, lobe by lobe, as the file has them …"""
    ends: I64
    """… (N + 1,): those of lobe i are ``values[ends[i]:ends[i + 1]]``."""
    grey: F64
    """(N, 6) mean, least, greatest, and the mean 2nd, 3rd and 4th power of the deviation from the mean."""
    weighted: F64
    """(N, 3) Σ v, Σ v r, Σ v c of the values v, r and c from the corner of the box."""
    outlines: Outlines
    """Through the middles of the pixel edges."""
    beyond: I32
    """(V,) the label on the other side of each of their points; 0 is background, −1 beyond the image."""

    @classmethod
    def of(cls, labels: I32, micrograph: Micrograph, n: int) -> Self:
        """Of a label image (H, W) with labels 0 … n. ValueError where a label has no pixels."""
        sums, boxes = _sums(labels, n)
        pixels = micrograph.pixels
        pixels = np.require(pixels, pixels.dtype.newbyteorder("="), ["C", "W"])
        ends = np.concatenate([np.zeros(1, np.int64), np.cumsum(sums[:, 0])])
        values, weighted = kernels_measure_grey.gather(labels, pixels, boxes, ends)
        outlines, beyond = of_pixels(labels, n)
        return cls(labels, micrograph, pixels, sums, boxes, values, ends,
                   kernels_measure_grey.statistics(values, ends), weighted, outlines, beyond)

    @classmethod
    def in_strips(cls, labels: I32, micrograph: Micrograph, n: int) -> Iterator[tuple[I64, int, Self]]:
        """The same strip by strip of a large image, so that memory does not grow with it.

        Of each strip the (M,) lobes, from 0, that are measured there, its first row, and lobes of it: those M in that
        order, and after them others that lie beside them and may be cut. Rows count from the first of the strip.
        """
        if labels.size <= STRIP or n == 0:
            yield np.arange(n), 0, cls.of(labels, micrograph, n)
            return
        boxes = _sums(labels, n)[1]
        for own in strips(boxes[:, 0], boxes[:, 2], STRIP // labels.shape[1]):
            row0 = max(int(boxes[own, 0].min()) - FAR, 0)
            row1 = min(int(boxes[own, 2].max()) + FAR, len(labels))
            piece = labels[row0:row1]
            beside = np.zeros(n + 1, np.bool_)
            beside[piece] = True
            beside[own + 1] = beside[0] = False
            present = np.concatenate([own + 1, np.flatnonzero(beside)])
            number = np.zeros(n + 1, np.int32)
            number[present] = np.arange(1, len(present) + 1)
            edge = micrograph.area
            area = Area(max(edge.row0 - row0, 0), edge.col0, min(edge.row1, row1) - row0, edge.col1)
            part = replace(micrograph, pixels=micrograph.pixels[row0:row1], area=area)
            yield own, row0, cls.of(number[piece], part, len(present))

    @property
    def area(self) -> I64:
        """(N,) number of pixels."""
        area: I64 = self.sums[:, 0]
        return area

    @property
    def medians(self) -> F64:
        """(N, 2) the lower and the upper of the middle grey values, equal where their number is odd."""
        of = kernels_measure_grey.medians_of_bytes if self.values.dtype == np.uint8 else kernels_measure_grey.medians
        medians: F64 = of(self.values, self.ends)
        return medians

    @property
    def centroids(self) -> F64:
        """(N, 2) (row, col) of the mean pixel centre, px."""
        centroids: F64 = self.sums[:, 1:3] / self.sums[:, :1]
        return centroids


def _sums(labels: I32, n: int) -> tuple[I64, I32]:
    """See ``kernels_measure.label_sums``; ValueError where a label has no pixels."""
    sums, boxes = kernels_measure.label_sums(labels, n)
    if not sums[:, 0].all():
        raise ValueError(f"measure: label {int(np.argmin(sums[:, 0])) + 1} of {n} has no pixels")
    return sums, boxes


def strips(top: NDArray[Any], bottom: NDArray[Any], height: int) -> Iterator[I64]:
    """What has the rows ``top`` to ``bottom``, (N,) each, in groups of at most ``height`` rows, or of one."""
    order = np.argsort(top, kind="stable")
    start = 0
    while start < len(order):
        reach = np.maximum.accumulate(bottom[order[start:]]) - top[order[start]]
        end = start + max(1, int(np.searchsorted(reach, height, "right")))
        yield order[start:end]
        start = end


def ratio(numerator: NDArray[Any], denominator: NDArray[Any], undefined: float = np.nan) -> F64:
    """(N,) numerator / denominator, ``undefined`` where that is 0."""
    found = np.full(len(numerator), undefined)
    np.divide(numerator, denominator, out=found, where=denominator != 0)
    return found
