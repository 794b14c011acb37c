"""Pixel size from the TIFF tags of scanning electron microscopes: Zeiss, Thermo Fisher/FEI, TESCAN."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any, Final

from tifffile import TiffFile

from .pixel_size import PixelSize, in_nm

CZ_SEM: Final = 34118
"""Zeiss (SmartSEM): text, after a block of unnamed numbers."""
FEI_SFEG: Final = 34680
FEI_HELIOS: Final = 34682
"""Thermo Fisher/FEI: text in sections, lengths in m."""
TESCAN: Final = 50431
"""TESCAN: blocks of text, each after its length and kind, lengths in m."""

_ZEISS_COLUMNS: Final = 1024
"""Width in px that the unnamed pixel size of Zeiss files belongs to, whatever the image's own width is."""


def zeiss(tiff: TiffFile) -> Iterator[PixelSize] | None:
    """The entry AP_IMAGE_PIXEL_SIZE, then the fourth unnamed number: m per px of the image at 1024 px width
    (https://sourceforge.net/p/gwyddion/mailman/message/29275000/; the width as in RosettaSciIO's reader)."""
    tag = tiff.pages.first.tags.get(CZ_SEM)
    return None if tag is None else _zeiss(tag.value, tiff.pages.first.imagewidth)


def _zeiss(entries: dict[str, Any], width: int) -> Iterator[PixelSize]:
    # tifffile gives (label, number, unit), or (label, text) where it can't split the text.
    _, *value = entries.get("ap_image_pixel_size", ("",))
    match = re.fullmatch(r"([\d.,eE+-]+)\s*(\S+)", " ".join(map(str, value)).strip())
    if match is not None:
        size = match[1].replace(",", ".")
        yield in_nm(size, size, match[2], "Zeiss CZ_SEM AP_IMAGE_PIXEL_SIZE")
    unnamed = entries.get("", ())
    if len(unnamed) > 3 and isinstance(unnamed[3], (int, float)):
        size = unnamed[3] * _ZEISS_COLUMNS / width
        yield in_nm(size, size, "m", "Zeiss CZ_SEM header calibration")


def fei(tiff: TiffFile) -> Iterator[PixelSize] | None:
    """[Scan] PixelWidth and PixelHeight, then the width and height of the field over [Image] ResolutionX and Y."""
    tags = tiff.pages.first.tags
    tag = tags.get(FEI_HELIOS) or tags.get(FEI_SFEG)
    return None if tag is None else _fei(tag.value)


def _fei(sections: dict[str, dict[str, Any]]) -> Iterator[PixelSize]:
    scan, image = sections.get("Scan", {}), sections.get("Image", {})
    columns, rows = image.get("ResolutionX"), image.get("ResolutionY")
    if "PixelWidth" in scan:
        yield in_nm(scan["PixelWidth"], scan["PixelHeight"], "m", "Thermo Fisher/FEI [Scan] PixelWidth", columns)
    fields = (("Scan", "HorFieldsize", "VerFieldsize"), ("EBeam", "HFW", "VFW"), ("IBeam", "HFW", "VFW"),
              ("IRBeam", "HFW", "VFW"))  # fmt: skip
    beam = sections.get("Beam", {}).get("Beam")
    for section, across, down in fields:
        field = sections.get(section, {})
        of_this_beam = section in ("Scan", beam) or (beam is None and section != "IBeam")
        if columns and rows and of_this_beam and across in field and down in field:
            source = f"Thermo Fisher/FEI [{section}] {across} / [Image] ResolutionX"
            yield in_nm(field[across] / columns, field[down] / rows, "m", source, columns)
            return


def tescan(tiff: TiffFile) -> list[PixelSize] | None:
    """PixelSizeX and PixelSizeY of the main block (Gwyddion's reader, modules/file/tescan.c)."""
    tag = tiff.pages.first.tags.get(TESCAN)
    if tag is None:
        return None
    value = tag.value
    data = value.encode("latin-1") if isinstance(value, str) else bytes(value)
    return tescan_sizes(data.decode("latin-1"), "TESCAN PixelSizeX")


def tescan_sizes(text: str, source: str) -> list[PixelSize]:
    """PixelSizeX and PixelSizeY, m per px, in the text of a TESCAN header."""
    x, y = (re.search(rf"PixelSize{axis}\s*=\s*([^\s\0]+)", text) for axis in "XY")
    return [in_nm(x[1], y[1], "m", source)] if x and y else []
