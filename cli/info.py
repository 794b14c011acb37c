"""``samcolloid-edge info``: what this installation runs with."""

from __future__ import annotations

from typing import Annotated, Literal

import typer


def info(
    model: Annotated[
        str | None, typer.Option(help="Name or folder of another model.", show_default="the bundled one")
    ] = None,
    device: Annotated[Literal["auto", "cpu", "cuda", "tensorrt"], typer.Option(help="Where the model runs.")] = "auto",
    threads: Annotated[int | None, typer.Option(min=1, help="Threads.", show_default="all cores")] = None,
) -> None:
    """Print providers, threads, model and versions."""
    from ..engine.pipeline import Segmenter
    from ..engine.report import versions

    segmenter = Segmenter(model, device=device, threads=threads)
    card = segmenter.card
    typer.echo(f"providers: {', '.join(segmenter.providers)}")
    typer.echo(f"threads: {threads or 'all cores'}")
    typer.echo(f"model: {card.name} {card.digest} ({card.family}, {card.precision}, {card.licence})")
    typer.echo(f"  weights: {card.source}")
    typer.echo(f"  side: {card.side} px, smallest radius: {card.smallest_radius:g} px")
    typer.echo(f"  masks: {', '.join(card.masks)}")
    for name, version in versions().items():
        typer.echo(f"{name}: {version}")
    for note in segmenter.notes:
        typer.echo(note, err=True)
