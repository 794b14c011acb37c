"""Whether the files of a model are what its card says: hashed in full, or, in the store, unchanged since they were."""

from __future__ import annotations

import contextlib
import hashlib
import json
import secrets
import stat
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final, NamedTuple

from .card import STAMP, ModelCard
from .errors import ModelError

AGAIN: Final = "install or export the model again"


class FileState(NamedTuple):
    """Differs where a file was written, exchanged or touched."""

    device: int
    inode: int
    size: int
    mtime_ns: int
    ctime_ns: int
    """Time of creation on Windows; elsewhere of the last change, which nobody can set back."""


State = Mapping[str, FileState]
"""By file name."""


def state_of(folder: Path, card: ModelCard) -> State:
    """How the files of a model stand now; ModelError names one that is missing or no plain file."""
    state = {}
    for name in card.files:
        path = folder / name
        try:
            found = path.lstat()
        except OSError as error:
            raise ModelError(f"{path}: cannot be read ({error.strerror}); {AGAIN}.") from None
        if not stat.S_ISREG(found.st_mode):
            raise ModelError(f"{path}: the files of a model are no links or folders; copy the file itself here.")
        state[name] = FileState(found.st_dev, found.st_ino, found.st_size, found.st_mtime_ns, found.st_ctime_ns)
    return state


def hash_all(folder: Path, card: ModelCard) -> None:
    """Hash every file of a model in full; ModelError names the first that is missing or altered.

    A stamp takes the state from before it: where a file changes meanwhile, such a stamp counts for nothing.
    """
    state_of(folder, card)  # refuses links before they are followed
    for name, expected in card.files.items():
        path = folder / name
        try:
            with path.open("rb") as file:
                found = hashlib.file_digest(file, "sha256").hexdigest()
        except OSError as error:
            raise ModelError(f"{path}: cannot be read ({error.strerror}); {AGAIN}.") from None
        if found != expected:
            raise ModelError(
                f"{path}: the file was altered or is incomplete (its sha256 begins {found[:12]}, the card says "
                f"{expected[:12]}); {AGAIN}."
            )


def is_stamped(folder: Path, card: ModelCard, state: State) -> bool:
    """Whether files in that state are those that had the card's hashes when the stamp was written."""
    try:
        stamp = json.loads((folder / STAMP).read_text("utf-8"))
    except (OSError, ValueError, RecursionError):
        return False
    return bool(stamp == _stamp(card, state))


def write_stamp(folder: Path, card: ModelCard, state: State) -> None:
    """Note that the files had the card's hashes in that state. Where that cannot be written they are hashed again."""
    temporary = folder / f".{STAMP}.{secrets.token_hex(4)}"
    with contextlib.suppress(OSError):
        try:
            temporary.write_text(json.dumps(_stamp(card, state), indent=2) + "\n", "utf-8")
            temporary.replace(folder / STAMP)
        finally:
            temporary.unlink(missing_ok=True)


def _stamp(card: ModelCard, state: State) -> dict[str, Any]:
    """Size and times alone: device and inode change with a mount, and tell no more than they do."""
    return {
        name: {"sha256": card.files[name], "size": now.size, "mtime_ns": now.mtime_ns, "ctime_ns": now.ctime_ns}
        for name, now in state.items()
    }
