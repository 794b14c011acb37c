"""Which files the arguments of ``analyze`` name, and where under the output folder each one's results go."""

from __future__ import annotations

import glob
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import takewhile
from pathlib import Path
from typing import Final

IMAGE_SUFFIXES: Final = (
    ".tif", ".tiff", ".png", ".jpg", ".jpeg", ".bmp", ".dm3", ".dm4", ".emd", ".mrc", ".mrcs",
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Input:
    """One thing to analyse, or the sentence that says why an argument names nothing."""

    path: Path
    error: str | None = None


def expand(arguments: Sequence[str]) -> list[Input]:
    """The files that the arguments name, each once.

    A folder stands for the images that lie directly in it, a pattern for the images that it matches.
    """
    inputs: dict[Path, Input] = {}
    for argument in arguments:
        path = Path(argument)
        if path.is_dir():
            found = [Input(p) for p in sorted(path.iterdir()) if _is_image(p)]
            nothing = f"{path}: this folder holds no image ({' '.join(IMAGE_SUFFIXES)})."
        elif path.exists() or not glob.has_magic(argument):
            found, nothing = [Input(path)], ""
        else:  # cmd.exe and PowerShell hand patterns on as they are; Path.glob takes no absolute ones
            found = [Input(p) for p in sorted(map(Path, glob.glob(argument))) if _is_image(p)]  # noqa: PTH207
            nothing = f"{path}: no image matches this pattern ({' '.join(IMAGE_SUFFIXES)})."
        for item in found or [Input(path, nothing)]:
            inputs.setdefault(item.path.resolve(), item)
    return list(inputs.values())


def result_folders(paths: Sequence[Path]) -> list[Path]:
    """Where each file's results go, relative to the output folder; no two alike, case or no case.

    They are named for the files without suffix, or with it where files of one folder differ in nothing else.
    Where files of two folders share a name, all keep the folders of their files, as far as those differ.
    """
    files = [path.resolve() for path in paths]
    folders = [_parts(file.parent) for file in files]
    names = [_name(file) for file in files]
    while twins := _twins(folders, names):
        longer = [files[i].name if i in twins else name for i, name in enumerate(names)]
        if longer == names:  # they differ in case alone
            names = [f"{name} ({i + 1})" if i in twins else name for i, name in enumerate(names)]
            break
        names = longer
    if _twins([()] * len(names), names):
        shared = sum(1 for _ in takewhile(lambda parts: len(set(parts)) == 1, zip(*folders, strict=False)))
        return [Path(*folder[shared:], name) for folder, name in zip(folders, names, strict=True)]
    return [Path(name) for name in names]


def _is_image(path: Path) -> bool:
    # A leading dot: the resource forks that macOS leaves on foreign disks end in .tif as well.
    return path.suffix.lower() in IMAGE_SUFFIXES and not path.name.startswith(".") and path.is_file()


def _name(file: Path) -> str:
    return file.stem.rstrip(". ") or file.name  # Windows drops dots and spaces at the end of a folder's name


def _parts(folder: Path) -> tuple[str, ...]:
    """The folder's parts as names that a folder may have anywhere: ``C:\\`` becomes ``C``."""
    drive = folder.drive.replace(":", "").strip("\\/?.").replace("\\", "_")
    return (drive, *folder.parts[1:]) if drive else folder.parts[1:]


def _twins(folders: Sequence[tuple[str, ...]], names: Sequence[str]) -> set[int]:
    """Indices of those that share folder and name with another, upper and lower case being one."""
    keys = ["/".join((*folder, name)).casefold() for folder, name in zip(folders, names, strict=True)]
    count = Counter(keys)
    return {i for i, key in enumerate(keys) if count[key] > 1}
