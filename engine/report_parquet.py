"""Tables as Parquet, for pandas, polars, DuckDB and R: types and units stay with the columns."""

from __future__ import annotations

import io
from collections.abc import Mapping
from typing import Any

import numpy as np

from .report_csv import json_bytes
from .table import Table


def table_parquet(table: Table, found: Mapping[str, Any]) -> bytes:
    """One row group of typed columns; an undefined value is null, a column's ``unit`` stands in its field's metadata.

    The result's record ``found`` lies in the file's metadata as JSON, under ``samcolloid_edge``.
    """
    import pyarrow as pa
    from pyarrow import parquet

    arrays, fields = [], []
    for name, column in table.items():
        is_undefined = np.isnan(column) if column.dtype.kind == "f" else None
        array = pa.array(column, mask=is_undefined)
        arrays.append(array)
        fields.append(pa.field(name, array.type, metadata={"unit": table.units[name]}))
    schema = pa.schema(fields, metadata={"samcolloid_edge": json_bytes(found)})
    file = io.BytesIO()
    parquet.write_table(pa.Table.from_arrays(arrays, schema=schema), file)
    return file.getvalue()
