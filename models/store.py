"""Where models lie: the bundled one with the package, the others as folders ``STORE/NAME`` in the user's data folder.

A model enters the store by one rename and leaves it by one: whoever reads sees a whole model or none.
"""

from __future__ import annotations

import contextlib
import errno
import os
import secrets
import shutil
import time
from collections.abc import Iterator
from dataclasses import replace
from importlib import resources
from pathlib import Path
from typing import Final

import platformdirs

from . import contract, names, stamps
from .card import CARD, GRAPHS, ModelCard
from .errors import ModelError
from .onnx_graph import OnnxGraph, read_graph

BUNDLED: Final = "colloid-tiny"
HOME: Final = "SAMCOLLOID_HOME"
"""Environment variable: a folder to be used instead of the platform's user data folder."""
_WORKSPACE: Final = ".workspace-"
_LONGEST_WORK: Final = 24 * 3600.0
"""Seconds after which a workspace in which nothing was made or renamed belongs to a process that is gone."""
_FULL: Final = (errno.ENOSPC, errno.EDQUOT)
_TAKEN: Final = (errno.EEXIST, errno.ENOTEMPTY)


def store() -> Path:
    """Where installed models lie: ``models`` in the user's data folder or in ``SAMCOLLOID_HOME``; may be missing."""
    home = os.environ.get(HOME)
    folder = Path(home).expanduser() if home else platformdirs.user_data_path("samcolloid-edge", appauthor=False)
    return folder.absolute() / "models"


def locate(model: str | os.PathLike[str] | None = None) -> Path:
    """The folder of a model. Raises ModelError where there is none.

    None is the bundled model. A plain name is looked up as the bundled model's, then in the store (upper and lower case
    are one), and then as a folder of the current one. Everything else, and every ``Path``, is a folder; ``./NAME``
    names one whatever the store holds.
    """
    if model is None or (isinstance(model, str) and model.lower() == BUNDLED):
        return Path(str(resources.files(__package__))) / BUNDLED
    if isinstance(model, str) and names.is_plain(model):
        found = _find(model)
        if found is not None:
            return found
    folder = Path(model)
    if not (folder / CARD).is_file():
        raise ModelError(contract.why_no_model(folder))
    return folder


def open_card(folder: Path) -> tuple[ModelCard, stamps.State]:
    """The card of a model whose files are its own, nothing altered and nothing outside the folder read; their state.

    Files in the store are hashed where size or time of change differ from the stamp, all others always.
    Raises ModelError.
    """
    card = ModelCard.read(folder / CARD)
    state = stamps.state_of(folder, card)
    if not _is_stored(folder):
        stamps.hash_all(folder, card)
    elif not stamps.is_stamped(folder, card, state):
        stamps.hash_all(folder, card)
        stamps.write_stamp(folder, card, state)
    _graphs(folder, card)
    return card, state


def verify(folder: Path, card: ModelCard) -> None:
    """Hash every file of a model in full and look for weights elsewhere; ModelError names the first wrong file."""
    state = stamps.state_of(folder, card)
    stamps.hash_all(folder, card)
    _graphs(folder, card)
    if _is_stored(folder):
        stamps.write_stamp(folder, card, state)


def installed() -> list[tuple[str, ModelCard | ModelError]]:
    """Name and card of each model in the store, or what is wrong with its card; the bundled model is not among them."""
    found: list[tuple[str, ModelCard | ModelError]] = []
    for name in _names():
        try:
            found.append((name, ModelCard.read(store() / name / CARD)))
        except ModelError as error:
            found.append((name, error))
    return found


@contextlib.contextmanager
def workspace(name: str) -> Iterator[Path]:
    """A fresh folder in the store to make the model ``name`` in; removed at the end, if ``install`` has not moved it.

    What a killed process has left of its own is cleaned up a day later. Raises ModelError where the store cannot be
    written to, or its disk is full, also while the folder is in use.
    """
    _check_name(name)
    folder = store() / f"{_WORKSPACE}{name}-{secrets.token_hex(4)}"
    with _sentences():
        store().mkdir(parents=True, exist_ok=True)
        _clean()
        folder.mkdir()
    try:
        yield folder
    except OSError as error:
        if error.errno in _FULL:
            raise _sentence(error) from error
        raise
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def install(folder: Path, name: str, overwrite: bool = False) -> Path:
    """Move a finished model from its workspace into the store, at once and whole; returns its new folder.

    Everything is hashed and its graphs are held against the contract first; a card with another name gets this one.
    A model of this name is replaced where ``overwrite`` says so: of processes that do it at once the last wins whole.
    Raises ModelError; ``folder`` then stays where it is.
    """
    _check_name(name)
    if not overwrite:
        _check_free(name)
    card = ModelCard.read(folder / CARD)
    state = stamps.state_of(folder, card)
    stamps.hash_all(folder, card)
    contract.check(card, *(contract.Tensors(graph.inputs, graph.outputs) for graph in _graphs(folder, card)))
    with _sentences():
        if card.name != name:
            (folder / CARD).write_text(replace(card, name=name).to_json(), "utf-8")
        for file in (*card.files, CARD):
            with (folder / file).open("r+b") as written:
                os.fsync(written.fileno())
        stamps.write_stamp(folder, card, state)
        while not _put(folder, name, overwrite):
            if not overwrite:
                _check_free(name)
    return store() / name


