"""The data bar that microscopes burn into an image, and the area that is left without it."""

from __future__ import annotations

from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from .types import Area

# The shares below were set on Zeiss bars, on imitations of FEI, JEOL and TESCAN bars, and on all after JPEG.
_HIGHEST: Final = 0.3
"""A bar takes at most this share of the image height (vendors: 0.03–0.15)."""
_LOWEST: Final = 8
"""Rows a bar has at least: one line of text."""
_NARROWEST: Final = 32
"""Columns below which "the full width" says nothing."""
_BLANK: Final = 0.97
"""Share of a row's pixels of one value in the first row of a bar (a margin or a border line)."""
_STEP: Final = 0.25
"""Share of the pixels that change at once from the last row of the picture to the first of the bar."""
_FLAT: Final = 0.4
"""Share of equal neighbours along a row of a bar, also across a line of text."""
_DRAWN: Final = 0.95
"""Share of the rows of a bar of which this holds, or which are blank."""
_OUTSIDE: Final = 2
"""Rows of the picture that may lie between a bar and the edge of the image."""
_NOISE: Final = 0.05
"""Share of unequal neighbours that a row of the picture has at least."""
_CLEANER: Final = 3
"""By this factor fewer has the cleanest tenth of a bar's rows, where neither text nor picture rings."""
_INK: Final = 0.002
"""Share of a bar's pixels that text and scale bar take at least; a blank strip is no data bar."""


def find_data_bar(pixels: NDArray[Any]) -> Area:
    """The part of ``(H, W)`` ``pixels`` (any numeric dtype) that no data bar covers, in whole rows.

    A data bar is drawn, not recorded: a band along the bottom or the top whose pixels, unlike the
    picture's, are free of noise, that begins in one sharp step over the full width with a blank row or a
    border line, and that holds text. Where nothing of that kind is found the area is the whole image. A
    black bar without a border, below a picture of whose last row over ¾ is black too, can be found some
    rows too small.
    """
    height, width = pixels.shape
    below = _bar_height(pixels[::-1])
    above = _bar_height(pixels)
    return Area(above, 0, height - below, width)


def _bar_height(rows: NDArray[Any]) -> int:
    """Rows of the data bar at the start of ``(H, W)`` ``rows``, which begin at the edge; 0 without one."""
    height, width = rows.shape
    band = np.ascontiguousarray(rows[: int(_HIGHEST * height) + 1])
    if width < _NARROWEST or len(band) <= _LOWEST:
        return 0
    exact = _bar_height_within(band, 0, 0)
    if band.dtype != np.uint8:
        return exact
    # JPEG leaves the blank part of a bar all but flat, and rings for some grey levels around text and border.
    return max(exact, *(_bar_height_within(band, 2, ringing) for ringing in (8, 16, 24)))


def _bar_height_within(band: NDArray[Any], flat: int, ringing: int) -> int:
    """Rows of the bar in ``band``; neighbours are equal up to ``flat``, a row is blank up to ``ringing``."""
    height, width = band.shape
    flatness = _share(band[:, 1:], band[:, :-1], flat)
    if flatness[:_LOWEST].max() < _FLAT:
        return 0
    level = np.partition(band, width // 2, axis=1)[:, [width // 2]]
    blank = _share(band, level, ringing) >= _BLANK
    step = 1 - _share(band[1:], level[:-1], ringing)
    drawn = (flatness >= _FLAT) | blank

    # Some bars leave a row or two of the picture between themselves and the edge of the image.
    n_rows = np.arange(1, height + 1)
    n_drawn = np.cumsum(drawn) + np.minimum(n_rows - np.cumsum(drawn), _OUTSIDE)
    ends = blank[:-1] & (step >= _STEP) & (n_rows[:-1] >= _LOWEST)
    ends &= n_drawn[:-1] >= _DRAWN * n_rows[:-1]
    noise = 1 - _share(band[:, 1:], band[:, :-1], 0)
    for n in n_rows[:-1][ends][::-1]:
        cleanest, picture = np.quantile(noise[:n], 0.1), np.median(noise[n : n + _LOWEST])
        if picture < max(_NOISE, _CLEANER * cleanest):
            continue
        background = np.full((1, 1), np.median(band[:n]), band.dtype)
        ink = 1 - _share(band[:n][(drawn & ~blank)[:n]], background, ringing)
        if ink.sum() >= _INK * n:
            return int(n)
    return 0


def _share(rows: NDArray[Any], reference: NDArray[Any], tolerance: int) -> NDArray[np.float64]:
    """(H,) share of each row of ``(H, W)`` ``rows`` that lies within ``tolerance`` of ``reference``."""
    if tolerance == 0:
        return np.asarray(np.mean(rows == reference, axis=1))
    # Greater minus less: unsigned values have no negative difference.
    difference = np.maximum(rows, reference) - np.minimum(rows, reference)
    return np.asarray(np.mean(difference <= tolerance, axis=1))
