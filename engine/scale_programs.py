"""Pixel size as image programs write it into a TIFF: OME, ImageJ."""

from __future__ import annotations

import math
import re
from typing import Any
from xml.etree import ElementTree

from tifffile import TiffFile

from .lengths import MICRO
from .pixel_size import PixelSize, in_nm


def ome(tiff: TiffFile) -> list[PixelSize] | None:
    """OME-TIFF: PhysicalSizeX and Y of the first image, in µm where no unit is given (OME schema 2016-06)."""
    if not tiff.ome_metadata:
        return None
    root = ElementTree.fromstring(tiff.ome_metadata)
    pixels = next((e for e in root.iter() if e.tag.rpartition("}")[2] == "Pixels"), None)
    if pixels is None or "PhysicalSizeX" not in pixels.attrib:
        return None
    unit = pixels.get("PhysicalSizeXUnit", f"{MICRO}m")
    if unit in ("pixel", "reference frame"):  # the two units of the schema that are no lengths
        return None
    x = in_nm(pixels.get("PhysicalSizeX"), 1, unit, "").x
    y = in_nm(pixels.get("PhysicalSizeY"), 1, pixels.get("PhysicalSizeYUnit", f"{MICRO}m"), "").x
    return [PixelSize(x, y if "PhysicalSizeY" in pixels.attrib else x, "OME-TIFF PhysicalSizeX")]


def imagej(tiff: TiffFile) -> list[PixelSize] | None:
    """ImageJ: pixels per unit in XResolution and YResolution; ``unit`` (and ``yunit``) in the description."""
    described = tiff.imagej_metadata
    if not described or _unit(described.get("unit")) in ("", "pixel", "pixels", "1"):
        return None

    def size(tag: str, unit: Any) -> float:
        match tiff.pages.first.tags.valueof(tag):
            case (int(numerator), int(denominator)) if numerator:
                return in_nm(denominator / numerator, 1, _unit(unit), "").x
        return math.nan

    y = size("YResolution", described.get("yunit", described["unit"]))
    return [PixelSize(size("XResolution", described["unit"]), y, "ImageJ unit and resolution")]


def _unit(unit: Any) -> str:
    """ImageJ writes µ as an escape, for the description is ASCII."""
    text = "" if unit is None else str(unit)
    return re.sub(r"\\u([0-9a-fA-F]{4})", lambda m: chr(int(m[1], 16)), text).strip()
