"""``samcolloid-edge models``: what is installed, and whether it is still what was exported."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Any, Final

import typer

app: Final = typer.Typer(
    help="List, check, import and remove models.",
    no_args_is_help=True,
    rich_markup_mode=None,
    context_settings={"help_option_names": ["-h", "--help"]},
)

_Model = Annotated[str, typer.Argument(help="Name or folder of a model.", metavar="NAME|DIR", show_default=False)]


@app.command("list")
def list_models() -> None:
    """List the models that can be used."""
    from ..models.errors import ModelError
    from ..models.store import BUNDLED, installed, locate, store

    rows: list[tuple[str, ...]] = [("name", "family", "precision", "MB", "digest", "folder")]
    troubles = []
    for name, folder in [(BUNDLED, locate()), *((name, store() / name) for name, _ in installed())]:
        try:
            rows.append(_row(name, folder))
        except ModelError as error:
            troubles.append(f"{name}: of no use. {error}")
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    for row in rows:
        typer.echo("  ".join(text.ljust(width) for text, width in zip(row, widths, strict=True)).rstrip())
    for trouble in troubles:
        typer.echo(trouble, err=True)


@app.command()
def show(
    model: _Model,
    as_json: Annotated[bool, typer.Option("--json", help="Print the card as it is stored.")] = False,
) -> None:
    """Print the card of a model."""
    import json

    from ..models.card import CARD, ModelCard
    from ..models.store import locate

    folder = locate(model)
    card = ModelCard.read(folder / CARD)
    if as_json:
        typer.echo(card.to_json(), nl=False)
        return
    typer.echo(f"folder: {folder}")
    typer.echo(f"digest: {card.digest}")
    for line in _lines(json.loads(card.to_json()), ""):
        typer.echo(line)


@app.command()
def verify(
    models: Annotated[
        list[str] | None,
        typer.Argument(help="Names or folders of models.", metavar="NAME|DIR", show_default="all"),
    ] = None,
) -> None:
    """Hash every file in full. Exit code 1 if a model is not what its card says."""
    from ..models.card import CARD, ModelCard
    from ..models.errors import ModelError
    from ..models.store import BUNDLED, installed, locate
    from ..models.store import verify as hash_all

    failed = False
    for model in models or [BUNDLED, *(name for name, _ in installed())]:
        try:
            folder = locate(model)
            card = ModelCard.read(folder / CARD)
            hash_all(folder, card)
        except ModelError as error:
            failed = True
            typer.echo(f"{model}: wrong. {error}", err=True)
        else:
            typer.echo(f"{model}: {card.digest}, {len(card.files)} files as the card says")
    raise typer.Exit(int(failed))


@app.command("import")
def import_model(
    folder: Annotated[
        Path, typer.Argument(help="Folder of a model: its card and files.", metavar="DIR", show_default=False)
    ],
    name: Annotated[str | None, typer.Option(help="Name to install it under.", show_default="the card's")] = None,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace an installed model of this name.")] = False,
) -> None:
    """Copy the folder of a model into the store."""
    from ..models import store

    installed = store.import_model(folder, name, overwrite)
    typer.echo(f"{installed.name}: imported to {installed}; use it with --model {installed.name}")


@app.command()
def remove(name: Annotated[str, typer.Argument(help="Name of an installed model.", show_default=False)]) -> None:
    """Delete an installed model."""
    from ..models import store

    store.remove(name)
    typer.echo(f"{name}: removed")


@app.command()
def path(
    name: Annotated[
        str | None, typer.Argument(help="Name of a model.", show_default="the folder of all installed models")
    ] = None,
) -> None:
    """Print the folder of a model, or of all."""
    from ..models.store import locate, store

    typer.echo(str(store() if name is None else locate(name)))


def _row(name: str, folder: Path) -> tuple[str, ...]:
    from ..models.card import CARD, ModelCard
    from ..models.stamps import state_of

    card = ModelCard.read(folder / CARD)
    size = sum(file.size for file in state_of(folder, card).values())
    return name, card.family, card.precision, f"{size / 1e6:.1f}", card.digest, str(folder)


def _lines(entries: dict[str, Any], indent: str) -> Iterator[str]:
    """A card's entries one a line, nested ones indented, lists on one line, without those that say nothing."""
    for name, value in entries.items():
        if isinstance(value, dict) and value:
            yield f"{indent}{name}:"
            yield from _lines(value, indent + "  ")
        elif value not in (None, "", {}):
            yield f"{indent}{name}: {_text(value)}"


def _text(value: object) -> str:
    if isinstance(value, list):
        return ", ".join("any" if item is None else _text(item) for item in value)
    return f"{value:.4g}" if isinstance(value, float) else str(value)
