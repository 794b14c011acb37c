"""Lengths as people and files write them → nm: units, and values with their uncertainty."""

from __future__ import annotations

import math
import re
from typing import Final

from ..models.errors import SettingsError

MICRO: Final = "\u00b5"
"""The micro sign; the Greek letter that looks the same is turned into it."""
_PREFIXES: Final = {"f": 1e-6, "p": 1e-3, "n": 1.0, "u": 1e3, MICRO: 1e3, "m": 1e6, "c": 1e7, "": 1e9}
_NAMES: Final = {
    "å": 0.1,
    "angstrom": 0.1,
    "nanometer": 1.0,
    "micron": 1e3,
    "microns": 1e3,
    "micrometer": 1e3,
    "in": 2.54e7,
    "inch": 2.54e7,
}
_LENGTH: Final = re.compile(r"\s*(\d+(?:[.,]\d+)?)\s*([^\s\d]+)\s*")
_WITH_UNCERTAINTY: Final = re.compile(r"\s*([^\s±]+?)\s*(?:(?:±|\+/?-)\s*([^\s±]+)\s*)?")


def nanometres(unit: str) -> float | None:
    """nm in one ``unit`` of length (fm to m, micron, Å, inch); None for anything else, "pixel" for one."""
    unit = unit.strip()
    if unit.casefold() in _NAMES:
        return _NAMES[unit.casefold()]
    return _PREFIXES.get(unit[:-1].replace("\u03bc", MICRO)) if unit.endswith("m") else None


def length(text: str) -> float:
    """nm in a length with its unit, as scale bars are labelled: ``"300nm"``, ``"0.5 µm"``. SettingsError else."""
    match = _LENGTH.fullmatch(text)
    factor = nanometres(match[2]) if match else None
    if match is None or factor is None or not is_length(float(match[1].replace(",", "."))):
        raise SettingsError(f"A length above 0 with its unit is needed, like 300nm or 0.5um, not {text!r}.")
    return float(f"{float(match[1].replace(',', '.')) * factor:.12g}")


def with_uncertainty(size: float | str) -> tuple[float, float | None]:
    """A pixel size and its standard uncertainty, nm per px: ``4.466``, ``"4.466"``, ``"4.466±0.05"``.

    ``+-`` and ``+/-`` mean ±; None where no uncertainty is given. SettingsError where it is no such text, or where
    the size is not above 0, or the uncertainty below 0 or not below the size.
    """
    match = _WITH_UNCERTAINTY.fullmatch(str(size))
    try:
        value = float(match[1]) if match else math.nan
        uncertainty = float(match[2]) if match and match[2] else None
    except ValueError:
        value = math.nan
    if not is_length(value):
        raise SettingsError(f"pixel_size must be a number above 0 (nm per px), like 4.466 or 4.466±0.05, not {size!r}.")
    if uncertainty is not None and not 0 <= uncertainty < value:
        raise SettingsError(f"The uncertainty of pixel_size must be at least 0 and below the size, not {size!r}.")
    return value, uncertainty


def is_length(size: float) -> bool:
    """Whether ``size`` is finite and above 0."""
    return math.isfinite(size) and size > 0
