"""Pixel sizes from what microscopes and image programs write into a TIFF or beside it, with where each came from.

A plain TIFF resolution (dots per inch) describes a printed page, not a specimen, and is no scale. docs/scale.md
lists what is read.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from functools import partial
from pathlib import Path
from typing import Final

from tifffile import TiffFile

from .pixel_size import PixelSize, Stated, tried
from .scale_programs import imagej, ome
from .scale_sem import fei, tescan, zeiss
from .scale_side import SideFile, hitachi, jeol, side_files, tescan_header
from .scale_tem import gatan, sis, tvips

_TAGS: Final[tuple[tuple[str, Callable[[TiffFile], Iterable[PixelSize] | None]], ...]] = (
    ("Zeiss", zeiss),
    ("Thermo Fisher/FEI", fei),
    ("TESCAN", tescan),
    ("Olympus SIS", sis),
    ("TVIPS", tvips),
    ("Gatan", gatan),
    ("OME", ome),
    ("ImageJ", imagej),
)
"""Each gives None where the file has none of its metadata; the first that states a size is the file's."""
_SIDE_FILES: Final[tuple[tuple[str, Callable[[str], Iterable[PixelSize] | None]], ...]] = (
    ("JEOL", jeol),
    ("Hitachi", hitachi),
    ("TESCAN", tescan_header),
)


def pixel_sizes(tiff: TiffFile) -> Stated:
    """Every pixel size that the first page of ``tiff`` states."""
    return _joined(tried(f"The {name} metadata", partial(read, tiff)) for name, read in _TAGS)


def side_pixel_sizes(image: Path) -> Stated:
    """The same from the text files that JEOL, Hitachi and TESCAN microscopes write beside ``image``."""
    return _joined(stated for _, stated in _beside(image))


def side_digests(image: Path) -> dict[str, str]:
    """Name and sha256 of these files: they belong to the input as the image does."""
    return {file.name: file.sha256 for file, _ in _beside(image)}


def _beside(image: Path) -> Iterator[tuple[SideFile, Stated]]:
    """The files beside ``image`` that are a microscope's, with what they state."""
    for file in side_files(image):
        for name, read in _SIDE_FILES:
            stated = tried(f"The {name} metadata in {file.name}", partial(read, file.text))
            if any(stated):
                yield file, stated


def _joined(parts: Iterable[Stated]) -> Stated:
    found: list[PixelSize] = []
    notes: list[str] = []
    for sizes, sentences in parts:
        found += sizes
        notes += sentences
    return tuple(found), tuple(notes)
