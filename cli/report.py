"""``samcolloid-edge report``: the page of results that are there already."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from ..models.errors import OutputError


def report(
    folders: Annotated[
        list[Path],
        typer.Argument(
            metavar="DIR...", show_default=False, help="Output folders of analyses, or folders of single results."
        ),
    ],
    out: Annotated[
        Path | None, typer.Option(help="The page.", show_default="report.html in DIR, where there is one DIR")
    ] = None,
    images: Annotated[
        list[Path] | None,
        typer.Option(help="Folder in which micrographs are looked for as well; may be repeated.", show_default=False),
    ] = None,
) -> None:
    """Make one page, report.html, of results: pictures with outlines, distributions, tables; no network needed."""
    if out is None and len(folders) > 1:
        raise OutputError(f"There are {len(folders)} folders, so say where the page goes: --out FILE.html.")
    results = [result for folder in folders for result in results_in(folder)]
    from ..engine.page_html import NAME, write_page

    written, troubles = write_page(results, folders[0] / NAME if out is None else out, images=images or ())
    for trouble in troubles:
        typer.echo(f"not in the page: {trouble}", err=True)
    if written is not None:
        typer.echo(f"report: {written}")
    raise typer.Exit(int(bool(troubles)))


def results_in(folder: Path) -> list[Path]:
    """The result folders at and below ``folder``, in order. Raises OutputError where there is none."""
    found = sorted(path.parent for path in folder.rglob("result.json"))
    if not found:
        raise OutputError(f"{folder}: holds no result (result.json); give the output folder of an analysis.")
    return found
