"""The burnt-in scale bar: its length in px, as a check of the pixel size that metadata state.

Its label is not read: recognising letters in every microscope's font reliably takes a network of its own, and a
label misread by a factor of ten is worse than none.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Final

import cv2
import numpy as np
from numpy.typing import NDArray

from .types import Area

_NARROWEST: Final = 0.02
"""Share of the image's width that a bar has at least."""
_WIDEST: Final = 0.7
"""Share that it has at most; longer lines are frames."""
_LEAST: Final = 16
"""px that a bar is long at least."""
_SLIM: Final = 4
"""A bar is so many times longer than high."""
_FULL: Final = 0.97
"""Share of the pixels of a bar that are ink."""
_INK: Final = 0.5
"""Share of the way from the background to the ink from which on a pixel is ink."""
_TICKS: Final = 11
"""Marks of a ruler (Hitachi)."""
_EVEN: Final = 1.0
"""px by which the distances of such marks may differ: they are drawn in whole px."""


@dataclass(frozen=True, slots=True)
class _Shape:
    """A connected piece of ink."""

    x0: int
    y0: int
    width: int
    height: int
    ink: NDArray[np.bool_]
    """(height, width)."""

    @property
    def is_full(self) -> bool:
        """Whether it is a rectangle."""
        return float(self.ink.mean()) >= _FULL


def measure_scale_bar(pixels: NDArray[Any], area: Area) -> float | None:
    """Length in px of the scale bar in the data bar that ``area`` leaves of ``(H, W)`` ``pixels``.

    A bar is a full rectangle, measured from end to end; a line between two end marks, whole or interrupted by its
    label, measured between the middles of the marks; or a ruler of eleven marks. None where there is no data bar,
    no such shape in it, or several of different lengths.
    """
    width = pixels.shape[1]
    bands = [pixels[: area.row0], pixels[area.row1 :]]
    band = max(bands, key=len)
    if len(band) == 0:
        return None
    ink = _ink(band)
    if ink is None:
        return None
    shapes = list(_shapes(ink, width))
    # End marks say that a line is a scale; rectangles may be rulings or dashes.
    for kind in (_marked, _interrupted, _rulers, _rectangles):
        lengths = [length for length in kind(shapes, ink) if length >= max(_LEAST, _NARROWEST * width)]
        if lengths:
            return float(np.median(lengths)) if max(lengths) - min(lengths) <= 1 else None
    return None


def _ink(band: NDArray[Any]) -> NDArray[np.float64] | None:
    """(h, w) share of ink in each pixel, 0–1; None where all is of one value. Rows of the picture are blank."""
    grey = band.astype(np.float64)
    background = float(np.median(grey))
    low, high = float(grey.min()), float(grey.max())
    if low == high:
        return None
    foreground = high if high - background >= background - low else low
    return np.clip((grey - background) / (foreground - background), 0, 1)


def _shapes(ink: NDArray[np.float64], width: int) -> Iterator[_Shape]:
    """Connected pieces of ink, without frames and rulings across the data bar."""
    mask = (ink >= _INK).astype(np.uint8)
    _, labels, stats, _ = cv2.connectedComponentsWithStats(mask, connectivity=8)
    for i, (x0, y0, w, h, _) in enumerate(stats[1:].tolist(), 1):
        if w <= _WIDEST * width and h < len(ink):
            yield _Shape(x0, y0, w, h, labels[y0 : y0 + h, x0 : x0 + w] == i)


def _marked(shapes: list[_Shape], ink: NDArray[np.float64]) -> Iterator[float]:
    """Lines between two end marks."""
    for shape in shapes:
        if shape.width < 2 * shape.height or shape.is_full:
            continue
        left, right = _mark(shape.ink), _mark(shape.ink[:, ::-1])
        if left and right and _is_line(shape.ink[:, left : shape.width - right], both=True):
            yield _middle(shape, ink, right, at_end=True) - _middle(shape, ink, left, at_end=False)


def _interrupted(shapes: list[_Shape], ink: NDArray[np.float64]) -> Iterator[float]:
    """Lines between two end marks with the label in their middle, so that they are two pieces."""
    starts = [(s, _mark(s.ink)) for s in shapes if not s.is_full]
    ends = [(s, _mark(s.ink[:, ::-1])) for s in shapes if not s.is_full]
    for start, left in starts:
        if not left or not _is_line(start.ink[:, left:], both=False):
            continue
        for end, right in ends:
            same = (start.y0, start.height) == (end.y0, end.height) and start.x0 < end.x0
            if same and right and right == left and _is_line(end.ink[:, : end.width - right], both=False):
                yield _middle(end, ink, right, at_end=True) - _middle(start, ink, left, at_end=False)


def _rulers(shapes: list[_Shape], ink: NDArray[np.float64]) -> Iterator[float]:
    """Eleven like marks at even distances."""
    rows: dict[tuple[int, int], list[_Shape]] = {}
    for shape in shapes:
        if shape.is_full and shape.height >= 2 * shape.width:
            rows.setdefault((shape.y0 + shape.height, shape.width), []).append(shape)
    for marks in rows.values():
        if len(marks) != _TICKS:
            continue
        middles = sorted(_middle(mark, ink, mark.width, at_end=False) for mark in marks)
        if np.ptp(np.diff(middles)) <= _EVEN:
            yield middles[-1] - middles[0]


def _rectangles(shapes: list[_Shape], ink: NDArray[np.float64]) -> Iterator[float]:
    """Full rectangles; ends between two pixels are found from the share of ink in the last one."""
    for shape in shapes:
        if shape.is_full and shape.width >= _SLIM * shape.height:
            first, last = max(0, shape.x0 - 1), shape.x0 + shape.width + 1
            rows = ink[shape.y0 : shape.y0 + shape.height, first:last]
            yield float(rows.max(axis=0).sum())


def _mark(ink: NDArray[np.bool_]) -> int:
    """Width in px of the mark that begins a shape: columns of ink from top to bottom; 0 where it begins with none."""
    full = ink.mean(axis=0) >= _FULL
    n = len(full) if full.all() else int(np.argmin(full))
    return n if 0 < n <= max(1, len(ink) // 2) and n < ink.shape[1] else 0


def _is_line(ink: NDArray[np.bool_], *, both: bool) -> bool:
    """Whether columns of ``ink`` are a line: the same rows all along, at most half of them, without a hole.

    both: it lies between two marks; else it is one half of a line and at least as long as it is high.
    """
    n_rows, n_columns = ink.shape
    if n_columns < (1 if both else n_rows // 2):
        return False
    rows = ink.mean(axis=1)
    line = rows >= _FULL
    return bool(0 < line.sum() <= max(1, n_rows // 2) and (rows[~line] <= 1 - _FULL).all())


def _middle(shape: _Shape, ink: NDArray[np.float64], n: int, *, at_end: bool) -> float:
    """Column of the middle of the mark of ``n`` px at the start or the end of a shape, weighted by ink."""
    x0 = shape.x0 + shape.width - n if at_end else shape.x0
    # The rows of the line would draw the middle inwards, so only the outermost row counts at its neighbours.
    top = ink[shape.y0, max(0, x0 - 1) : x0 + n + 1]
    columns = np.arange(max(0, x0 - 1), max(0, x0 - 1) + len(top))
    return float((top * columns).sum() / top.sum())
