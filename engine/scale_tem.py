"""Pixel size from the TIFF tags of cameras of transmission microscopes: Olympus SIS, TVIPS, Gatan."""

from __future__ import annotations

from typing import Final

from tifffile import TiffFile

from .pixel_size import PixelSize, in_nm

SIS: Final = 33560
"""Olympus Soft Imaging Solutions (iTEM, analySIS): a binary structure, lengths as a number and a power of ten, m."""
TVIPS: Final = 37706
"""TVIPS (EM-MENU) TemData: a binary record; from version 2 on with the pixel size, nm."""
GATAN_UNITS: Final = (65003, 65004)
GATAN_SCALES: Final = (65009, 65010)
"""Gatan DigitalMicrograph: units and units per px, along a row and along a column."""


def sis(tiff: TiffFile) -> list[PixelSize] | None:
    """The calibration of the general data block (tifffile's ``read_sis``)."""
    tag = tiff.pages.first.tags.get(SIS)
    if tag is None:
        return None
    return [in_nm(tag.value["pixelsizex"], tag.value["pixelsizey"], "m", "Olympus SIS calibration")]


def tvips(tiff: TiffFile) -> list[PixelSize] | None:
    """PixelSizeX and PixelSizeY of TemData, in single precision (tifffile's ``TVIPS_HEADER_V2``)."""
    tag = tiff.pages.first.tags.get(TVIPS)
    if tag is None:
        return None
    x, y = (_single(tag.value[f"PixelSize{axis}"]) for axis in "XY")
    return [in_nm(x, y, "nm", "TVIPS TemData PixelSizeX", tag.value["ImageSizeX"])]


def gatan(tiff: TiffFile) -> list[PixelSize] | None:
    """The scale that DigitalMicrograph gives TIFF files that it exports; none where its image has no unit."""
    tags = tiff.pages.first.tags
    if not any(code in tags for code in GATAN_SCALES):
        return None
    units = [str(tags.valueof(code, "")).strip() for code in GATAN_UNITS]
    if not units[0]:
        return None
    x, y = (in_nm(tags.valueof(code), 1, unit, "").x for code, unit in zip(GATAN_SCALES, units, strict=True))
    return [PixelSize(x, y, "Gatan DigitalMicrograph tags")]


def _single(value: float) -> str:
    """A number that was stored in single precision, to the digits that it has there."""
    return f"{value:.7g}"