def import_model(source: Path, name: str | None = None, overwrite: bool = False) -> Path:
    """Copy a model's folder into the store under its card's name, or ``name``; returns its new folder.

    The copy is what gets verified. Raises ModelError, also where the model is one of another program.
    """
    if not (source / CARD).is_file():
        raise ModelError(contract.why_no_model(source))
    card = ModelCard.read(source / CARD)
    name = card.name if name is None else name
    _check_name(name)
    if not overwrite:
        _check_free(name)
    stamps.state_of(source, card)
    with workspace(name) as folder:
        with _sentences():
            for file in card.files:
                shutil.copyfile(source / file, folder / file, follow_symlinks=False)
            (folder / CARD).write_text(card.to_json(), "utf-8")
        return install(folder, name, overwrite)


def remove(name: str) -> None:
    """Remove a model from the store. Raises ModelError where it is not there, or is the bundled one."""
    if name.lower() == BUNDLED:
        raise ModelError(f"{name} comes with the program and cannot be removed.")
    found = _find(name)
    if found is None:
        raise ModelError(f"{name}: there is no such model in {store()}; `samcolloid-edge models list` names them.")
    with _sentences():
        gone = _take_out(found)
    if gone is not None:
        _delete(gone)


def _graphs(folder: Path, card: ModelCard) -> tuple[OnnxGraph, OnnxGraph]:
    """What the two graphs take and give. ModelError where they read a file that the card does not vouch for."""
    graphs = []
    for name in GRAPHS:
        graph = read_graph(folder / name)
        unknown = graph.external - set(card.files)
        if unknown:
            raise ModelError(
                f"{folder / name}: it keeps weights in {min(unknown)!r}, which is not a file of its card; "
                f"{stamps.AGAIN}."
            )
        graphs.append(graph)
    encoder, decoder = graphs
    return encoder, decoder


def _names() -> list[str]:
    try:
        return sorted(path.name for path in store().iterdir() if names.is_plain(path.name) and path.is_dir())
    except FileNotFoundError:
        return []
    except OSError as error:
        raise _sentence(error) from None


def _find(name: str) -> Path | None:
    """The folder of an installed model; two names that differ in case alone would be one folder on some platforms."""
    return next((store() / found for found in _names() if found.lower() == name.lower()), None)


def _is_stored(folder: Path) -> bool:
    return folder.resolve().parent == store().resolve()


def _check_name(name: str) -> None:
    if not names.is_plain(name):
        raise ModelError(f"{name!r} is no name for a model: {names.RULE}.")
    if name.lower() == BUNDLED:
        raise ModelError(f"{name} is the name of the model that comes with the program; give --name another.")


def _check_free(name: str) -> None:
    if _find(name) is not None:
        raise ModelError(f"{name}: a model of this name is installed; add --overwrite, or give --name another.")


def _put(folder: Path, name: str, overwrite: bool) -> bool:
    """Rename a folder to ``STORE/NAME``; False where another process put a model there in between."""
    old = _find(name) if overwrite else None
    gone = old and _take_out(old)
    try:
        folder.rename(store() / name)
    except OSError as error:
        if gone and old:
            with contextlib.suppress(OSError):  # that other process again
                gone.rename(old)
        if error.errno in _TAKEN:
            return False
        raise
    finally:
        if gone:
            _delete(gone)
    return True


def _take_out(model: Path) -> Path | None:
    """Give a model a name that hides it; its new path, or None where another process was quicker."""
    gone = model.with_name(f"{_WORKSPACE}{model.name}-{secrets.token_hex(4)}")
    try:
        return model.rename(gone)
    except FileNotFoundError:
        return None


def _delete(folder: Path) -> None:
    if folder.is_symlink():
        folder.unlink()
    else:
        shutil.rmtree(folder, ignore_errors=True)


def _clean() -> None:
    """Delete the workspaces of processes that were killed."""
    for folder in store().glob(f"{_WORKSPACE}*"):
        with contextlib.suppress(OSError):  # another process cleans up as well
            newest = max(path.lstat().st_mtime for path in (folder, *folder.iterdir()))
            if time.time() - newest > _LONGEST_WORK:
                shutil.rmtree(folder, ignore_errors=True)


@contextlib.contextmanager
def _sentences() -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise _sentence(error) from error


def _sentence(error: OSError) -> ModelError:
    if error.errno in _FULL:
        return ModelError(
            f"{store()}: the disk is full, so no model was kept; free some, or set {HOME} to another folder."
        )
    reason = error.strerror or type(error).__name__
    return ModelError(
        f"{store()}: the store of models cannot be used ({reason}: {error.filename}); get the right to write there, or "
        f"set {HOME} to another folder."
    )
