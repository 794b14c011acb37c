"""``samcolloid-edge columns``: what every column of the tables means."""

from __future__ import annotations

import typer


def columns() -> None:
    """List the columns of lobes.csv and sets.csv with their units."""
    from ..engine.columns import LOBE_COLUMNS
    from ..engine.filters import COUNTING
    from ..engine.set_table import SET_COLUMNS

    for file, declared in (
        ("lobes.csv", (*LOBE_COLUMNS, *COUNTING)),
        ("sets.csv", (*SET_COLUMNS, *COUNTING)),
    ):
        typer.echo(f"{file}")
        for column in declared:
            unit = f" [{column.unit}]" if column.unit else ""
            typer.echo(f"  {column.name}{unit}: {column.definition} ({column.source})")
            if column.suffix:
                scaled = column.scaled()
                typer.echo(
                    f"  {scaled.name} [{scaled.unit}]: {scaled.definition}, where the pixel size is known"
                )
