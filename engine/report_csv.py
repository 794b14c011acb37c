"""Tables as CSV, and records as JSON: what every program reads."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Iterable, Mapping
from typing import Any

from numpy.typing import NDArray

from .table import Table


def table_csv(table: Table) -> bytes:
    """UTF-8 CSV: one header line, no unit row; an undefined value is an empty cell."""
    return rows_csv(table, zip(*(_cells(column) for column in table.values()), strict=True))


def rows_csv(header: Iterable[str], rows: Iterable[Iterable[Any]]) -> bytes:
    """UTF-8 CSV of plain Python values."""
    text = io.StringIO(newline="")
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(header)
    writer.writerows(rows)
    return text.getvalue().encode("utf-8")


def cell(value: Any, digits: int = 10) -> Any:
    """A float as text of so many significant digits; nothing for None and NaN."""
    if value is None or value != value:
        return ""
    return format(value, f".{digits}g") if isinstance(value, float) else value


def json_bytes(values: Mapping[str, Any]) -> bytes:
    """Readable UTF-8 JSON."""
    return (json.dumps(values, indent=2, ensure_ascii=False, allow_nan=False) + "\n").encode("utf-8")


def _cells(column: NDArray[Any]) -> list[Any]:
    digits = 10 if column.dtype.itemsize > 4 else 7  # float32 has no more
    return [cell(value, digits) for value in column.tolist()]
