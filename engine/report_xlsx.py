"""A result as one Excel workbook: what is measured, what it averages to, how it came about, what each column means.

Cells are written by type: text is never a formula, a number never text, and what is undefined is an empty cell.
"""

from __future__ import annotations

import io
import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from .columns import LOBE_COLUMNS
from .filters import COUNTING
from .quantities import COLUMNS as STATISTICS_COLUMNS
from .set_table import SET_COLUMNS
from .table import Table
from .types import Result

if TYPE_CHECKING:
    from xlsxwriter import Workbook

ELSEWHERE: Final = ("schema_version", "summary", "statistics", "units")
"""Parts of the record that the sheet ``settings`` leaves to others."""
NARROWEST: Final = 9
WIDEST: Final = 60
"""Characters of a column."""


def workbook(result: Result, found: Mapping[str, Any]) -> bytes:
    """One sheet each for lobes, sets, summary, statistics, settings and columns; ``found`` is the result's record."""
    from xlsxwriter import Workbook

    file = io.BytesIO()
    with Workbook(file, {"in_memory": True}) as book:
        for name, table in (("lobes", result.lobes), ("sets", result.sets)):
            _sheet(book, name, list(table), _rows(table), first_fixed=True)
        _sheet(book, "summary", ("quantity", "value"), _flat(found["summary"]))
        described = ([row.get(c) for c in STATISTICS_COLUMNS] for row in found["statistics"]["rows"])
        _sheet(book, "statistics", list(STATISTICS_COLUMNS), described)
        settings = ((part, *row) for part in found if part not in ELSEWHERE for row in _flat(found[part]))
        _sheet(book, "settings", ("part", "name", "value"), settings)
        _sheet(book, "columns", ("table", "column", "unit", "definition", "source"), _columns(result))
    return file.getvalue()


def _sheet(
    book: Workbook, name: str, header: Sequence[str], rows: Iterable[Sequence[Any]], *, first_fixed: bool = False
) -> None:
    """A sheet whose header stays in view, with filters, and columns as wide as what they hold."""
    sheet = book.add_worksheet(name)
    head = book.add_format({"bold": True, "bottom": 1})
    decimal = book.add_format({"num_format": "0.000"})
    widths = [len(text) + 3 for text in header]  # room for the filter's arrow
    for column, text in enumerate(header):
        sheet.write_string(0, column, text, head)
    last = 0
    for last, row in enumerate(rows, start=1):
        for column, value in enumerate(row):
            if isinstance(value, bool):
                sheet.write_boolean(last, column, value)
            elif isinstance(value, int):
                sheet.write_number(last, column, value)
            elif isinstance(value, float) and math.isfinite(value):
                sheet.write_number(last, column, value, decimal if first_fixed else None)
            elif isinstance(value, str) and value:
                sheet.write_string(last, column, value)
                widths[column] = max(widths[column], len(value) + 1)
    sheet.freeze_panes(1, int(first_fixed))
    sheet.autofilter(0, 0, last, len(header) - 1)
    for column, width in enumerate(widths):
        sheet.set_column(column, column, min(max(width, NARROWEST), WIDEST))


def _rows(table: Table) -> Iterator[tuple[Any, ...]]:
    """The rows of a table, as plain Python values."""
    # float32 has 7 digits; as a float64 it would show others behind them.
    plain = (c.astype("U").astype(np.float64) if c.dtype == np.float32 else c for c in table.values())
    return zip(*(column.tolist() for column in plain), strict=True)


def _flat(values: Any, name: str = "") -> Iterator[tuple[str, Any]]:
    """Name and value of everything in a part of the record; names of what is nested are joined by dots."""
    if isinstance(values, Mapping):
        for key, value in values.items():
            yield from _flat(value, f"{name}.{key}" if name else str(key))
    elif isinstance(values, list):
        for number, value in enumerate(values, start=1):
            yield from _flat(value, f"{name} {number}".strip())
    else:
        yield name, values


def _columns(result: Result) -> Iterator[tuple[str, ...]]:
    """Every column of both tables: its table, name, unit, definition and source."""
    for name, table, declared in (("lobes", result.lobes, LOBE_COLUMNS), ("sets", result.sets, SET_COLUMNS)):
        known = {c.name: c for c in (*declared, *COUNTING, *(c.scaled() for c in declared if c.suffix))}
        for column in table:
            yield name, column, table.units[column], known[column].definition, known[column].source
