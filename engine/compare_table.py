"""The table of a comparison: one row a lobe or a set of either side, what is matched in one row."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from .findings import Findings
from .matching import Overlaps
from .table import Table
from .types import I64

FOUND: Final = "found"
MISSED: Final = "missed"
EXTRA: Final = "extra"
IGNORED: Final = "ignored"
"""Status of a row: on both sides, on the second alone, on the first alone, or not to be counted (hidden, excluded)."""

COLUMNS: Final[dict[str, tuple[type[np.generic], str]]] = {
    "image": (np.str_, ""),
    "what": (np.str_, ""),
    "status": (np.str_, ""),
    "number_a": (np.int64, ""),
    "number_b": (np.int64, ""),
    "role_a": (np.str_, ""),
    "role_b": (np.str_, ""),
    "set_a": (np.int64, ""),
    "set_b": (np.int64, ""),
    "same_lobes": (np.bool_, ""),
    "centroid-0": (np.float64, "px"),
    "centroid-1": (np.float64, "px"),
    "iou": (np.float64, ""),
    "diameter_a": (np.float64, "px"),
    "diameter_b": (np.float64, "px"),
    "diameter_a_nm": (np.float64, "nm"),
    "diameter_b_nm": (np.float64, "nm"),
    "difference": (np.float64, "px"),
    "difference_nm": (np.float64, "nm"),
    "compared": (np.bool_, ""),
}
"""Column → dtype and unit.

``number`` is the label or set number on a side (of a table of lobes its line), 0 where the side has none; ``role`` the
role of a lobe in its set, or the kind of a set; ``same_lobes`` that a set is made of the same lobes on both sides;
``compared`` that the difference counts in the statistics: found on both sides, and cut by no border. The centroid is
the second side's where it has one. Lengths in nm are there where both sides know the scale.
"""

Rows = dict[str, NDArray[Any]]


def rows(image: str, what: str, pairs: I64, overlaps: Overlaps, a: Findings, b: Findings,
         scales: tuple[float, float] | None) -> Rows:
    """The columns for one micrograph: matched rows, then what is missed, then what is extra.

    ``pairs`` (P, 2) rows of ``a`` and ``b`` that are matched; ``scales`` nm per px on the two sides.
    """
    of_pair = dict(zip(zip(overlaps.first.tolist(), overlaps.second.tolist(), strict=True), overlaps.iou, strict=True))
    missed, extra = (np.setdiff1d(np.arange(len(side.numbers)), pairs[:, k]) for k, side in ((1, b), (0, a)))
    i = np.concatenate([pairs[:, 0], np.full(len(missed), -1), extra])
    j = np.concatenate([pairs[:, 1], missed, np.full(len(extra), -1)])
    ignored = _at(a.ignored, i, False) | _at(b.ignored, j, False)
    status = np.select([ignored, i < 0, j < 0], [IGNORED, MISSED, EXTRA], FOUND)
    iou = np.full(len(i), np.nan)
    iou[: len(pairs)] = [of_pair[i, j] for i, j in pairs.tolist()]
    first, second = _at(a.diameters, i, np.nan), _at(b.diameters, j, np.nan)
    centroids = np.where(j[:, None] >= 0, _at(b.centroids, j, np.nan), _at(a.centroids, i, np.nan))
    found: Rows = {
        "image": np.full(len(i), image), "what": np.full(len(i), what), "status": status, "iou": iou,
        "number_a": _at(a.numbers, i, 0), "number_b": _at(b.numbers, j, 0),
        "role_a": _at(a.roles, i, ""), "role_b": _at(b.roles, j, ""),
        "set_a": _at(a.sets, i, 0), "set_b": _at(b.sets, j, 0), "same_lobes": np.zeros(len(i), bool),
        "centroid-0": centroids[:, 0], "centroid-1": centroids[:, 1],
        "diameter_a": first, "diameter_b": second, "difference": first - second,
        "compared": (status == FOUND) & ~_at(a.cut, i, False) & ~_at(b.cut, j, False),
    }  # fmt: skip
    if scales is not None:
        first, second = first * scales[0], second * scales[1]
        found |= {"diameter_a_nm": first, "diameter_b_nm": second, "difference_nm": first - second}
    return found


def mark_same_lobes(rows: Rows, same: I64) -> Rows:
    """The rows of sets with ``same_lobes`` set for (S, 2) numbers (second's set, first's set)."""
    pairs = set(map(tuple, same.tolist()))
    marked = [pair in pairs for pair in zip(rows["number_b"].tolist(), rows["number_a"].tolist(), strict=True)]
    return rows | {"same_lobes": np.array(marked, bool)}


def table(parts: Sequence[Rows]) -> Table:
    """The rows of all micrographs."""
    there = [name for name in COLUMNS if all(name in part for part in parts)]
    columns = {name: np.concatenate([part[name] for part in parts]).astype(COLUMNS[name][0]) for name in there}
    return Table(columns, {name: COLUMNS[name][1] for name in there})


def _at(values: NDArray[Any], index: I64, otherwise: object) -> NDArray[Any]:
    """``values[index]``, ``otherwise`` where the index is −1."""
    padded = np.concatenate([values, np.full((1, *values.shape[1:]), otherwise, values.dtype)])
    return padded[index]
