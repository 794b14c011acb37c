"""Pixel size from the text files that microscopes write beside an image: JEOL, Hitachi, TESCAN."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from .lengths import length
from .pixel_size import PixelSize, in_nm
from .scale_sem import tescan_sizes

_LARGEST: Final = 1 << 20
"""Bytes: no such file is larger, and a larger one is something else."""


@dataclass(frozen=True, slots=True)
class SideFile:
    """A text file beside an image."""

    name: str
    text: str
    sha256: str
    """Of its bytes."""


def side_files(image: Path) -> Iterator[SideFile]:
    """The text files whose name says that they belong to ``image``: ``a.txt`` (JEOL, Hitachi), ``a.hdr`` and
    ``a-tif.hdr`` (TESCAN) for ``a.tif``, in either case of letters."""
    ending = image.suffix.removeprefix(".")
    belonging = (".txt", ".hdr", f"-{ending}.hdr", f"-{ending.lower()}.hdr")
    seen = set()
    for name in (image.stem + ending for ending in belonging):
        for path in (image.with_name(name), image.with_name(f"{name[:-4]}{name[-4:].upper()}")):
            try:
                key = path.resolve()
                if key in seen or path == image or not path.is_file() or path.stat().st_size > _LARGEST:
                    continue
                seen.add(key)
                data = path.read_bytes()
            except OSError:  # a neighbour that cannot be read is no reason to refuse the image
                continue
            yield SideFile(path.name, _text(data), hashlib.sha256(data).hexdigest())


def jeol(text: str) -> list[PixelSize] | None:
    """$$SM_MICRON_MARKER, the label of the scale bar, over $$SM_MICRON_BAR, its length in whole px."""
    if "$CM_FORMAT" not in text and "$$SM_MICRON_BAR" not in text:
        return None
    columns = _entry(r"\$CM_FULL_SIZE", r"\s+(\d+)", text)
    marker, bar = (_entry(rf"\$\$SM_MICRON_{name}", r"[ \t]+(.+)", text) for name in ("MARKER", "BAR"))
    size = length(marker or "") / float(bar or "nan")
    return [in_nm(size, size, "nm", "JEOL side file, $$SM_MICRON_MARKER / $$SM_MICRON_BAR", columns)]


def hitachi(text: str) -> list[PixelSize] | None:
    """PixelSize, nm, in the section [SemImageFile]; DataSize is the size of the image."""
    if "[SemImageFile]" not in text:
        return None
    size = _entry("PixelSize", r"[ \t]*=[ \t]*(\S+)", text)
    columns = _entry("DataSize", r"[ \t]*=[ \t]*(\d+)", text)
    return [in_nm(size, size, "nm", "Hitachi side file PixelSize", columns)]


def tescan_header(text: str) -> list[PixelSize] | None:
    """PixelSizeX and PixelSizeY, m, in the section [MAIN]."""
    return tescan_sizes(text, "TESCAN side file PixelSizeX") if text.startswith("[MAIN]") else None


def _entry(name: str, value: str, text: str) -> str | None:
    match = re.search(rf"^{name}{value}", text, re.MULTILINE)
    return match[1].strip() if match else None


def _text(data: bytes) -> str:
    """ASCII in every case that matters; Hitachi's programs write UTF-16 with its mark, or the local code page."""
    if data.startswith((b"\xff\xfe", b"\xfe\xff")):
        return data.decode("utf-16", "replace")
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError:
        return data.decode("cp1252", "replace")
