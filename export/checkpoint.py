"""Checkpoints: which ones Meta published, how one is fetched, and how its tensors are read without running its code."""

from __future__ import annotations

import hashlib
import os
import pickle
import urllib.error
import urllib.request
import zipfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import torch
from torch import Tensor

from ..models.errors import ModelError

Progress = Callable[[float], None]
"""Called with the share that is done, 0–1."""
ADDRESS: Final = "https://dl.fbaipublicfiles.com/segment_anything/"
CHUNK: Final = 1 << 22


@dataclass(frozen=True, slots=True)
class Published:
    """One of Meta's checkpoints."""

    file: str
    sha256: str
    size: int
    """Bytes."""


META: Final = {
    "vit_b": Published(
        "sam_vit_b_01ec64.pth", "ec2df62732614e57411cdcf32a23ffdf28910380d03139ee0f4fcbe91eb8c912", 375_042_383
    ),
    "vit_l": Published(
        "sam_vit_l_0b3195.pth", "3adcc4315b642a4d2101128f611684e8734c41232a17c648ed1693702a49a622", 1_249_524_607
    ),
    "vit_h": Published(
        "sam_vit_h_4b8939.pth", "a7bf3b02f3ebf1267aba913ff637d9a2d5c33d3173bb679e46d9f338c26f262e", 2_564_550_879
    ),
}
"""By model type. The end of a file's name is the start of its MD5; a checkpoint is known by its sha256 alone."""


def published_as(sha256: str) -> str | None:
    """The model type of the checkpoint with this sha256, where it is one of Meta's."""
    return next((name for name, known in META.items() if known.sha256 == sha256), None)


def hash_file(path: Path, progress: Progress = lambda _: None) -> str:
    """The sha256 of a file, hex; ModelError where it cannot be read."""
    digest = hashlib.sha256()
    try:
        with path.open("rb") as file:
            size, done = max(os.fstat(file.fileno()).st_size, 1), 0
            while block := file.read(CHUNK):
                digest.update(block)
                progress((done := done + len(block)) / size)
    except OSError as error:
        raise ModelError(f"{path}: cannot be read ({error.strerror}).") from None
    return digest.hexdigest()


def read(path: Path) -> dict[str, Tensor]:
    """The tensors of a checkpoint by name, mapped from the file; ModelError where they are not all it holds."""
    try:
        path.open("rb").close()
    except OSError as error:
        raise ModelError(f"{path}: cannot be read ({error.strerror}).") from None
    try:
        # Only tensors are read: a checkpoint is a pickle, and a pickle could run anything.
        state = torch.load(path, map_location="cpu", weights_only=True, mmap=zipfile.is_zipfile(path))
    except pickle.UnpicklingError as error:
        if "weights_only" in str(error) or "Weights only" in str(error):
            raise ModelError(f"{path}: holds more than tensors, code that loading would run; it is refused. Save the "
                             "state_dict alone.") from None  # fmt: skip
        raise ModelError(f"{path}: is no checkpoint, or damaged ({_first_line(error)}).") from None
    except (RuntimeError, OSError, EOFError, ValueError, KeyError) as error:
        raise ModelError(f"{path}: is no checkpoint, or incomplete ({_first_line(error)}).") from None
    for wrapper in ("model", "state_dict"):
        if isinstance(state, dict) and isinstance(state.get(wrapper), dict):
            state = state[wrapper]
    if not isinstance(state, dict) or not state or not all(isinstance(t, Tensor) for t in state.values()):
        raise ModelError(f"{path}: holds no state_dict (names with tensors).")
    return state


def _first_line(error: Exception) -> str:
    return (str(error).strip().splitlines() or [type(error).__name__])[0][:150]


def download(model: str, path: Path, address: str = ADDRESS, progress: Progress = lambda _: None) -> None:
    """Fetch Meta's checkpoint of a model type to ``path``, going on from a broken-off try; ModelError says what failed.

    What has come lies in ``path`` + ``.part`` until it is whole and its sha256 is right.
    """
    known = META[model]
    part = path.with_name(path.name + ".part")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        for _ in range(2):
            _fetch(address + known.file, part, known.size, progress)
            if hash_file(part) == known.sha256:
                part.replace(path)
                return
            # Perhaps the first half was of another file: once more, from the beginning.
            part.unlink()
    except (urllib.error.URLError, TimeoutError, ConnectionError) as error:
        reason = getattr(error, "reason", error)
        raise ModelError(f"{address + known.file}: cannot be fetched ({reason}). What came is kept: try again, or put "
                         f"the file at {path} yourself.") from None  # fmt: skip
    except OSError as error:
        raise ModelError(f"{part}: cannot be written ({error.strerror}).") from None
    raise ModelError(f"{address + known.file}: what came is not Meta's file (its sha256 is another); nothing was kept.")


def _fetch(url: str, part: Path, size: int, progress: Progress) -> None:
    have = part.stat().st_size if part.exists() else 0
    if have >= size:
        return
    request = urllib.request.Request(url, headers={"Range": f"bytes={have}-"} if have else {})
    with urllib.request.urlopen(request, timeout=60) as answer:
        goes_on = answer.status == 206  # a server that cannot go on sends all again
        with part.open("ab" if goes_on else "wb") as file:
            have = have if goes_on else 0
            while block := answer.read(CHUNK):
                file.write(block)
                progress(min((have := have + len(block)) / size, 1.0))
    if have < size:
        raise ConnectionError(f"the connection ended after {have} of {size} bytes")
