"""The workbook, read back by openpyxl."""

from __future__ import annotations

from dataclasses import replace
from io import BytesIO
from typing import Any

import numpy as np
from handmade import result_of, small_result
from openpyxl import Workbook, load_workbook
from samcolloid_edge.engine import report
from samcolloid_edge.engine.report_xlsx import workbook
from samcolloid_edge.engine.table import Table
from samcolloid_edge.engine.types import Result


def opened(result: Result) -> Workbook:
    return load_workbook(BytesIO(workbook(result, report.record(result))))


def rows(book: Workbook, sheet: str) -> list[tuple[Any, ...]]:
    return list(book[sheet].iter_rows(values_only=True))


def test_the_tables_read_back_with_their_types() -> None:
    result = small_result()
    book = opened(result)
    assert book.sheetnames == ["lobes", "sets", "summary", "statistics", "settings", "columns"]
    for name, table in (("lobes", result.lobes), ("sets", result.sets)):
        header, *body = rows(book, name)
        assert list(header) == list(table)
        for values, (column, wanted) in zip(zip(*body, strict=True), table.items(), strict=True):
            if wanted.dtype.kind == "f":
                np.testing.assert_allclose([np.nan if v is None else v for v in values], wanted, rtol=1e-6)
            else:
                assert list(values) == [v or None if isinstance(v, str) else v for v in wanted.tolist()], column
                kinds = {"i": int, "b": bool, "U": str}
                assert all(v is None or type(v) is kinds[wanted.dtype.kind] for v in values)


def test_what_is_not_defined_is_an_empty_cell() -> None:
    result = small_result()
    columns = {**result.lobes, "perimeter": np.array([np.nan, np.inf, -np.inf, 0.0, 1.5])}
    header, *body = rows(opened(replace(result, lobes=Table(columns, result.lobes.units))), "lobes")
    assert [row[header.index("perimeter")] for row in body] == [None, None, None, 0, 1.5]


def test_text_is_never_a_formula() -> None:
    book = opened(small_result(source="=HYPERLINK(\"http://x\").tif"))
    cells = [cell for row in book["settings"].iter_rows() for cell in row if str(cell.value).startswith("=")]
    assert [cell.data_type for cell in cells] == ["s"]


def test_headers_stay_in_view_and_columns_are_wide_enough() -> None:
    book = opened(small_result())
    assert [sheet.freeze_panes for sheet in book] == ["B2", "B2", "A2", "A2", "A2", "A2"]
    for sheet in book:
        # Neighbours of one width are one entry.
        widths = {n: d.width for d in sheet.column_dimensions.values() for n in range(d.min, d.max + 1)}
        for cell in sheet[1]:
            assert cell.font.bold
            assert widths[cell.column] >= len(cell.value)


def test_the_other_sheets_say_how_it_came_about_and_what_the_columns_mean() -> None:
    result = small_result(pixel_size=2.0)
    book = opened(result)
    summary = dict(rows(book, "summary")[1:])
    assert (summary["lobes"], summary["trimers"]) == (5, 1)
    header, *body = rows(book, "statistics")
    (area,) = (dict(zip(header, row, strict=True)) for row in body if row[:3] == ("lobes", "all", "area"))
    assert area["n"] == 5
    settings = {row[:2]: row[2] for row in rows(book, "settings")[1:]}
    assert settings["pixel_size", "nm_per_px"] == 2.0
    assert settings["settings", "particle"] == "auto"
    assert settings["model", "digest"] == result.model.digest
    meaning = {row[:2]: row[2:] for row in rows(book, "columns")[1:]}
    assert set(meaning) == {("lobes", c) for c in result.lobes} | {("sets", c) for c in result.sets}
    assert meaning["lobes", "area_nm2"][:2] == ("nm²", "area in nm²")
    assert meaning["sets", "angle_max"][0] == "°"


def test_nothing_found_gives_headers() -> None:
    book = opened(result_of(np.zeros((5, 7), np.int32), np.zeros(0, np.int32)))
    assert len(rows(book, "lobes")) == len(rows(book, "sets")) == 1
