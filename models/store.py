"""Where models lie, and whether their files are what their card says."""

from __future__ import annotations

import hashlib
import os
from importlib import resources
from pathlib import Path
from typing import Final

from .card import ModelCard
from .errors import ModelError

BUNDLED: Final = "colloid-tiny"
CARD: Final = "card.json"


def locate(model: str | os.PathLike[str] | None = None) -> Path:
    """The folder of a model: a path to one, or the bundled model for None and its name. Raises ModelError."""
    if model is None or os.fspath(model) == BUNDLED:
        return Path(str(resources.files(__package__))) / BUNDLED
    folder = Path(model)
    if not (folder / CARD).is_file():
        raise ModelError(
            f"{folder}: there is no model here (no {CARD}); name the folder of a model, or leave it out for {BUNDLED}."
        )
    return folder


def verify(folder: Path, card: ModelCard) -> None:
    """Hash every file of a model in full; ModelError names the first that is missing or altered."""
    for name, expected in card.files.items():
        path = folder / name
        try:
            with path.open("rb") as file:
                found = hashlib.file_digest(file, "sha256").hexdigest()
        except OSError as error:
            raise ModelError(f"{path}: cannot be read ({error.strerror}); install or export the model again.") from None
        if found != expected:
            raise ModelError(
                f"{path}: the file was altered or is incomplete (its sha256 begins {found[:12]}, the card says "
                f"{expected[:12]}); install or export the model again."
            )
