"""Where compiled kernels are kept, so that a process that comes later need not compile them.

numba looks for them under the path of their source file and, before 0.62, wants that file as old as it was: an
installation anew compiles all again. Here they lie in the user's cache folder and are known by what they were compiled
from. Each is a file of its own without an index, so processes that compile at once cannot mix them up.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import pickle
import secrets
import sys
from collections.abc import Callable
from functools import cache
from importlib import metadata
from pathlib import Path
from typing import Any, Final, TypeVar, cast

import numba
import platformdirs
from numba.core.compiler import CompileResult
from numba.core.serialize import dumps

F = TypeVar("F", bound=Callable[..., Any])
_SOURCES: Final = "kernels*.py"
"""All of them: a compiled kernel holds those that it calls."""
_SUFFIX: Final = ".kernel"
_DIGEST: Final = hashlib.sha256().digest_size


def folder() -> Path:
    """The folder of this version's compiled kernels: in ``NUMBA_CACHE_DIR``, else in the user's cache folder."""
    parent = numba.config.CACHE_DIR or platformdirs.user_cache_path("samcolloid-edge", appauthor=False)
    python = ".".join(map(str, sys.version_info[:2]))
    version = metadata.version("samcolloid-edge")
    return Path(parent) / "kernels" / f"{version}-numba-{numba.__version__}-python-{python}"


def kept() -> int:
    """How many compiled kernels lie in ``folder()``."""
    return sum(1 for _ in folder().glob(f"*{_SUFFIX}"))


def can_keep() -> bool:
    """Whether ``folder()`` is there or can be made, and written to."""
    try:
        folder().mkdir(parents=True, exist_ok=True)
    except OSError:
        return False
    return os.access(folder(), os.W_OK)


def njit(*, cache: bool = False, **options: Any) -> Callable[[F], F]:
    """numba's ``njit``, but what ``cache=True`` keeps lies in ``folder()``; where that cannot be, nothing is kept."""

    def compiled(function: F) -> F:
        kernel: Any = numba.njit(**options)(function)
        if cache and kernel is not function:  # it is where numba is switched off
            kernel._cache = Compiled(function)
        return cast(F, kernel)

    return compiled


class Compiled:
    """The compiled forms of one function: what numba's dispatcher asks before it compiles, and tells afterwards."""

    def __init__(self, function: Callable[..., Any]) -> None:
        source = Path(function.__code__.co_filename)
        self.cache_path = str(folder())
        self._name = f"{source.stem}.{function.__qualname__}"
        self._source = _digest_of_sources(source.parent)

    def load_overload(self, signature: Any, context: Any) -> Any:
        """The compiled form for the types of the arguments; None where it is not kept, or kept of another source."""
        context.refresh()
        try:
            data = self._path(signature, context.codegen()).read_bytes()
        except OSError:
            return None
        digest, kept = data[:_DIGEST], data[_DIGEST:]
        return CompileResult._rebuild(context, *pickle.loads(kept)) if digest == self._digest(kept) else None

    def save_overload(self, signature: Any, compiled: Any) -> None:
        """Keep a compiled form, unless it holds addresses of this process or the folder cannot be written to."""
        if compiled.lifted or compiled.library.has_dynamic_globals:
            return
        path = self._path(signature, compiled.codegen)
        kept = dumps(compiled._reduce())
        temporary = path.with_name(f".{path.name}.{secrets.token_hex(4)}.tmp")
        with contextlib.suppress(OSError):
            try:
                path.parent.mkdir(parents=True, exist_ok=True)
                temporary.write_bytes(self._digest(kept) + kept)
                temporary.replace(path)
            finally:
                temporary.unlink(missing_ok=True)

    def _path(self, signature: Any, codegen: Any) -> Path:
        """One for each kind of arguments and processor."""
        key = hashlib.sha256(repr((str(signature), codegen.magic_tuple())).encode()).hexdigest()
        return Path(self.cache_path) / f"{self._name}-{key[:16]}{_SUFFIX}"

    def _digest(self, kept: bytes) -> bytes:
        """Tells a form of another source, and a damaged one."""
        return hashlib.sha256(self._source + kept).digest()


@cache
def _digest_of_sources(package: Path) -> bytes:
    digest = hashlib.sha256()
    for path in sorted(package.glob(_SOURCES)):
        digest.update(path.read_bytes())
    return digest.digest()
