"""Writes result files whole or not at all: to a temporary name in the same folder, then renamed."""

from __future__ import annotations

import contextlib
import errno
import hashlib
import os
import secrets
from collections.abc import Mapping
from pathlib import Path

from ..models.errors import OutputError

_FULL = (errno.ENOSPC, errno.EDQUOT)


def sha256_of(path: Path) -> str:
    """sha256 of a file's bytes, hex; OSError where it cannot be read."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def check_folder(folder: Path) -> None:
    """Make ``folder`` and see that files can be made in it; OutputError where not."""
    probe = _temporary(folder / "probe")
    try:
        folder.mkdir(parents=True, exist_ok=True)
        probe.open("xb").close()
        probe.unlink()
    except OSError as error:
        raise _sentence(folder, error) from None


def write_files(folder: Path, contents: Mapping[str, bytes]) -> list[Path]:
    """Write ``contents`` (name → bytes) into ``folder``, in order; all of them or, on an OutputError, none.

    A file that another program holds open (as Excel does on Windows) keeps its old contents; the new ones are
    written beside it under the next free name, ``lobes (1).csv``. Returns the paths written, in order.
    """
    new_folders = [p for p in (folder, *folder.parents) if not p.exists()]
    temporary = {name: _temporary(folder / name) for name in contents}
    try:
        folder.mkdir(parents=True, exist_ok=True)
        for name, data in contents.items():
            with temporary[name].open("xb") as file:
                file.write(data)
                file.flush()
                os.fsync(file.fileno())
        return [_rename(path, folder / name) for name, path in temporary.items()]
    except BaseException as error:
        for remove in (*(p.unlink for p in temporary.values()), *(p.rmdir for p in new_folders)):
            with contextlib.suppress(OSError):  # never made, or no longer empty
                remove()
        if isinstance(error, OSError):
            raise _sentence(folder, error) from None
        raise


def _rename(temporary: Path, target: Path) -> Path:
    try:
        temporary.replace(target)
    except PermissionError:
        target = _free_name(target)
        temporary.replace(target)
    return target


def _free_name(path: Path) -> Path:
    number = 1
    while (beside := path.with_name(f"{path.stem} ({number}){path.suffix}")).exists():
        number += 1
    return beside


def _temporary(path: Path) -> Path:
    return path.with_name(f".{path.name}.{secrets.token_hex(4)}.tmp")


def _sentence(folder: Path, error: OSError) -> OutputError:
    if error.errno in _FULL:
        return OutputError(f"{folder}: the disk is full, so nothing was written; free some and run again.")
    reason = error.strerror or type(error).__name__
    return OutputError(f"{folder}: cannot be written to ({reason}); choose another output folder.")
