"""Parquet, read back by pandas and pyarrow."""

from __future__ import annotations

import json
from io import BytesIO

import numpy as np
import pandas as pd
from handmade import result_of, small_result
from pyarrow import parquet
from samcolloid_edge.engine import report
from samcolloid_edge.engine.report_parquet import table_parquet


def test_pandas_reads_the_table_with_its_types() -> None:
    result = small_result()
    for table in (result.lobes, result.sets):
        frame = pd.read_parquet(BytesIO(table_parquet(table, report.record(result))))
        assert list(frame.columns) == list(table)
        for name, values in table.items():
            assert values.dtype.kind == "U" or frame[name].dtype == values.dtype
            np.testing.assert_array_equal(frame[name].to_numpy(), values)


def test_units_and_the_record_travel_with_it_and_the_undefined_is_null() -> None:
    result = small_result()
    table = parquet.read_table(BytesIO(table_parquet(result.sets, report.record(result))))
    assert table.schema.field("area_nm2").metadata[b"unit"].decode() == "nm²"
    assert json.loads(table.schema.metadata[b"samcolloid_edge"])["pixel_size"]["nm_per_px"] == 2.0
    assert table["angle_max"].null_count == np.isnan(result.sets["angle_max"]).sum() == 1


def test_nothing_found_keeps_the_columns() -> None:
    result = result_of(np.zeros((5, 7), np.int32), np.zeros(0, np.int32))
    table = parquet.read_table(BytesIO(table_parquet(result.lobes, {})))
    assert (table.num_rows, table.column_names) == (0, list(result.lobes))
