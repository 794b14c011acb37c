"""Which of the pixel sizes that are found is used, and what is said where they disagree."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Final

from ..models.errors import ImageError
from .pixel_size import PixelSize

_SQUARE: Final = 1e-3
"""Relative difference of pixel width and height up to which pixels are square."""
_AGREE: Final = 0.01
"""Relative difference up to which two sources agree."""
_PRINTED: Final = 1e4
"""nm per px: more than any electron micrograph has, and about what a print resolution comes to."""
_BAR_END: Final = 1.0
"""px: a bar is drawn in whole px, and whether its last one counts is a matter of taste, so ±1 in all."""


@dataclass(frozen=True, slots=True)
class Scale:
    """The scale that is used."""

    size: float | None
    """nm per px; None where nothing tells it."""
    uncertainty: float | None
    """nm per px, standard uncertainty; None where nothing tells it."""
    source: str
    """In words; "none" where nothing tells it."""
    found: tuple[PixelSize, ...]
    """All that the file, its side files and its scale bar state, the most trusted first."""
    warnings: tuple[str, ...]


def choose(
    stated: Sequence[PixelSize],
    columns: int,
    given: float | None = None,
    uncertainty: float | None = None,
    bar: float | None = None,
    label: float | None = None,
) -> Scale:
    """The size that the user gives, else the first that the file states, else the scale bar's.

    stated: of the file and of its side files, the most trusted first; columns: width of the image, px;
    given, uncertainty: by the user, nm per px; bar: measured length of the burnt-in scale bar, px, None where none
    is found; label: what is written at it, nm, None where the user doesn't say.
    ImageError where the pixels are not square. Sources more than 1 % apart are named in a warning, with both
    figures; of a scale bar ±1 px is allowed.
    """
    if stated and abs(stated[0].x - stated[0].y) > _SQUARE * stated[0].x:
        first = stated[0]
        raise ImageError(
            f"its pixels are not square ({first.x:g} × {first.y:g} nm, {first.source});"
            " resample it to square pixels."
        )
    drawn = (_of_bar(label, bar),) if label is not None and bar is not None else ()
    found = (*stated, *drawn)
    warnings = list(_disagreements(stated, columns))
    if label is not None and bar is None:
        warnings.append(f"No scale bar was found to measure, so its label, {label:g} nm, tells nothing.")
    if given is not None:
        origin = "given by the user"
        if stated:
            origin += f" (the file says {stated[0].x:g} nm, {stated[0].source})"
            warnings += _off(PixelSize(given, given, ""), "The pixel size given", stated[0])
    else:
        origin = found[0].source if found else "none"
        if stated and stated[0].x > _PRINTED:
            warnings.append(
                f"The file's pixel size, {stated[0].x:g} nm ({stated[0].source}), looks like a print resolution;"
                " give the pixel size if it is not the scale."
            )
    size = given if given is not None else found[0].x if found else None
    if drawn and bar and size is not None:
        warnings += _off_bar(size, origin, drawn[0], bar)
        if uncertainty is None and given is None and not stated:
            # A rectangular distribution of ±1 px.
            uncertainty = size * _BAR_END / (math.sqrt(3) * bar)
    return Scale(size, None if size is None else uncertainty, origin, found, tuple(warnings))


def _of_bar(label: float, bar: float) -> PixelSize:
    size = float(f"{label / bar:.6g}")
    return PixelSize(size, size, f"scale bar of {label:g} nm, {bar:.4g} px long")


def _disagreements(stated: Sequence[PixelSize], columns: int) -> Iterator[str]:
    """Between the first size and the others, and between it and the image that it is said to be of."""
    for other in stated[1:]:
        apart = stated[0].apart(other)
        if apart > _AGREE:
            yield (
                f"Two pixel sizes are stated, {percent(apart)} apart: {stated[0].x:g} nm ({stated[0].source}), which "
                f"is used, and {other.x:g} nm ({other.source})."
            )
    if stated and stated[0].width not in (None, columns):
        yield (
            f"The pixel size ({stated[0].source}) is stated for an image {stated[0].width} px wide, and this one is "
            f"{columns} px wide: if it was resized, not cropped, the pixel size is wrong."
        )


def _off(size: PixelSize, what: str, stated: PixelSize) -> list[str]:
    apart = stated.apart(size)
    return [f"{what}, {size.x:g} nm, is {percent(apart)} off the file's {stated.x:g} nm."] if apart > _AGREE else []


def _off_bar(size: float, origin: str, drawn: PixelSize, bar: float) -> list[str]:
    apart = abs(drawn.x - size) / size
    if apart <= max(_AGREE, _BAR_END / bar):
        return []
    return [
        f"The pixel size, {size:g} nm ({origin}), and the scale bar's, {drawn.x:g} nm ({drawn.source}), are "
        f"{percent(apart)} apart; check the label and the image."
    ]


def percent(share: float) -> str:
    """A share as per cent, to two digits or whole."""
    value = 100 * share
    return f"{value:.2g} %" if value < 10 else f"{value:.0f} %"
