"""The command ``samcolloid-edge``. What computes is imported inside the commands: help is quick."""

from __future__ import annotations

import io
import sys
from typing import Annotated, Final, NoReturn

import typer

from ..models.errors import SamColloidError, SettingsError
from . import analyze, bench, columns, compare, export, info, models, report, simulate, warmup

app: Final = typer.Typer(
    help="Finds and measures every nanoparticle and every lobe of it in electron micrographs.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,  # rich's panels cut long option names at 80 columns
    context_settings={"help_option_names": ["-h", "--help"]},
)
for command in (
    analyze.analyze, compare.compare, report.report, simulate.simulate, export.export, warmup.warmup, bench.bench,
    columns.columns, info.info,
):  # fmt: skip
    app.command()(command)
app.add_typer(models.app, name="models")


def _print_version(wanted: bool) -> None:
    if wanted:
        from importlib import metadata

        typer.echo(f"samcolloid-edge {metadata.version('samcolloid-edge')}")
        raise typer.Exit


@app.callback()
def _options(
    version: Annotated[
        bool,
        typer.Option("--version", callback=_print_version, is_eager=True, help="Print the version and exit."),
    ] = False,
) -> None:
    pass


def main() -> NoReturn:
    """Run the command line; an error of ours is one sentence on stderr and exit code 1, 2 for a setting."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):  # a Windows console may lack letters that a path has
            stream.reconfigure(errors="backslashreplace")
    try:
        app()
    except SamColloidError as error:
        typer.echo(f"samcolloid-edge: {error}", err=True)
        sys.exit(2 if isinstance(error, SettingsError) else 1)
    sys.exit(0)
