"""Names that are the same plain name on every platform: of models, and of the files in a model's folder."""

from __future__ import annotations

import re
from typing import Final

_PLAIN: Final = re.compile(r"[A-Za-z0-9_](?:[A-Za-z0-9._-]{0,98}[A-Za-z0-9_-])?", re.ASCII)
_WINDOWS_DEVICES: Final = frozenset(
    ("con", "prn", "aux", "nul", *(f"{port}{n}" for port in ("com", "lpt") for n in range(10)))
)
RULE: Final = "a plain name has 1 to 100 letters a-z, digits, '.', '_' and '-', and begins with a letter or digit"


def is_plain(name: str) -> bool:
    """Whether a name stays inside its folder everywhere: no separator, drive, leading or trailing dot, no device."""
    return _PLAIN.fullmatch(name) is not None and name.split(".")[0].lower() not in _WINDOWS_DEVICES
