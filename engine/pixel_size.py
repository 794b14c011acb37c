"""The scale that a file states, and what is said where it states none."""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

from .lengths import is_length, nanometres

_RECIPROCAL = re.compile(r"1\s*/\s*\S+|\S+\s*\^?-1|\S+\u207b\u00b9")

_ORDER = 10
"""Ratio of width and height that no pixel has, not even with the correction of a steep tilt."""


class NoScaleError(Exception):
    """Metadata that are there and state no pixel size; the message says why, as the predicate of a sentence."""


@dataclass(frozen=True, slots=True)
class PixelSize:
    """A scale that a file states."""

    x: float
    """nm per px along a row."""
    y: float
    """nm per px along a column."""
    source: str
    """Where it is written, e.g. "Zeiss CZ_SEM AP_IMAGE_PIXEL_SIZE"."""
    width: int | None = None
    """Width in px of the image that the metadata describe; None where they don't tell."""

    @property
    def makes_sense(self) -> bool:
        """Whether both sizes are finite, above 0, and of one order: a number cut short is off by many."""
        return is_length(self.x) and is_length(self.y) and 1 / _ORDER < self.x / self.y < _ORDER

    def apart(self, other: PixelSize) -> float:
        """The larger relative difference of the two sizes along rows and along columns."""
        return max(abs(self.x - other.x) / self.x, abs(self.y - other.y) / self.y)


def in_nm(x: Any, y: Any, unit: str, source: str, width: Any = None) -> PixelSize:
    """A pixel size in ``unit`` per px, as a file states it; NaN where it is no length.

    NoScaleError where the unit is the reciprocal of a length: the image is a diffraction pattern or a transform.
    """
    if _RECIPROCAL.fullmatch(unit.strip()):
        raise NoScaleError(f"are of reciprocal space ({unit.strip()}), so that lengths have no scale")
    factor = nanometres(unit) or math.nan
    columns = int(width) if str(width).isdecimal() and int(width) > 0 else None
    return PixelSize(_rounded(x, factor), _rounded(y, factor), source, columns)


Stated = tuple[tuple[PixelSize, ...], tuple[str, ...]]
"""The pixel sizes found, the most trusted first, and a sentence for metadata that state none."""


def tried(what: str, read: Callable[[], Iterable[PixelSize] | None]) -> Stated:
    """What ``read`` finds in metadata called ``what``, which it answers with None where they are not there.

    Damaged metadata make a sentence, never an error.
    """
    why = "state no pixel size that makes sense; give it with --pixel-size (nm per px)"
    try:
        sizes = read()
        if sizes is None:
            return (), ()
        found = tuple(size for size in sizes if size.makes_sense)
    except NoScaleError as error:
        found, why = (), str(error)
    except Exception:
        # What undocumented programs write, and what is left of it when damaged, fails in any way.
        found = ()
    return found, () if found else (f"{what} {why}.",)


def _rounded(number: Any, factor: float) -> float:
    """nm to 12 digits: a size that went through metres or a ratio of whole numbers comes back as it was written."""
    try:
        return float(f"{float(str(number)) * factor:.12g}")
    except ValueError:
        return math.nan
