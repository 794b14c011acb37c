"""``samcolloid-edge compare``: two analyses, or one and a truth or table, lobe by lobe."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

import typer

from ..models.errors import OutputError, SettingsError

Side = Annotated[
    Path,
    typer.Argument(
        show_default=False,
        help="A result folder or a folder of several, a folder of label images (as simulate writes it), or a CSV table "
        "of lobes.",
    ),
]


def compare(
    a: Side,
    b: Side,
    out: Annotated[
        Path, typer.Option(help="Folder for the comparison; it is made where it is missing.", show_default=False)
    ],
    iou: Annotated[
        list[float] | None,
        typer.Option(
            help="IoU from which two lobes are the same, 0-1; may be given several times: counts are for each, "
            "diameters for the least.",
            show_default="0.5 and 0.7",
        ),
    ] = None,
    by: Annotated[
        Literal["auto", "mask", "box"],
        typer.Option(help="Whether masks or their boxes are compared (auto: masks where both sides have them)."),
    ] = "auto",
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace a comparison that is there.")] = False,
) -> None:
    """Hold A against B: matched lobes and sets, bias and scatter of diameters, Bland-Altman picture."""
    from ..engine import bland_altman_plot, compare, compare_report
    from ..engine.files import check_folder, write_files
    from ..engine.findings import sources
    from ..engine.report_csv import json_bytes, table_csv

    wrong = [level for level in iou or () if not 0 < level <= 1]
    if wrong:
        raise SettingsError(f"--iou must lie above 0 and up to 1, not {wrong[0]:g}.")
    there = [out / name for name in compare_report.FILES if (out / name).exists()]
    if there and not overwrite:
        raise OutputError(f"{there[0]}: is there already; add --overwrite or choose another --out.")
    pairing = compare.pair(sources(a), sources(b))
    found = compare.compare(pairing.pairs, iou or compare.IOUS, by)
    record = compare_report.record(found, pairing, (a, b))
    check_folder(out)
    contents = (table_csv(found.table), bland_altman_plot.draw(found, (str(a), str(b))), json_bytes(record))
    written = write_files(out, dict(zip(compare_report.FILES, contents, strict=True)))
    for line in compare_report.lines(record):
        typer.echo(line)
    typer.echo("")
    for path in written:
        typer.echo(f"-> {path}")
