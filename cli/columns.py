"""``samcolloid-edge columns``: what every column of the tables means."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING, Annotated, Final, Literal

import typer

if TYPE_CHECKING:
    from ..engine.columns import Column

GROUPS: Final = {
    "standard": "",
    "skimage": "with --columns skimage or all, besides",
    "imagej": "with --columns imagej or all, besides",
}
"""When the columns of a group are written."""


def columns(
    format: Annotated[
        Literal["text", "markdown"], typer.Option(help="Plain lines, or tables in Markdown (docs/columns.md).")
    ] = "text",
) -> None:
    """List the columns of lobes.csv and sets.csv with their units."""
    from ..engine.columns import LOBE_COLUMNS
    from ..engine.filters import COUNTING
    from ..engine.set_table import SET_COLUMNS

    lines = markdown if format == "markdown" else text
    tables = {"lobes.csv": (*LOBE_COLUMNS, *COUNTING), "sets.csv": (*SET_COLUMNS, *COUNTING)}
    typer.echo("\n".join(lines(tables)))


def text(tables: dict[str, tuple[Column, ...]]) -> Iterator[str]:
    """One line a column."""
    for heading, declared in _parts(tables):
        yield heading
        for column in declared:
            unit = f" [{column.unit}]" if column.unit else ""
            yield f"  {column.name}{unit}: {column.definition} ({column.source})"
            if column.suffix:
                twin = column.scaled()
                yield f"  {twin.name} [{twin.unit}]: {twin.definition}, where the pixel size is known"


def markdown(tables: dict[str, tuple[Column, ...]]) -> Iterator[str]:
    """``docs/columns.md``."""
    import numpy as np

    yield "# Columns"
    yield ""
    yield "Made by `samcolloid-edge columns --format markdown`. Where the pixel size is known, a column with a suffix"
    yield "is followed by its twin in nm or nm², `NAME_nm` or `NAME_nm2`. Positions are (row, column) of pixel centres,"
    yield "from 0."
    for heading, declared in _parts(tables):
        yield from ("", f"## {heading}", "", "| column | unit | suffix | type | definition | source |",
                    "|---|---|---|---|---|---|")  # fmt: skip
        for c in declared:
            kind = np.dtype(c.dtype)
            cells = (f"`{c.name}`", c.unit, c.suffix and f"`{c.suffix}`", "text" if kind.kind == "U" else kind.name,
                     c.definition, c.source)  # fmt: skip
            yield "| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |"


def _parts(tables: dict[str, tuple[Column, ...]]) -> Iterator[tuple[str, Iterable[Column]]]:
    """Each group of columns of each table with its heading."""
    for file, declared in tables.items():
        for group, when in GROUPS.items():
            of_group = [column for column in declared if column.group == group]
            if of_group:
                yield f"{file}, {when}" if when else file, of_group
