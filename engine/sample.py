"""What one micrograph gives to statistics: its populations of lobes and sets, how much each counts, and its area."""

from __future__ import annotations

import csv
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, Literal

import numpy as np
from numpy.typing import NDArray

from .table import Table
from .types import Area, Bool, Result

F64 = NDArray[np.float64]
I64 = NDArray[np.int64]

KINDS: Final = ("sphere", "dumbbell", "trimer", "chain")
"""Of sets, in the order in which they are told."""
ROLES: Final = ("sphere", "dumbbell", "trimer")
"""Kinds in which every lobe has a role of its own."""
TEXT: Final = frozenset({"lobe", "kind", "shape", "incomplete", "excluded_by", "reason"})
"""Columns of the tables that hold text, whatever it looks like."""


@dataclass(frozen=True, slots=True)
class Population:
    """The lobes or sets of one kind in one micrograph that count, n of them."""

    table: Literal["lobes", "sets"]
    group: str
    """all, or a kind of set; for lobes with the role, as in "trimer b"."""
    rows: I64
    """(n,) in that table."""
    weight: F64
    """(n,) edge weight, above 0."""
    unit: I64
    """(n,) what is resampled: the set, or the lobe where it is in none; 0 to U − 1."""


@dataclass(frozen=True, slots=True)
class Sample:
    """The tables of one micrograph, with what statistics need to know of it."""

    key: str
    """sha256 of the micrograph."""
    lobes: Table
    sets: Table
    area: Area
    """In which particles are counted: the analysed area, or what the region of interest has of it."""
    pixel_size: float | None
    """nm per px; None where unknown."""
    pixel_size_uncertainty: float | None
    """Standard uncertainty of that, nm per px; None where unknown."""

    @classmethod
    def of(cls, result: Result) -> Sample:
        """Of a result."""
        micrograph = result.micrograph
        area = counted_area(micrograph.area, result.settings.roi)
        scale = micrograph.pixel_size, micrograph.pixel_size_uncertainty
        return cls(micrograph.sha256, result.lobes, result.sets, area, *scale)

    @classmethod
    def from_files(cls, folder: Path, record: Mapping[str, Any]) -> Sample:
        """Of the files of a result, of which ``record`` is the record; OSError, KeyError or ValueError where those
        are not what the record says."""
        lobes, sets = (read_table(folder / f"{name}.csv", record["units"][name]) for name in ("lobes", "sets"))
        area = counted_area(Area(**record["input"]["analysed_area"]), record["settings"]["roi"])
        scale = record["pixel_size"]["nm_per_px"], record["pixel_size"]["uncertainty_nm_per_px"]
        return cls(record["input"]["sha256"], lobes, sets, area, *scale)

    @property
    def n_units(self) -> int:
        """Sets, and lobes that are in none."""
        return self.sets.n_rows + int((self.lobes["set"] == 0).sum())

    @property
    def unit_of_lobe(self) -> I64:
        """(N,) what is drawn again with each lobe: its set, or the lobe alone; 0 to ``n_units`` − 1."""
        number = np.asarray(self.lobes["set"], np.int64)
        alone = number == 0
        return np.where(alone, self.sets.n_rows - 1 + np.cumsum(alone), number - 1)

    def populations(self) -> Iterator[Population]:
        """All lobes, all sets, and those of each kind and role; the latter only where there are any.

        A lobe of a role stands for its set, so it counts where the set does, and as much.
        """
        lobes, sets = self.lobes, self.sets
        lobe_counts, set_counts = lobes["excluded_by"] == "", sets["excluded_by"] == ""
        units, of_set = self.unit_of_lobe, np.arange(sets.n_rows)
        yield Population("lobes", "all", *_that(lobe_counts, lobes["edge_weight"], units))
        yield Population("sets", "all", *_that(set_counts, sets["edge_weight"], of_set))
        number = np.asarray(lobes["set"], np.int64)
        # What is appended is found by the lobes of no set, whose number is 0.
        weight = np.append(np.where(set_counts, sets["edge_weight"], 0.0), 0.0)[number - 1]
        kind = np.append(sets["kind"], "")[number - 1]
        for one in KINDS:
            yield Population("sets", one, *_that(set_counts & (sets["kind"] == one), sets["edge_weight"], of_set))
            for role in sorted(set(lobes["lobe"][kind == one].tolist())) if one in ROLES else ():
                of_role = lobe_counts & (kind == one) & (lobes["lobe"] == role)
                yield Population("lobes", one if one == role else f"{one} {role}", *_that(of_role, weight, units))


def counted_area(analysed: Area, roi: Any) -> Area:
    """What the region of interest (row0, col0, row1, col1, px, or None) has of the analysed area."""
    if roi is None:
        return analysed
    row0, col0, row1, col1 = roi
    return Area(max(row0, analysed.row0), max(col0, analysed.col0), min(row1, analysed.row1), min(col1, analysed.col1))


def read_table(path: Path, units: Mapping[str, str]) -> Table:
    """A table as ``report_csv.table_csv`` writes it: float64, bool and text columns; an empty number is NaN."""
    with path.open(encoding="utf-8", newline="") as file:
        header, *rows = csv.reader(file)
    columns = dict(zip(header, zip(*rows, strict=True) if rows else ((),) * len(header), strict=True))
    return Table({name: _typed(name, cells) for name, cells in columns.items()}, {name: units[name] for name in header})


def _typed(name: str, cells: tuple[str, ...]) -> NDArray[Any]:
    if name in TEXT:
        return np.array(cells, np.str_)
    if cells and set(cells) <= {"True", "False"}:
        return np.array([cell == "True" for cell in cells])
    return np.array([cell or "nan" for cell in cells], np.float64)


def _that(counts: Bool, weight: NDArray[Any], unit: I64) -> tuple[I64, F64, I64]:
    """Rows, weights and units of what counts and has a weight."""
    rows = np.flatnonzero(counts & (weight > 0))
    return rows, np.asarray(weight[rows], np.float64), unit[rows]
