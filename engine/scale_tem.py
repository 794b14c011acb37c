"""Pixel size from the TIFF tags of cameras of transmission microscopes: Olympus SIS, TVIPS, Gatan."""

from __future__ import annotations

from typing import Final

import numpy as np
from tifffile import TIFF, TiffFile

from .pixel_size import PixelSize, in_nm

SIS: Final = 33560
"""Olympus Soft Imaging Solutions (iTEM, analySIS): a binary structure, lengths as a number and a power of ten, m."""
TVIPS: Final = 37706
"""TVIPS (EM-MENU) TemData: a binary record; from version 2 on with the pixel size, nm."""
_TVIPS_MAGIC: Final = 0xAAAAAAAA
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
    """PixelSizeX and PixelSizeY of TemData, nm in single precision.

    The record is read here after tifffile's ``TVIPS_HEADER_V1`` and ``_V2``, for the sizes that tifffile itself
    gives are in m before its version 2026.3.3 and in nm since.
    """
    tag = tiff.pages.first.tags.get(TVIPS)
    if tag is None:
        return None
    layouts = (TIFF.TVIPS_HEADER_V1, TIFF.TVIPS_HEADER_V2)
    first, second = (np.dtype(layout).newbyteorder(tiff.byteorder) for layout in layouts)
    tiff.filehandle.seek(tag.valueoffset)
    data = tiff.filehandle.read(min(tag.count, first.itemsize + second.itemsize))
    version = np.frombuffer(data, first, 1)["Version"][0]
    record = np.frombuffer(data, second, 1, first.itemsize)[0]
    if version != 2 or record["Magic"] != _TVIPS_MAGIC:
        return []
    x, y = (f"{record[f'PixelSize{axis}']:.7g}" for axis in "XY")
    return [in_nm(x, y, "nm", "TVIPS TemData PixelSizeX", record["ImageSizeX"])]


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
