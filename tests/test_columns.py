"""The declaration of the columns is what the docs and the program tell."""

from __future__ import annotations

from pathlib import Path

import pytest
from samcolloid_edge.cli.columns import columns
from samcolloid_edge.engine.columns import LOBE_COLUMNS, Column, lobe_columns
from samcolloid_edge.engine.set_table import SET_COLUMNS
from samcolloid_edge.engine.settings import COLUMNS

DOCS = Path(__file__).parents[1] / "docs" / "columns.md"


def test_the_docs_are_made_from_the_declaration(capsys: pytest.CaptureFixture[str]) -> None:
    columns("markdown")
    made = capsys.readouterr().out
    assert DOCS.read_text("utf-8") == made, "make it anew: samcolloid-edge columns --format markdown > docs/columns.md"


def test_every_choice_has_the_standard_columns_first_and_all_has_every_one() -> None:
    standard = lobe_columns("standard")
    for choice in COLUMNS:
        assert lobe_columns(choice)[: len(standard)] == standard
    assert lobe_columns("all") == LOBE_COLUMNS
    assert len(standard) < 55


@pytest.mark.parametrize("column", [*LOBE_COLUMNS, *SET_COLUMNS], ids=lambda column: column.name)
def test_a_declaration_is_one_line_with_a_source_and_a_unit_that_its_suffix_scales(column: Column) -> None:
    assert column.definition and column.source and "\n" not in column.definition
    if column.suffix:
        assert column.unit == {"_nm": "px", "_nm2": "px²"}[column.suffix]
