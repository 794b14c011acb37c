"""Pixel size from what microscopes and image programs write into a TIFF, with where it came from.

A plain TIFF resolution (dots per inch) describes a printed page, not a specimen, and is no scale.
"""

from __future__ import annotations

import math
import re
from dataclasses import dataclass
from typing import Final
from xml.etree import ElementTree

from tifffile import TiffFile

from .lengths import MICRO, is_length, nanometres

CZ_SEM: Final = 34118
"""TIFF tag of Zeiss scanning electron microscopes (SmartSEM): text, after a block of unnamed numbers."""


@dataclass(frozen=True, slots=True)
class PixelSize:
    """The scale a file states."""

    x: float
    """nm per px along a row."""
    y: float
    """nm per px along a column."""
    source: str
    """Where it is written, e.g. "Zeiss CZ_SEM AP_IMAGE_PIXEL_SIZE"."""


def pixel_size(tiff: TiffFile) -> PixelSize | None:
    """The pixel size that the first page of ``tiff`` states; None where it states none that makes sense."""
    for read in (_zeiss, _ome, _imagej):
        found = read(tiff)
        if found is not None and is_length(found.x) and is_length(found.y):
            # 12 digits: a size that went through a ratio of whole numbers comes back as it was written.
            return PixelSize(float(f"{found.x:.12g}"), float(f"{found.y:.12g}"), found.source)
    return None


def _zeiss(tiff: TiffFile) -> PixelSize | None:
    """Zeiss: the entry AP_IMAGE_PIXEL_SIZE, else the fourth unnamed number, which is the pixel size in metres
    (https://sourceforge.net/p/gwyddion/mailman/message/29275000/)."""
    tag = tiff.pages.first.tags.get(CZ_SEM)
    if tag is None or not isinstance(tag.value, dict):
        return None
    # tifffile gives (label, number, unit), or (label, text) where it can't split the text.
    _, *value = tag.value.get("ap_image_pixel_size", ("",))
    match = re.fullmatch(r"([\d.,eE+-]+)\s*(\S+)", " ".join(map(str, value)).strip())
    if match is not None:
        size = _length(match[1].replace(",", "."), match[2])
        if is_length(size):
            return PixelSize(size, size, "Zeiss CZ_SEM AP_IMAGE_PIXEL_SIZE")
    unnamed = tag.value.get("", ())
    size = _length(unnamed[3], "m") if len(unnamed) > 3 else math.nan
    return PixelSize(size, size, "Zeiss CZ_SEM header calibration")


def _ome(tiff: TiffFile) -> PixelSize | None:
    """OME-TIFF: PhysicalSizeX and Y of the first image, in µm where no unit is given (OME schema 2016-06)."""
    if not tiff.ome_metadata:
        return None
    try:
        root = ElementTree.fromstring(tiff.ome_metadata)
    except ElementTree.ParseError:
        return None
    pixels = next((e for e in root.iter() if e.tag.rpartition("}")[2] == "Pixels"), None)
    if pixels is None:
        return None
    x, y = (
        _length(pixels.get(f"PhysicalSize{axis}"), pixels.get(f"PhysicalSize{axis}Unit", f"{MICRO}m"))
        for axis in "XY"
    )
    return PixelSize(x, y if "PhysicalSizeY" in pixels.attrib else x, "OME-TIFF PhysicalSizeX")


def _imagej(tiff: TiffFile) -> PixelSize | None:
    """ImageJ: pixels per unit in XResolution and YResolution; ``unit`` (and ``yunit``) in the description."""
    described = tiff.imagej_metadata
    if not described or "unit" not in described:
        return None

    def size(tag: str, unit: str) -> float:
        # ImageJ writes µ as an escape, for the description is ASCII.
        unit = re.sub(r"\\u([0-9a-fA-F]{4})", lambda m: chr(int(m[1], 16)), unit)
        match tiff.pages.first.tags.valueof(tag):
            case (int(numerator), int(denominator)) if numerator:
                return _length(denominator / numerator, unit)
        return math.nan

    unit = str(described["unit"])
    y = size("YResolution", str(described.get("yunit", unit)))
    return PixelSize(size("XResolution", unit), y, "ImageJ unit and resolution")


def _length(number: object, unit: str) -> float:
    """nm; NaN where ``number`` is none, or ``unit`` none of length."""
    try:
        return float(str(number)) * (nanometres(unit) or math.nan)
    except ValueError:
        return math.nan
