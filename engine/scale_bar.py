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

Ink = NDArray[np.float64] | NDArray[np.bool_]
"""(h, w) share of ink in each pixel, 0–1."""


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


def measure_scale_bar(pixels: NDArray[Any], area: Area, *, in_picture: bool = False) -> float | None:
    """Length in px of the scale bar in the data bar that ``area`` leaves of ``(H, W)`` ``pixels``.

    A bar is a full rectangle, measured from end to end; a line between two end marks, whole or interrupted by its
    label, measured between the middles of the marks; or a ruler of eleven marks. Where there is no data bar and
    ``in_picture`` is said, one that was drawn into the picture in its largest or its smallest value is sought. None
    where there is no such shape, or several of different lengths.
    """
    band = max(pixels[: area.row0], pixels[area.row1 :], key=len)
    inks: list[Ink]
    if len(band):
        inks = [_ink(band)] if band.min() < band.max() else []
    else:
        inks = [pixels == value for value in (pixels.max(), pixels.min()) if in_picture]
    least = max(_LEAST, _NARROWEST * pixels.shape[1])
    # End marks say that a line is a scale; rectangles may be rulings or dashes.
    kinds = (_marked, _interrupted, _rulers, _rectangles) if len(band) else (_marked, _rectangles)
    pieces = [(ink, list(_shapes(ink, least if len(band) == 0 else 1))) for ink in inks]
    for kind in kinds:
        lengths = [length for ink, shapes in pieces for length in kind(shapes, ink) if length >= least]
        if lengths:
            return float(np.median(lengths)) if max(lengths) - min(lengths) <= 1 else None
    return None


def _ink(band: NDArray[Any]) -> NDArray[np.float64]:
    """(h, w) share of ink in each pixel of a data bar that is not blank, 0–1."""
    grey = band.astype(np.float64)
    background = float(np.median(grey))
    low, high = float(grey.min()), float(grey.max())
    foreground = high if high - background >= background - low else low
    return np.clip((grey - background) / (foreground - background), 0, 1)


def _shapes(ink: Ink, least: float) -> Iterator[_Shape]:
    """Connected pieces of ink at least ``least`` px wide, without frames and rulings across the data bar."""
    mask = (ink >= _INK).astype(np.uint8)
    _, labels, stats, _ = cv2.connectedComponentsWithStats(mask, connectivity=8)
    fits = (stats[:, 2] >= least) & (stats[:, 2] <= _WIDEST * ink.shape[1]) & (stats[:, 3] < len(ink))
    fits[0] = False  # what is no ink
    for i in np.flatnonzero(fits).tolist():
        x0, y0, w, h = stats[i, :4].tolist()
        yield _Shape(x0, y0, w, h, labels[y0 : y0 + h, x0 : x0 + w] == i)


def _marked(shapes: list[_Shape], ink: Ink) -> Iterator[float]:
    """Lines between two end marks."""
    for shape in shapes:
        if shape.width < 2 * shape.height or shape.is_full:
            continue
        left, right = _mark(shape.ink), _mark(shape.ink[:, ::-1])
        if left and right and _is_line(shape.ink[:, left : shape.width - right], both=True):
            yield _middle(shape, ink, right, at_end=True) - _middle(shape, ink, left, at_end=False)


def _interrupted(shapes: list[_Shape], ink: Ink) -> Iterator[float]:
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


def _rulers(shapes: list[_Shape], ink: Ink) -> Iterator[float]:
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


def _rectangles(shapes: list[_Shape], ink: Ink) -> Iterator[float]:
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


def _middle(shape: _Shape, ink: Ink, n: int, *, at_end: bool) -> float:
    """Column of the middle of the mark of ``n`` px at the start or the end of a shape, weighted by ink."""
    x0 = shape.x0 + shape.width - n if at_end else shape.x0
    # The rows of the line would draw the middle inwards, so only the outermost row counts at its neighbours.
    top = ink[shape.y0, max(0, x0 - 1) : x0 + n + 1]
    columns = np.arange(max(0, x0 - 1), max(0, x0 - 1) + len(top))
    return float((top * columns).sum() / top.sum())
