"""The kinds of files that a result may consist of, and what each needs beyond the base install."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from importlib.util import find_spec
from typing import Final

from ..models.errors import SettingsError


@dataclass(frozen=True, slots=True)
class Format:
    """Files that are written together."""

    files: tuple[str, ...]
    library: str = ""
    """The optional package that writes them, by the name that Python imports; it comes with the extra of the format's
    name."""


FORMATS: Final = {
    "csv": Format(("lobes.csv", "sets.csv", "statistics.csv")),
    "tiff": Format(("labels.tif", "sets.tif")),
    "png": Format(("overlay.png",)),
    "coco": Format(("coco.json",)),
    "roi": Format(("rois.zip",), "roifile"),
    "xlsx": Format(("result.xlsx",), "xlsxwriter"),
    "parquet": Format(("lobes.parquet", "sets.parquet"), "pyarrow"),
    "json": Format(("result.json",)),
}
"""By the name that ``--formats`` takes, in the order they are written: the record, which vouches for all, is last."""
ALWAYS: Final = ("csv", "tiff", "png", "json")
"""What every result has: the tables, the label images, the overlay and the record."""
FURTHER: Final = tuple(name for name in FORMATS if name not in ALWAYS)


def chosen(names: Iterable[str] = ()) -> tuple[str, ...]:
    """``ALWAYS`` and the named formats, in the order they are written; ``all`` names every one.

    Raises SettingsError where there is no such format or its library is not installed.
    """
    wanted = set(ALWAYS)
    for name in names:
        if name != "all" and name not in FORMATS:
            raise SettingsError(f"There is no format {name!r}; there are {', '.join((*FORMATS, 'all'))}.")
        wanted |= set(FORMATS) if name == "all" else {name}
    formats = tuple(name for name in FORMATS if name in wanted)
    missing = [name for name in formats if FORMATS[name].library and find_spec(FORMATS[name].library) is None]
    if missing:
        libraries = " and ".join(FORMATS[name].library for name in missing)
        raise SettingsError(
            f"The format{'s' * (len(missing) > 1)} {', '.join(missing)} need{'s' * (len(missing) == 1)} {libraries}, "
            f'not installed here: pip install "samcolloid-edge[{",".join(missing)}]"'
        )
    return formats


def files_of(formats: Iterable[str]) -> tuple[str, ...]:
    """The names of the files of these formats, in the order they are written."""
    wanted = set(formats)
    return tuple(file for name, format_ in FORMATS.items() if name in wanted for file in format_.files)


def formats_of(files: Iterable[str]) -> tuple[str, ...]:
    """The formats that have one of these files."""
    there = set(files)
    return tuple(name for name, format_ in FORMATS.items() if there & set(format_.files))
